"""Pauses a medium, a model or a project, and says what is paused. Scheduling is who holds to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.catalog import Catalog
from contracts.errors import AlreadyExists, FieldProblem, InvalidRequest, LimitReached, NotFound
from contracts.media import Medium
from contracts.operators import Operator
from contracts.pauses import EVERYTHING, Pause, PauseKind, Pauses
from contracts.ports import Clock
from contracts.projects import Project
from contracts.records import Records
from contracts.tasks import Phase, Status, Task

from submission.handlers.auditing import Audit
from submission.ports import RememberedPauses

MOST_PAUSES = 1000
NOTHING = Pauses()


@dataclass(frozen=True)
class Pausing:
    records: Records[Pauses]
    remembered: RememberedPauses
    projects: Records[Project]
    catalog: Catalog
    audit: Audit
    clock: Clock

    async def all(self) -> Sequence[Pause]:
        return (await self.records.get(EVERYTHING) or NOTHING).going_on

    async def of_project(self, project_id: str) -> Sequence[Pause]:
        """All that may hold up its tasks, as it was a few seconds ago at most."""
        found = await self._lately()
        return [one for one in found.going_on if one.kind is not PauseKind.PROJECT or one.target == project_id]

    async def over(self, task: Task) -> Pause | None:
        """What keeps the task from being started, as it was a few seconds ago at most."""
        if task.status is not Status.PENDING or task.phase is Phase.ASSIGNED:
            return None
        return (await self._lately()).over(task.project_id, task.medium, task.model)

    async def may_have_held_up(self, task: Task, since: datetime) -> bool:
        """Whether the task may have waited, after `since`, for somebody to resume something."""
        return (await self._lately()).held_up(task.project_id, task.medium, task.model, since)

    async def pause(self, kind: PauseKind, target: str, reason: str, operator: Operator) -> Pause:
        """Paused already, it stays as it is. Raises `NotFound`, `InvalidRequest` and `LimitReached`."""
        await self._check(kind, target)
        pause = Pause(kind=kind, target=target, since=self.clock.now(), by=operator.name, reason=reason)

        def paused(found: Pauses) -> Pauses:
            after = found.paused(pause)
            if after is not found and len(after.going_on) > MOST_PAUSES:
                raise LimitReached(f"there are {MOST_PAUSES} pauses already; resume some of them")
            return after

        before = await self._found(kind, target)
        await self._ensure_document()
        after = await self.records.change(EVERYTHING, paused)
        current = after.going_on_of(kind, target) or pause
        if before is None:
            await self.audit.note(f"{kind.value}.pause", target, None, current, operator)
        return current

    async def resume(self, kind: PauseKind, target: str, operator: Operator) -> None:
        """What is not paused stays as it is."""
        before = await self._found(kind, target)
        if before is None:
            return
        now = self.clock.now()
        await self.records.change(EVERYTHING, lambda found: found.resumed(kind, target, now))
        await self.audit.note(f"{kind.value}.resume", target, before, None, operator)

    async def _check(self, kind: PauseKind, target: str) -> None:
        """A name that nothing has would pause nothing, and nobody would notice."""
        match kind:
            case PauseKind.MEDIUM:
                _check_named(target, [medium.value for medium in Medium], "medium")
            case PauseKind.MODEL:
                _check_named(target, [model.key for model in self.catalog.models], "model")
            case PauseKind.PROJECT:
                if await self.projects.get(target) is None:
                    raise NotFound(f"no project {target}")

    async def _ensure_document(self) -> None:
        if await self.records.get(EVERYTHING) is None:
            try:
                await self.records.create(EVERYTHING, NOTHING)
            except AlreadyExists:
                return

    async def _found(self, kind: PauseKind, target: str) -> Pause | None:
        return (await self.records.get(EVERYTHING) or NOTHING).going_on_of(kind, target)

    async def _lately(self) -> Pauses:
        return await self.remembered.get(EVERYTHING) or NOTHING


def _check_named(target: str, known: list[str], what: str) -> None:
    if target not in known:
        problem = FieldProblem(field="target", detail=f"no such {what}", allowed=list(known), given=target[:200])
        raise InvalidRequest(f"no {what} is called so", [problem])
