"""Who leads, as a table of one row."""

from dataclasses import asdict

from chassis.database import Database, insert
from sqlalchemy import bindparam, select, update
from sqlmodel import col

from scheduling.adapters.tables import LeadershipRow
from scheduling.domain.leading import Leadership

ONLY_ROW = 1
BEGIN = insert(LeadershipRow).on_conflict_do_nothing().returning(col(LeadershipRow.id))
READ = select(LeadershipRow)
SWAP = (
    update(LeadershipRow)
    .where(col(LeadershipRow.holder) == bindparam("found_holder"), col(LeadershipRow.beat) == bindparam("found_beat"))
    .values({name: bindparam(f"new_{name}") for name in ("holder", "beat", "at")})
    .returning(col(LeadershipRow.id))
)


class SqlLeaderships:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Leadership | None:
        async with self._database.statement() as tx:
            row = (await tx.execute(READ)).first()
        return Leadership(row.holder, row.beat, row.at) if row else None

    async def swap(self, found: Leadership | None, claimed: Leadership) -> bool:
        async with self._database.statement() as tx:
            if found is None:
                return (await tx.execute(BEGIN, {"id": ONLY_ROW, **asdict(claimed)})).first() is not None
            new = {f"new_{name}": value for name, value in asdict(claimed).items()}
            swapped = await tx.execute(SWAP, {"found_holder": found.holder, "found_beat": found.beat, **new})
            return swapped.first() is not None
