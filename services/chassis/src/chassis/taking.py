"""Due rows that replicas share, each taken by one of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, Update, bindparam, inspect, update
from sqlmodel import SQLModel

from chassis.database import Database


async def take_due(
    database: Database, query: Select[Any], values: Mapping[str, Any], table: type[SQLModel], until: datetime
) -> Sequence[Row[Any]]:
    """The rows of `table` that `query` finds for these values, in its order, put off to `until` for everybody else.

    What another replica is quicker to take is left out. `query` holds the primary key and the column
    `due`; should the taker die, the rows are due again by then.
    """
    key = [column.name for column in inspect(table).primary_key]

    def of(row: Row[Any]) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in key)

    while True:
        taken = set()
        async with database.transaction() as tx:
            found = (await tx.execute(query, values)).all()
            # In one order by all, so that nobody waits for somebody who waits for them.
            for row in sorted(found, key=of):
                as_seen = {f"seen_{name}": getattr(row, name) for name in (*key, "due")}
                if (await tx.execute(_put_off(table), {"until": until, **as_seen})).rowcount:
                    taken.add(of(row))
        if taken or not found:
            return [row for row in found if of(row) in taken]


@cache
def _put_off(table: type[SQLModel]) -> Update:
    """Of one row, unless it has changed since it was seen."""
    columns = inspect(table).local_table.c
    as_seen = [column for column in columns if column.primary_key or column.name == "due"]
    unchanged = [column == bindparam(f"seen_{column.name}") for column in as_seen]
    return update(table).where(*unchanged).values(due=bindparam("until"))
