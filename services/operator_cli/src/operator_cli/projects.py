"""`movie-tasks projects`: what keys, tasks and budgets belong to."""

from typing import Annotated

import typer
from contracts.budgets import Budget, Per
from contracts.errors import AlreadyExists
from contracts.projects import Project

from operator_cli.failing import Failed
from operator_cli.platform import Platform, as_operator
from operator_cli.showing import Output, OutputOption, ago, say, show_json, show_table

PROJECTS = "admin/projects"
app = typer.Typer(no_args_is_help=True, help="Projects: list them, make one.")


@app.command("list")
def list_projects(output: OutputOption = Output.TABLE) -> None:
    """List all projects."""
    with as_operator() as platform:
        found = platform.get(list[Project], PROJECTS)
    if output is Output.JSON:
        show_json(found)
        return
    rows = [
        (one.id, one.name, "active" if one.active else "suspended", _in_words(one.budget), ago(one.created_at))
        for one in found
    ]
    show_table("Projects", ("id", "name", "state", "budget", "made"), rows, "There is none.")


@app.command()
def create(
    project: Annotated[str, typer.Argument(help="Its id, by which keys and requests name it.")],
    name: Annotated[str, typer.Option(help="What people call it; by default as its id.")] = "",
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="One that is there already stays as it is, and is no error.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a project. It has no key at first."""
    with as_operator() as platform:
        try:
            made = platform.send(Project, "POST", PROJECTS, {"id": project, "name": name or project})
            said = f"Project {project} was made. `movie-tasks keys create {project}` issues a key of it."
        except Failed as failed:
            if not if_missing or failed.problem != AlreadyExists.code:
                raise
            made = _existing(platform, project)
            said = f"Project {project} is there already, and stays as it is."
    if output is Output.JSON:
        show_json(made)
    else:
        say(said)


def _existing(platform: Platform, project: str) -> Project:
    return next(one for one in platform.get(list[Project], PROJECTS) if one.id == project)


def _in_words(budget: Budget | None) -> str:
    if budget is None:
        return ""
    return f"{budget.gpu_seconds:.10g} GPU-seconds {'per month' if budget.per is Per.MONTH else 'in all'}"
