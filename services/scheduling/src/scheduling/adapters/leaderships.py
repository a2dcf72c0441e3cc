"""Who leads, as a table of one row."""

from chassis.database import Database, insert
from sqlalchemy import select, update
from sqlmodel import col

from scheduling.adapters.tables import LeadershipRow
from scheduling.domain.leading import Leadership

ONLY_ROW = 1
BEGIN = insert(LeadershipRow).on_conflict_do_nothing().returning(col(LeadershipRow.id))


class SqlLeaderships:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Leadership | None:
        async with self._database.statement() as tx:
            row = (await tx.execute(select(LeadershipRow))).first()
        return Leadership(row.holder, row.beat, row.at) if row else None

    async def swap(self, found: Leadership | None, claimed: Leadership) -> bool:
        values = {"holder": claimed.holder, "beat": claimed.beat, "at": claimed.at}
        async with self._database.transaction() as tx:
            if found is None:
                return (await tx.execute(BEGIN, {"id": ONLY_ROW, **values})).first() is not None
            unchanged = col(LeadershipRow.holder) == found.holder, col(LeadershipRow.beat) == found.beat
            swap = update(LeadershipRow).where(*unchanged).values(values).returning(col(LeadershipRow.id))
            return (await tx.execute(swap)).first() is not None
