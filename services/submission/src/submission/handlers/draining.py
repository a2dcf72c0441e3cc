"""Has a worker take no more work, or take some again."""

from dataclasses import dataclass

from contracts.errors import NotFound
from contracts.events import DrainRequested, drain_requested
from contracts.operators import Operator
from contracts.ports import Clock, Publisher
from contracts.topics import App
from contracts.workers import WorkerStatus
from pydantic import JsonValue

from submission.handlers.auditing import Audit
from submission.ports import Workers


@dataclass(frozen=True)
class Draining:
    """What a worker was told it forgets when it ends, so a new one under the same name takes work."""

    workers: Workers
    publisher: Publisher
    audit: Audit
    clock: Clock

    async def tell(self, worker_id: str, drain: bool, operator: Operator) -> WorkerStatus:
        """The worker as it was heard last: its next heartbeat shows what came of it, and who sees nothing tells it
        again. Raises `NotFound` for one that was not heard of lately, and `DependencyUnavailable`."""
        worker = next((one for one in self.workers.all() if one.worker_id == worker_id), None)
        if worker is None:
            raise NotFound(f"no worker {worker_id[:128]} was heard of lately")
        request = DrainRequested(worker_id=worker_id, drain=drain, by=operator.name)
        await self.publisher.publish(drain_requested(request, App.SUBMISSION, self.clock.now()))
        before: dict[str, JsonValue] = {"state": worker.state.value, "runs": [run.task_id for run in worker.runs]}
        await self.audit.note(
            "worker.drain" if drain else "worker.resume", worker_id, before, {"told_to_drain": drain}, operator
        )
        return worker
