"""The ports' conformance suites over the real adapters: real daprd, real stores, real files."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from chassis.clock import SystemClock
from chassis.jobs import DaprJobs
from chassis.objects import ObstoreObjects
from chassis.publisher import DaprPublisher
from chassis.sidecar import Sidecar
from chassis.state import DaprStateStore
from contracts.errors import DependencyUnavailable
from contracts.events import task_changed
from contracts.records import TaskRecords
from contracts.tasks import Assign, RequestCancel
from contracts.testing.conformance import ObjectStoreConformance, PubSubConformance, StateStoreConformance
from contracts.testing.examples import NOON, a_task
from contracts.topics import TASK_EVENTS
from fastapi import FastAPI, Response

from tests.conftest import until
from tests.integration.sidecar import SidecarLine, sidecar_for

LOCAL = Path(__file__).parents[2] / "dapr-components" / "local"


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The local components, and beside their state store an in-memory one to hold against it."""
    folder = tmp_path_factory.mktemp("components")
    for path in LOCAL.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    memory = yaml.safe_load((LOCAL / "taskstate.yaml").read_text())
    memory["metadata"]["name"] = "memorystate"
    memory["spec"] = {"type": "state.in-memory", "version": "v1", "metadata": []}
    (folder / "memorystate.yaml").write_text(yaml.safe_dump(memory))
    return folder


class App:
    """Keeps what daprd delivers to it."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.fastapi = FastAPI()
        self.fastapi.add_api_route("/job/{name}", self._job, methods=["POST"])

    async def _job(self, name: str) -> Response:
        self.jobs.append(name)
        return Response(status_code=204)


@pytest.fixture(scope="module")
def app() -> App:
    return App()


@pytest.fixture
async def sidecar(app: App, components: Path, dapr_bin: Path, tmp_path: Path) -> AsyncIterator[Sidecar]:
    async with sidecar_for(app.fastapi, components, dapr_bin, tmp_path / "dapr") as connected:
        yield connected


class _Prefixed:
    @pytest.fixture
    def prefix(self) -> str:
        return secrets.token_hex(4)


class TestSqliteState(_Prefixed, StateStoreConformance):
    @pytest.fixture
    def store(self, sidecar: Sidecar) -> DaprStateStore:
        return DaprStateStore(sidecar, "taskstate")


class TestInMemoryState(_Prefixed, StateStoreConformance):
    @pytest.fixture
    def store(self, sidecar: Sidecar) -> DaprStateStore:
        return DaprStateStore(sidecar, "memorystate")


class TestLocalFiles(ObjectStoreConformance):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> ObstoreObjects:
        return ObstoreObjects(f"file://{tmp_path}/media")


class TestInMemoryBus(PubSubConformance):
    @pytest.fixture
    async def line(self, components: Path, dapr_bin: Path, tmp_path: Path) -> AsyncIterator[SidecarLine]:
        line = SidecarLine(TASK_EVENTS)
        async with sidecar_for(line.app, components, dapr_bin, tmp_path / "line") as connected:
            line.speak_through(connected)
            yield line


async def test_a_store_that_is_not_there_is_unavailable(sidecar: Sidecar) -> None:
    with pytest.raises(DependencyUnavailable, match="nosuchstore"):
        await DaprStateStore(sidecar, "nosuchstore").get("x")


async def test_two_decisions_at_once_are_taken_one_after_the_other(sidecar: Sidecar) -> None:
    tasks = TaskRecords(DaprStateStore(sidecar, "taskstate"), SystemClock())
    task = a_task()
    await tasks.create(task)
    start_by = NOON + timedelta(seconds=15)
    outcomes = await asyncio.gather(
        *(tasks.change(task.id, lambda _found: Assign("worker-1", start_by)) for _ in range(5)),
        tasks.change(task.id, lambda _found: RequestCancel()),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) in (1, 2)
    found = await tasks.get(task.id)
    assert found is not None
    assert found.attempt <= 1


async def test_a_publish_without_a_component_is_unavailable(sidecar: Sidecar) -> None:
    message = task_changed(a_task(), "test")
    nowhere = replace(message, topic=replace(message.topic, component=_Nowhere()))  # type: ignore[arg-type]
    with pytest.raises(DependencyUnavailable):
        await DaprPublisher(sidecar).publish(nowhere)


class _Nowhere:
    value = "nosuchcomponent"


async def test_jobs_ring_at_their_time_and_are_replaced_by_name(sidecar: Sidecar, app: App) -> None:
    clock, jobs = SystemClock(), DaprJobs(sidecar)
    started = clock.now()
    await jobs.schedule("replaced", started + timedelta(hours=1))
    await jobs.schedule("replaced", started + timedelta(seconds=0.5))
    await jobs.schedule("cancelled", started + timedelta(seconds=0.5))
    await jobs.cancel("cancelled")
    await jobs.cancel("never-made")
    await jobs.schedule("overdue", started - timedelta(minutes=1))
    await until(lambda: {"replaced", "overdue"} <= set(app.jobs))
    assert 0.5 <= (clock.now() - started).total_seconds() < 3
    assert "cancelled" not in app.jobs
