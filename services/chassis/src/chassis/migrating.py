"""A service's tables, brought to the version that its code expects, by Alembic.

A service does it itself at its start, one replica at a time, in the transaction that it is all or
nothing in. Replicas of the version before go on meanwhile, and a rollback finds tables that are newer
than it knows: so a migration only adds, and what is no longer used is dropped a release later.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import structlog
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect
from sqlalchemy.engine import Connection

log = structlog.get_logger(__name__)

FIRST = "0001"
"""What tables are that were made before their version was written down."""


def bring_up_to_date(connection: Connection, tables: MetaData, migrations: Path) -> bool:
    """False when the tables are newer than any of `migrations`, a folder of Alembic's revisions.

    A fresh database gets `tables` as they are, without going through all that they once were.
    """
    scripts, context = scripts_in(migrations), MigrationContext.configure(connection)
    at = context.get_current_revision()
    if at is None and not set(tables.tables) & set(inspect(connection).get_table_names()):
        tables.create_all(connection, checkfirst=False)
        context.stamp(scripts, "head")
        return True
    if at is None:
        context.stamp(scripts, FIRST)
    elif at not in {script.revision for script in scripts.walk_revisions()}:
        return False
    migrate(connection, scripts)
    if (newest := scripts.get_current_head()) != at:
        log.info("tables brought up to date", before=at, now=newest, tables=sorted(tables.tables))
    return True


def migrate(connection: Connection, scripts: ScriptDirectory) -> None:
    """Takes each step from the version that the tables are of to the newest."""

    def steps(at: str | tuple[str, ...], _context: MigrationContext) -> Iterable[StampStep | RevisionStep]:
        return scripts._upgrade_revs("head", cast("str", at))  # as Alembic's own command does

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(context):
        context.run_migrations()


def scripts_in(migrations: Path) -> ScriptDirectory:
    return ScriptDirectory(migrations, version_locations=[migrations])
