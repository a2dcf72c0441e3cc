"""What workers have before them, counted over all projects."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cachetools import TTLCache
from chassis.database import Database
from contracts.media import Medium
from contracts.ports import Clock
from contracts.tasks import Phase, Task
from contracts.workers import TAKES_WORK
from sqlalchemy import and_, func, or_, select
from sqlmodel import col

from submission.adapters.read_model import BY_RANK, WAITING_PHASES
from submission.adapters.tables import TaskRow
from submission.domain.estimates import Backlog, Waiting
from submission.ports import Workers

AS_OLD_AS = timedelta(seconds=2)
ON_A_DEVICE = [Phase.ASSIGNED.value, Phase.LOADING_MODEL.value, Phase.GENERATING.value]
NOT_BEGUN = [phase for phase in WAITING_PHASES if phase not in ON_A_DEVICE]

GROUPS = (col(TaskRow.medium), col(TaskRow.phase), col(TaskRow.project_id), col(TaskRow.model), col(TaskRow.priority))
COUNTED = (
    select(*GROUPS, func.count().label("number"))
    .where(col(TaskRow.phase).in_([*NOT_BEGUN, *ON_A_DEVICE]))
    .group_by(*GROUPS)
)


class SqlBacklogs:
    def __init__(self, database: Database, workers: Workers, clock: Clock) -> None:
        self._database = database
        self._workers = workers
        self._remembered: TTLCache[str, Sequence[Any]] = TTLCache(
            1, AS_OLD_AS.total_seconds(), timer=lambda: clock.now().timestamp()
        )

    async def of(self, medium: Medium, model: str) -> Backlog:
        rows = [row for row in await self._counted() if row.medium == medium.value]
        running: dict[str, int] = {}
        for row in rows:
            if row.phase in ON_A_DEVICE:
                running[row.model] = running.get(row.model, 0) + row.number
        able = [
            worker
            for worker in self._workers.all()
            if worker.medium is medium and worker.state in TAKES_WORK and model in worker.models
        ]
        return Backlog(
            waiting=[
                Waiting(row.project_id, row.model, BY_RANK[row.priority], row.number)
                for row in rows
                if row.phase in NOT_BEGUN
            ],
            running=running,
            slots=sum(worker.slots for worker in able),
            devices=frozenset(worker.device.name for worker in able),
        )

    async def own_ahead(self, task: Task) -> int:
        earlier = and_(col(TaskRow.priority) == task.priority.rank, col(TaskRow.created_at) < task.created_at)
        query = select(func.count()).where(
            col(TaskRow.project_id) == task.project_id,
            col(TaskRow.medium) == task.medium.value,
            col(TaskRow.phase).in_(NOT_BEGUN),
            or_(col(TaskRow.priority) > task.priority.rank, earlier),
        )
        async with self._database.statement() as tx:
            return int((await tx.execute(query)).scalar() or 0)

    async def _counted(self) -> Sequence[Any]:
        known = self._remembered.get("all")
        if known is None:
            async with self._database.statement() as tx:
                known = (await tx.execute(COUNTED)).all()
            self._remembered["all"] = known
        return known
