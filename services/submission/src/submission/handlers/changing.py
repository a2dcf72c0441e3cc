"""What a person does to a task that exists: look, cancel, retry, give it another priority."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from contracts.errors import IllegalTransition, Problem, RetryableError
from contracts.events import CancelRequested, cancel_requested, task_changed
from contracts.ports import Clock, Publisher
from contracts.records import TaskRecords
from contracts.tasks import Move, Prioritise, Priority, RequestCancel, Resubmit, Skip, Status, Task, apply
from contracts.topics import App

from submission.domain import own_task
from submission.handlers.accepting import ANNOUNCED_WITHIN
from submission.ports import Outbox

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TaskChanges:
    tasks: TaskRecords
    outbox: Outbox
    publisher: Publisher
    wake_at: Callable[[datetime], None]
    clock: Clock
    check_project: Callable[[str], Awaitable[None]]
    """Raises `ProjectInactive`."""

    async def look(self, task_id: str, project_id: str) -> Task:
        """Raises `NotFound`, for an unknown id and for another project's alike."""
        return own_task(await self.tasks.get(task_id), task_id, project_id)

    async def cancel(self, task_id: str, project_id: str) -> Task:
        """Ends a waiting task at once; asks a running one to stop at its next step.

        Raises `NotFound`, and `IllegalTransition` for a task that has ended otherwise.
        """
        return await self.make(task_id, project_id, RequestCancel())

    async def retry(self, task_id: str, project_id: str) -> Task:
        """Sends an ended task round again under its own id.

        Raises `NotFound`, `ProjectInactive`, and `IllegalTransition` for one that is done or has not ended.
        """
        return await self.make(task_id, project_id, Resubmit())

    async def prioritise(self, task_id: str, project_id: str, priority: Priority) -> Task:
        """Moves a task before or behind others that wait. Raises `NotFound`, and `IllegalTransition` for one that has
        ended."""
        return await self.make(task_id, project_id, Prioritise(priority))

    async def withdraw(self, task_id: str, project_id: str, reason: Problem) -> Task:
        """Ends a task whose time to start has not come; returns any other as it is. Raises `NotFound`."""
        try:
            return await self.make(task_id, project_id, Skip(reason))
        except IllegalTransition:
            return await self.look(task_id, project_id)

    async def make(
        self, task_id: str, project_id: str, move: Move, allowed: Callable[[Task], None] = lambda _: None
    ) -> Task:
        """Makes a move of the record as it is and announces it; `allowed` sees each version that is decided on, and
        raises for one that is to be left alone.

        Raises `NotFound`, `IllegalTransition`, `ProjectInactive` for what would run again, and whatever `allowed`
        raises.
        """
        if isinstance(move, Resubmit):
            await self.check_project(project_id)
        task = await self._save(task_id, project_id, move, allowed)
        if isinstance(move, RequestCancel) and task.status is Status.PROCESSING:
            await self._hurry(CancelRequested(task_id=task.id, attempt=task.attempt))
        return task

    async def _save(self, task_id: str, project_id: str, move: Move, allowed: Callable[[Task], None]) -> Task:
        before = await self.look(task_id, project_id)
        allowed(before)
        if apply(before, move, self.clock.now()) is before:
            return before
        # The outbox entry comes first: should this process die after the save, the change is still announced.
        # Should somebody else be quicker, what is announced in the end is the record as it then is.
        await self._announce_later(before, before.seq + 1)
        task = await self.tasks.change(task_id, lambda found: _move_own(found, project_id, move, allowed))
        await self._announce_later(task, task.seq)
        try:
            await self.publisher.publish(task_changed(task, App.SUBMISSION))
        except RetryableError as error:
            log.warning("announcement put off", task_id=task.id, reason=error.detail)
        return task

    async def _announce_later(self, task: Task, seq: int) -> None:
        due = self.clock.now() + ANNOUNCED_WITHIN
        await self.outbox.add(task, seq, due)
        self.wake_at(due)

    async def _hurry(self, cancel: CancelRequested) -> None:
        """The flag in the record is what counts; the broadcast only makes it quick."""
        try:
            await self.publisher.publish(cancel_requested(cancel, App.SUBMISSION, self.clock.now()))
        except RetryableError as error:
            log.warning("the worker will see the cancel later", task_id=cancel.task_id, reason=error.detail)


def _move_own(task: Task, project_id: str, move: Move, allowed: Callable[[Task], None]) -> Move:
    allowed(own_task(task, task.id, project_id))
    return move
