from collections.abc import Callable

import pytest
from chassis.database import Database, SchemaMismatch, insert
from contracts.errors import DependencyUnavailable
from sqlalchemy import Column, Integer, MetaData, Table, select

Urls = Callable[[str], str]


def tables(*columns: str) -> MetaData:
    metadata = MetaData()
    Table("shots", metadata, Column("id", Integer, primary_key=True), *(Column(name, Integer) for name in columns))
    return metadata


async def test_what_was_committed_is_there_after_a_restart(database_url: Urls) -> None:
    url, metadata = database_url("shots"), tables("takes")
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


async def test_a_row_that_is_there_is_kept_or_replaced_as_the_insert_says(database_url: Urls) -> None:
    metadata = tables("takes")
    shots = metadata.tables["shots"]
    add = insert(shots)
    replace = add.on_conflict_do_update(
        index_elements=["id"], set_={"takes": add.excluded.takes}, where=shots.c.takes < add.excluded.takes
    )
    database = Database(database_url("shots"), metadata)
    async with database.opened(), database.transaction() as tx:
        for statement, takes, changed in (
            (replace, 1, 1),
            (add.on_conflict_do_nothing(), 2, 0),
            (replace, 3, 1),
            (replace, 2, 0),
        ):
            assert (await tx.execute(statement, {"id": 1, "takes": takes})).rowcount == changed
        assert (await tx.execute(select(shots.c.takes))).scalars().all() == [3]


async def test_tables_of_another_version_are_refused_at_once(database_url: Urls) -> None:
    url = database_url("shots")
    async with Database(url, tables("takes")).opened():
        pass
    with pytest.raises(SchemaMismatch, match=r"shots.*shots has takes where slate is expected"):
        async with Database(url, tables("slate")).opened():
            pass


async def test_is_ready_while_it_is_open(database_url: Urls) -> None:
    database = Database(database_url("shots"), tables())
    with pytest.raises(DependencyUnavailable, match=r"shots.* is not open"):
        await database.check()
    async with database.opened():
        await database.check()


@pytest.mark.parametrize(
    "url", ["sqlite://", "postgresql://me:secret@localhost", "mysql://me:secret@localhost/x", "me:secret"]
)
def test_only_a_file_or_a_postgres_database_will_do_and_no_password_is_shown(url: str) -> None:
    with pytest.raises(ValueError, match="private tables") as raised:
        Database(url, tables())
    assert "secret" not in str(raised.value)
