"""Rounds over what is due: nobody waits long for what could not be done, or for who died over it."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from chassis.database import Database
from contracts.errors import DependencyUnavailable
from contracts.testing.examples import NOON
from submission.adapters.tables import SeriesRow, Table
from submission.adapters.watched import SqlWatched
from submission.handlers.rounds import AGAIN_AFTER, LOOKED_AT_WITHIN, look_at_due

LATER = NOON + timedelta(hours=1)


@pytest.fixture
async def watched(database_url: Callable[[str], str]) -> AsyncIterator[SqlWatched]:
    database = Database(database_url("submission"), Table.metadata)
    async with database.opened():
        found = SqlWatched(database, SeriesRow)
        for name in ("one", "two"):
            await found.add(name, "p1", NOON, NOON)
        yield found


async def over(_id: str, _until: datetime) -> None:
    raise AssertionError("nothing is over")


async def test_what_could_not_be_looked_at_is_soon_looked_at_again_and_holds_up_nothing(watched: SqlWatched) -> None:
    looked_at = []

    async def look(id: str) -> datetime:
        looked_at.append(id)
        if len(looked_at) == 1:
            raise DependencyUnavailable("the state store does not answer")
        return LATER

    assert await look_at_due(watched, look, over, "series", NOON) == NOON + AGAIN_AFTER
    assert sorted(looked_at) == ["one", "two"]
    assert await look_at_due(watched, look, over, "series", NOON + AGAIN_AFTER) == LATER
    assert looked_at[2] == looked_at[0]


async def test_what_somebody_died_over_is_taken_up_soon(watched: SqlWatched) -> None:
    async def die(_id: str) -> datetime:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await look_at_due(watched, die, over, "series", NOON)
    assert await watched.next_due() == NOON + LOOKED_AT_WITHIN
