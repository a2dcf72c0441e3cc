from pathlib import Path

import pytest
from chassis.database import Database, SchemaMismatch
from sqlalchemy import Column, Integer, MetaData, Table, insert, select


def tables(*columns: str) -> MetaData:
    metadata = MetaData()
    Table("shots", metadata, Column("id", Integer, primary_key=True), *(Column(name, Integer) for name in columns))
    return metadata


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    url, metadata = f"sqlite:///{tmp_path}/x/shots.db", tables("takes")
    async with Database(url, metadata).opened():
        pass
    again = Database(url, metadata)
    async with again.opened():
        async with again.transaction() as tx:
            await tx.execute(insert(metadata.tables["shots"]), [{"id": 1, "takes": 3}])
        with pytest.raises(ZeroDivisionError):
            async with again.transaction() as tx:
                await tx.execute(insert(metadata.tables["shots"]), [{"id": 2, "takes": 1 // 0}])
        async with again.transaction() as tx:
            assert [tuple(row) for row in await tx.execute(select(metadata.tables["shots"]))] == [(1, 3)]


async def test_tables_of_another_version_are_refused_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shots.db"
    async with Database(url, tables("takes")).opened():
        pass
    with pytest.raises(SchemaMismatch, match=r"shots\.db.*shots has takes where slate is expected"):
        async with Database(url, tables("slate")).opened():
            pass


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://localhost/x"])
def test_only_an_sqlite_file_will_do(url: str) -> None:
    with pytest.raises(ValueError, match="SQLite file"):
        Database(url, tables())
