"""Tables that another version of a service has made, brought up to date at the start."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from chassis.database import Database, SchemaMismatch, insert
from sqlalchemy import Column, Integer, MetaData, Table, select, text

Urls = Callable[[str], str]

FIRST = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.create_table("shots", sa.Column("id", sa.Integer, primary_key=True))
"""
SECOND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("shots", sa.Column("takes", sa.Integer, nullable=False, server_default="1"))
    op.create_table("reels", sa.Column("id", sa.Integer, primary_key=True))
    op.create_index("shots_by_takes", "shots", ["takes"])
"""
DIES = SECOND + '    raise RuntimeError("the machine goes off")\n'


def shots(*more: Any) -> Table:
    return Table("shots", MetaData(), Column("id", Integer, primary_key=True), *more)


OLD = shots()
NEW = shots(Column("takes", Integer, nullable=False, server_default="1"))
Table("reels", NEW.metadata, Column("id", Integer, primary_key=True))


@pytest.fixture
def migrations(tmp_path: Path) -> Callable[..., Path]:
    def written(*texts: str) -> Path:
        folder = tmp_path / f"migrations-{len(texts)}-{hash(texts)}"
        folder.mkdir(exist_ok=True)
        for number, content in enumerate(texts, 1):
            (folder / f"m{number:04}.py").write_text(content)
        return folder

    return written


Written = Callable[..., Path]


async def run(database: Database, *statements: Any) -> Sequence[Any]:
    found: Sequence[Any] = []
    async with database.opened(), database.transaction() as tx:
        for statement in statements:
            result = await tx.execute(statement)
            found = [tuple(row) for row in result] if result.returns_rows else found
    return found


async def test_rows_of_the_version_before_are_there_after_an_upgrade(database_url: Urls, migrations: Written) -> None:
    url = database_url("shots")
    await run(Database(url, OLD.metadata, migrations(FIRST)), insert(OLD).values(id=7))
    for _start in range(2):
        assert await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)), select(NEW)) == [(7, 1)]
    assert await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)), text("SELECT count(*) FROM reels")) == [
        (0,)
    ]


async def test_a_fresh_database_is_of_the_newest_version(database_url: Urls, migrations: Written) -> None:
    url, folder = database_url("shots"), migrations(FIRST, SECOND)
    await run(Database(url, NEW.metadata, folder))
    assert await run(Database(url, NEW.metadata, folder), text("SELECT version_num FROM alembic_version")) == [
        ("0002",)
    ]


async def test_tables_from_before_versions_were_written_down_count_as_the_first(
    database_url: Urls, migrations: Written
) -> None:
    url = database_url("shots")
    await run(Database(url, OLD.metadata), insert(OLD).values(id=7))
    assert await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)), select(NEW)) == [(7, 1)]


async def test_an_upgrade_that_dies_half_way_has_changed_nothing(database_url: Urls, migrations: Written) -> None:
    url = database_url("shots")
    await run(Database(url, OLD.metadata, migrations(FIRST)), insert(OLD).values(id=7))
    with pytest.raises(RuntimeError, match="the machine goes off"):
        await run(Database(url, NEW.metadata, migrations(FIRST, DIES)))
    assert await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)), select(NEW)) == [(7, 1)]


async def test_the_version_before_goes_on_beside_the_new_one_and_after_a_rollback(
    database_url: Urls, migrations: Written
) -> None:
    url = database_url("shots")
    await run(Database(url, OLD.metadata, migrations(FIRST)))
    await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)))
    assert await run(Database(url, OLD.metadata, migrations(FIRST)), insert(OLD).values(id=8), select(OLD)) == [(8,)]
    assert await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)), select(NEW)) == [(8, 1)]


async def test_a_newer_database_without_what_is_needed_is_refused(database_url: Urls, migrations: Written) -> None:
    url = database_url("shots")
    await run(Database(url, OLD.metadata, migrations(FIRST)))
    await run(Database(url, OLD.metadata, migrations(FIRST)), text("UPDATE alembic_version SET version_num = '0009'"))
    with pytest.raises(SchemaMismatch, match=r"shots has nothing where takes is expected"):
        await run(Database(url, NEW.metadata, migrations(FIRST, SECOND)))
