"""What each service's migrations make is what its code expects, and what the version before can live with."""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from chassis.migrating import migrate, scripts_in
from new_migration import new_migration
from sqlalchemy import MetaData, NullPool, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

SERVICES = ("submission", "scheduling", "storage", "notification")
ADDS = re.compile(
    r"\s*(CREATE (TABLE|(UNIQUE )?INDEX)|ALTER TABLE \S+ ADD COLUMN|UPDATE alembic_version|SELECT|PRAGMA)\b"
)


def tables_of(service: str) -> MetaData:
    found: MetaData = import_module(f"{service}.adapters.tables").Table.metadata
    return found


def folder_of(service: str) -> Path:
    found: Path = import_module(f"{service}.adapters.migrations").FOLDER
    return found


def differences(connection: Connection, service: str) -> list[Any]:
    migrate(connection, scripts_in(folder_of(service)))
    found: list[Any] = compare_metadata(MigrationContext.configure(connection), tables_of(service))
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_they_make_what_the_code_expects(service: str, database_url: Callable[[str], str]) -> None:
    """Otherwise `make migration` writes what is missing."""
    url = database_url(service)
    if url.startswith("sqlite"):
        with create_engine(url).begin() as connection:
            assert differences(connection, service) == []
    else:
        async with create_async_engine(
            url.replace("postgresql:", "postgresql+asyncpg:"), poolclass=NullPool
        ).begin() as held:
            assert await held.run_sync(differences, service) == []


def taken_away(folder: Path) -> list[str]:
    """What the migrations after the first do besides adding."""
    said, engine = list[str](), create_engine("sqlite://")
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_rest: said.append(statement))
    with engine.begin() as connection:
        migrate(connection, scripts_in(folder))
    end_of_first = next(place for place, text in enumerate(said) if text.startswith("INSERT INTO alembic_version"))
    return [statement for statement in said[end_of_first + 1 :] if not ADDS.match(statement)]


@pytest.mark.parametrize("service", SERVICES)
def test_after_the_first_they_only_add(service: str) -> None:
    """Replicas of the version before read and write the same tables while an upgrade is under way."""
    assert taken_away(folder_of(service)) == []


def test_one_that_takes_away_would_be_found(tmp_path: Path) -> None:
    for revision, before, step in (
        ("0001", None, 'op.execute("CREATE TABLE shots (id INTEGER, takes INTEGER)")'),
        ("0002", "0001", 'op.execute("ALTER TABLE shots ADD COLUMN slate VARCHAR")'),
        ("0003", "0002", 'op.drop_column("shots", "takes")'),
    ):
        head = f'from alembic import op\nrevision, down_revision = "{revision}", {before!r}\n'
        (tmp_path / f"m{revision}.py").write_text(f"{head}def upgrade():\n    {step}\n")
    assert taken_away(tmp_path) == ["ALTER TABLE shots DROP COLUMN takes"]


def test_nothing_is_written_where_nothing_has_changed() -> None:
    with pytest.raises(ValueError, match="what its migrations make"):
        new_migration("storage", "Nothing")
