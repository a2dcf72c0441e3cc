"""The `movie-tasks` command."""

import sys
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from operator_cli import audit, bundle, keys, letters, pauses, projects, smoke, tasks, webhooks, workers
from operator_cli.failing import Failed
from operator_cli.showing import errors, plain

HELP = """What operators of Movie Tasks see and do.

Where the platform is and what opens it come from the environment: MOVIE_TASKS_URL, MOVIE_TASKS_ADMIN_KEY (or
MOVIE_TASKS_KEY, a project's, for the smoke test), and MOVIE_TASKS_OPERATOR, the name that the audit keeps.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 the key is refused; 4 the platform does not answer.
"""

app = typer.Typer(name="movie-tasks", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(tasks.app, name="tasks")
app.add_typer(pauses.app, name="pauses")
app.add_typer(workers.app, name="workers")
app.add_typer(letters.app, name="letters")
app.add_typer(projects.app, name="projects")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
app.command()(audit.audit)
app.command("support-bundle")(bundle.support_bundle)
app.command()(smoke.smoke)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_of("movie-tasks-operator-cli"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Ends the process with the command's exit code."""
    try:
        app()
    except Failed as failed:
        errors.print(plain(f"movie-tasks: {failed}", "red"), soft_wrap=True)
        sys.exit(failed.code)
