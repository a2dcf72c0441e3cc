"""The real services, composed by their own composition roots over the simulated world.

What stands between handlers and people, which is HTTP, is left out: whoever would be called by a route
is kept, and called directly. Webhooks' sender and the media libraries are stand-ins.
"""

import random
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import gpu_worker.app
import notification.app
import scheduling.app
import storage.app
import submission.app.operators
import submission.app.tasks
import submission.app.tended
from chassis.outside import Outside
from chassis.service import Service
from contracts.catalog import Catalog, read_catalog
from contracts.media import Medium
from contracts.topics import App, worker_app
from fastapi import APIRouter
from gpu_worker.settings import WorkerSettings
from notification.handlers.registering import Registering
from notification.ports import Sender
from notification.settings import NotificationSettings
from scheduling.handlers.leading import Leading
from scheduling.settings import SchedulingSettings
from storage.settings import StorageSettings
from submission.handlers.accepting import Acceptance
from submission.handlers.changing import TaskChanges
from submission.settings import SubmissionSettings

from tests.simulation.engines import SimulatedEngine, SimulatedTools

SERVICES_FIRST = (App.SUBMISSION,)
SERVICES_LAST = (App.STORAGE, App.NOTIFICATION, App.SCHEDULING)
NEEDED_TO_THE_END = (App.SUBMISSION, App.STORAGE, App.NOTIFICATION)
"""Whoever waits and sweeps needs no others, and three hours of a leader's beats take long to simulate."""
FERNET_KEY = "c2ltdWxhdGVkIGtleSBvZiB0aGlydHktdHdvIGJ5dGU="
ADMIN_KEY = "simulated-admin-key"
CATALOG = read_catalog(only=["tiny-*"])
COMPOSING = (submission.app, submission.app.operators, submission.app.tended, storage.app, notification.app)

MakeEngine = Callable[[str, Catalog], SimulatedEngine]


@dataclass
class Doors:
    """What people and the test reach of the services in a process."""

    acceptance: Acceptance | None = None
    changes: TaskChanges | None = None
    registering: Registering | None = None
    leading: Leading | None = None
    engines: list[SimulatedEngine] = field(default_factory=list)


@dataclass(frozen=True)
class Surroundings:
    """What is the same for every replica in a run."""

    folder: Path
    sender: Sender
    make_engine: MakeEngine
    heartbeat: timedelta
    randomness: random.Random


def compose(app: App, replica: str, outside: Outside, around: Surroundings, doors: Doors) -> Service:
    """One service, as a replica. Replicas of one service share its tables."""
    common: dict[str, Any] = {"media_url": "memory:///", "replica": replica}
    database = f"sqlite:///{around.folder}/{app.value}.db"
    match app:
        case App.SUBMISSION:
            submitting = SubmissionSettings(**common, submission_database=database, admin_key=ADMIN_KEY)
            with (
                patch.object(submission.app, "submit_routes", _keep_acceptance(doors)),
                patch.object(submission.app, "task_routes", _keep_changes(doors)),
            ):
                return submission.app.create(submitting, outside)
        case App.SCHEDULING:
            with patch.object(scheduling.app, "Leading", _keep_leading(doors)):
                return scheduling.app.create(SchedulingSettings(**common, scheduling_database=database), outside)
        case App.STORAGE:
            scratch = around.folder / f"storage-{replica}"
            return storage.app.create(
                StorageSettings(
                    **common, storage_database=database, storage_scratch=scratch, media_link_keys=FERNET_KEY
                ),
                outside,
            )
        case App.NOTIFICATION:
            notifying = NotificationSettings(
                **common, notification_database=database, webhook_encryption_keys=FERNET_KEY, admin_key=ADMIN_KEY
            )
            with (
                patch.object(notification.app, "webhook_routes", _keep_notification(doors)),
                patch.object(notification.app, "H11Sender", lambda *_given: around.sender),
            ):
                return notification.app.create(notifying, outside)
        case _:
            medium = next(medium for medium in Medium if worker_app(medium) is app)
            working = WorkerSettings(
                **common,
                worker_medium=medium,
                worker_scratch=around.folder / f"scratch-{medium.value}-{replica}",
                worker_heartbeat=around.heartbeat,
            )
            engine = around.make_engine(f"{app.value}-{replica}", outside.catalog)
            doors.engines.append(engine)
            return gpu_worker.app.create_around(engine, engine.running, working, outside)


@contextmanager
def without_http(randomness: random.Random, on_death: Callable[[], None]) -> Iterator[None]:
    """Routes cost more to make than all the rest of a service; and whatever is random comes from the seed."""
    real = random.Random

    def seeded(*seed: Any) -> random.Random:
        return real(*seed) if seed else real(randomness.getrandbits(64))

    process = SimpleNamespace(getpid=lambda: 0, kill=lambda _pid, _signal: on_death())
    replaced: list[tuple[object, str, object]] = [
        *((module, name, _no_routes) for module in COMPOSING for name in vars(module) if name.endswith("_routes")),
        (storage.app, "PillowAndPyAV", SimulatedTools),
        (random, "Random", seeded),
        (uuid, "uuid4", lambda: uuid.UUID(int=randomness.getrandbits(128), version=4)),
        (secrets, "token_bytes", randomness.randbytes),
    ]
    with ExitStack() as stack:
        for owner, name, stand_in in replaced:
            stack.enter_context(patch.object(owner, name, stand_in))
        stack.enter_context(patch("chassis.background.os", process))
        yield


def _no_routes(*_given: object) -> APIRouter:
    return APIRouter()


def _keep_acceptance(doors: Doors) -> Callable[..., APIRouter]:
    def keep(acceptance: Acceptance, *_rest: object) -> APIRouter:
        doors.acceptance = acceptance
        return APIRouter()

    return keep


def _keep_changes(doors: Doors) -> Callable[..., APIRouter]:
    def keep(changes: TaskChanges, *_rest: object) -> APIRouter:
        doors.changes = changes
        return APIRouter()

    return keep


def _keep_leading(doors: Doors) -> Callable[..., Leading]:
    def keep(*given: Any) -> Leading:
        doors.leading = Leading(*given)
        return doors.leading

    return keep


def _keep_notification(doors: Doors) -> Callable[..., APIRouter]:
    def keep(registering: Registering, *_rest: object) -> APIRouter:
        doors.registering = registering
        return APIRouter()

    return keep
