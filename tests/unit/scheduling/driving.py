"""One replica of scheduling over fakes, driven by what it would hear."""

from datetime import timedelta

from contracts.events import Assignment, parse, task_changed, worker_heartbeat
from contracts.records import TaskRecords
from contracts.tasks import Advance, Phase, Task
from contracts.testing.examples import a_task, a_worker
from scheduling.settings import SchedulingSettings

from tests.conftest import Running, World, settle

LEASE = timedelta(seconds=30)
ALWAYS = timedelta(days=1)
"""These tests move the clock by minutes at once; a lease on leading that long is never missed."""


class Scheduling:
    def __init__(self, running: Running, world: World) -> None:
        self.running, self.world = running, world
        self.tasks = TaskRecords(world.state, world.clock)
        world.jobs.on_ring(self._ring)

    async def _ring(self, name: str) -> None:
        assert await self.running.ring(name) == 204

    async def accept(self, **changes: object) -> Task:
        task = a_task(**changes)
        await self.tasks.create(task)
        await self.hear(task)
        return task

    async def hear(self, task: Task) -> None:
        assert await self.running.deliver(task_changed(task, "test")) == "SUCCESS"
        await settle(self.world)

    async def heartbeat(self, **changes: object) -> None:
        worker = a_worker(**{"sent_at": self.world.clock.now()} | changes)
        assert await self.running.deliver(worker_heartbeat(worker, "test")) == "SUCCESS"
        await settle(self.world)

    async def pass_time(self, **by: float) -> None:
        now = self.world.clock.advance(**by)
        await settle(self.world)
        await self.world.jobs.ring_due(now)
        await settle(self.world)

    async def now(self, task: Task) -> Task:
        found = await self.tasks.get(task.id)
        assert found is not None
        return found

    async def generate(self, task: Task) -> None:
        await self.hear(await self.tasks.change(task.id, lambda found: Advance(found.attempt, Phase.GENERATING)))

    async def generating(self, **changes: object) -> Task:
        """A task that a worker has been given and is at."""
        await self.heartbeat()
        task = await self.accept(**changes)
        await self.generate(task)
        return task

    @property
    def assignments(self) -> list[Assignment]:
        events = [parse(message.event) for message in self.world.bus.messages]
        return [event for event in events if isinstance(event, Assignment)]

    def announced(self) -> list[str]:
        found, self.world.bus.messages[:] = self.world.bus.types, []
        return found


def settings_of(database: str, replica: str = "test", **durations: timedelta) -> SchedulingSettings:
    fields = {"scheduling_database": database, "media_url": "memory:///", "replica": replica}
    return SchedulingSettings.model_validate(fields | {"lease": LEASE, "leader_lease": ALWAYS} | durations)
