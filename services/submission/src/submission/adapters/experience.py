"""How long the last tasks of each model took, and how wrong their estimates were."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from cachetools import TTLCache
from chassis.database import Database, insert
from contracts.ports import Clock
from sqlalchemy import bindparam, delete, select
from sqlmodel import col

from submission.adapters.tables import FinishedRow
from submission.domain.estimates import REMEMBERED, Finished

AS_OLD_AS = timedelta(seconds=2)
MODELS_AT_ONCE = 1_000

ADD = insert(FinishedRow).on_conflict_do_nothing()
LATEST = (
    select(FinishedRow)
    .where(col(FinishedRow.model) == bindparam("of_model"))
    .order_by(col(FinishedRow.at).desc(), col(FinishedRow.task_id))
    .limit(REMEMBERED)
)
_LAST_KEPT = (
    select(col(FinishedRow.at))
    .where(col(FinishedRow.model) == bindparam("of_model"))
    .order_by(col(FinishedRow.at).desc())
    .offset(REMEMBERED - 1)
    .limit(1)
    .scalar_subquery()
)
FORGET = delete(FinishedRow).where(col(FinishedRow.model) == bindparam("of_model"), col(FinishedRow.at) < _LAST_KEPT)


class SqlExperience:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._remembered: TTLCache[str, Sequence[Finished]] = TTLCache(
            MODELS_AT_ONCE, AS_OLD_AS.total_seconds(), timer=lambda: clock.now().timestamp()
        )

    async def add(self, task_id: str, finished: Finished, at: datetime) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(ADD, {"task_id": task_id, "at": at, **asdict(finished)})
            await tx.execute(FORGET, {"of_model": finished.model})

    async def of(self, model: str) -> Sequence[Finished]:
        known = self._remembered.get(model)
        if known is None:
            async with self._database.statement() as tx:
                rows = (await tx.execute(LATEST, {"of_model": model})).all()
            known = [Finished(row.model, row.shape, row.work, row.device, row.run_seconds, row.error) for row in rows]
            self._remembered[model] = known
        return known
