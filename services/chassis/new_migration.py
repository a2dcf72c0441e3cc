"""Writes the migration from what a service's migrations make to what its tables are now, to be read and mended."""

import re
import sys
from importlib import import_module
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from chassis.migrating import migrate, scripts_in
from sqlalchemy import MetaData, create_engine

TEXT = '''"""{message}."""

import sqlalchemy as sa
from alembic import op
{imports}
revision, down_revision = "{revision}", {before!r}


def upgrade() -> None:
{body}
'''


def new_migration(service: str, message: str) -> Path:
    """The file, in the package of `service`, such as `submission`. Raises `ValueError` when nothing has changed."""
    migrations: Path = import_module(f"{service}.adapters.migrations").FOLDER
    tables: MetaData = import_module(f"{service}.adapters.tables").Table.metadata
    scripts = scripts_in(migrations)
    before = scripts.get_current_head()
    with create_engine("sqlite://").begin() as connection:
        migrate(connection, scripts)
        context = MigrationContext.configure(connection)
        upgrade = produce_migrations(context, tables).upgrade_ops
        if upgrade is None or upgrade.is_empty():
            raise ValueError(f"the tables of {service} are what its migrations make")
        body = render_python_code(upgrade, migration_context=context)
    body = body.replace("chassis.database.", "").replace("sqlmodel.sql.sqltypes.AutoString", "sa.String")
    imports = "from chassis.database import UtcDateTime\n" * ("UtcDateTime" in body)
    revision = f"{int(before or 0) + 1:04}"
    name = re.sub(r"\W+", "_", message.lower()).strip("_")
    found = migrations / f"m{revision}_{name}.py"
    text = TEXT.format(message=message, imports=imports, revision=revision, before=before, body=body)
    found.write_text("\n".join(line for line in text.splitlines() if not line.strip().startswith("#")) + "\n")
    return found


if __name__ == "__main__":
    print(new_migration(*sys.argv[1:]))
