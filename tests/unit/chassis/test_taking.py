import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from chassis.database import Database, UtcDateTime, insert
from chassis.taking import take_due
from contracts.testing.examples import NOON
from sqlalchemy import select
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col


class Table(SQLModel, registry=registry()):
    """Tables of this test alone."""


class Shot(Table, table=True):
    scene: int = Field(primary_key=True)
    take: int = Field(primary_key=True)
    due: datetime = Field(sa_type=UtcDateTime)


DUE = select(Shot).where(col(Shot.due) <= NOON).order_by(col(Shot.due).desc()).limit(7)
LATER = NOON + timedelta(minutes=1)
SHOTS = [
    {"scene": scene, "take": take, "due": NOON - timedelta(seconds=scene)} for scene in range(20) for take in range(10)
]


async def test_what_is_due_is_taken_by_one_replica_each(database_url: Callable[[str], str]) -> None:
    replicas = [Database(database_url("shots"), Table.metadata) for _ in range(3)]
    taken: Counter[tuple[int, int]] = Counter()

    async def take_all(database: Database) -> None:
        while found := await take_due(database, DUE, {}, Shot, LATER):
            assert len(found) <= 7
            taken.update((row.scene, row.take) for row in found)
            await asyncio.sleep(0)

    async with replicas[0].opened(), replicas[1].opened(), replicas[2].opened():
        async with replicas[0].transaction() as tx:
            await tx.execute(insert(Shot), SHOTS)
        await asyncio.gather(*(take_all(database) for database in replicas for _ in range(2)))
        async with replicas[0].transaction() as tx:
            assert set((await tx.execute(select(col(Shot.due)))).scalars()) == {LATER}
    assert len(taken) == len(SHOTS)
    assert set(taken.values()) == {1}


async def test_they_come_in_the_order_that_was_asked_for(database_url: Callable[[str], str]) -> None:
    database = Database(database_url("shots"), Table.metadata)
    async with database.opened():
        async with database.transaction() as tx:
            await tx.execute(insert(Shot), [{**shot, "scene": 20 - shot["scene"]} for shot in SHOTS])  # type: ignore[operator]
        assert [row.scene for row in await take_due(database, DUE, {}, Shot, LATER)] == [20] * 7
