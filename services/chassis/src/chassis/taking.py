"""Due rows that replicas share, each taken by one of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, inspect, update
from sqlmodel import SQLModel

from chassis.database import Database


async def take_due(
    database: Database, query: Select[Any], table: type[SQLModel], until: datetime
) -> Sequence[Row[Any]]:
    """The rows of `table` that `query` finds, in its order, put off to `until` for everybody else.

    What another replica is quicker to take is left out. `query` holds the primary key and the column
    `due`; should the taker die, the rows are due again by then.
    """
    columns = inspect(table).local_table.c
    key = [column for column in columns if column.primary_key]
    while True:
        taken = set()
        async with database.transaction() as tx:
            found = (await tx.execute(query)).all()
            # In one order by all, so that nobody waits for somebody who waits for them.
            for row in sorted(found, key=lambda row: [getattr(row, column.name) for column in key]):
                as_seen = [column == getattr(row, column.name) for column in (*key, columns.due)]
                if (await tx.execute(update(table).where(*as_seen).values(due=until))).rowcount:
                    taken.add(row)
        if taken or not found:
            return [row for row in found if row in taken]
