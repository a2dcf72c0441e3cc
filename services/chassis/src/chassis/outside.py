"""Everything services reach beyond their own process, as ports."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from contracts.catalog import Catalog, read_catalog
from contracts.ports import Clock, Jobs, ObjectStore, Publisher, StateStore
from contracts.topics import STATE_STORE

from chassis.clock import SystemClock
from chassis.jobs import DaprJobs
from chassis.objects import ObstoreObjects
from chassis.publisher import DaprPublisher
from chassis.settings import ProcessSettings
from chassis.sidecar import Sidecar
from chassis.state import DaprStateStore
from chassis.tracing import NOWHERE, Tracing, tracing_to


@dataclass(frozen=True)
class Outside:
    state: StateStore
    publisher: Publisher
    jobs: Jobs
    objects: ObjectStore
    clock: Clock
    catalog: Catalog
    check_bus: Callable[[], Awaitable[None]]
    """Raises `DependencyUnavailable` when nothing can be said or heard now."""
    tracing: Tracing = NOWHERE


def through_dapr(sidecar: Sidecar, settings: ProcessSettings) -> Outside:
    """The real thing. Raises `CatalogError` when the catalog cannot be used."""
    return Outside(
        state=DaprStateStore(sidecar, STATE_STORE),
        publisher=DaprPublisher(sidecar),
        jobs=DaprJobs(sidecar),
        objects=ObstoreObjects(settings.media_url),
        clock=SystemClock(),
        catalog=read_catalog(settings.catalog, settings.models),
        check_bus=sidecar.check_hearing,
        tracing=tracing_to(
            str(settings.tracing_endpoint) if settings.tracing_endpoint else None,
            settings.tracing_headers.get_secret_value(),
            settings.tracing_sample_ratio,
            settings.replica,
        ),
    )
