"""`movie-tasks pauses`: what is paused; pause and resume a medium, a model or a project."""

from typing import Annotated

import typer
from contracts.pauses import PauseKind, PauseView

from operator_cli.platform import as_operator, in_address
from operator_cli.showing import Output, OutputOption, ago, say, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Pause and resume a medium, a model or a project.")
Kind = Annotated[PauseKind, typer.Argument(help="What kind of thing.")]
Target = Annotated[str, typer.Argument(help="Which one: image, a model's key, a project's id.")]


@app.command("list")
def list_pauses(output: OutputOption = Output.TABLE) -> None:
    """List what is paused."""
    with as_operator() as platform:
        found = platform.get(list[PauseView], "admin/pauses")
    if output is Output.JSON:
        show_json(found)
        return
    rows = [(one.kind, one.target, ago(one.since), one.by, one.reason) for one in found]
    show_table("Paused", ("kind", "target", "since", "by", "reason"), rows, "Nothing is paused.")


@app.command()
def add(
    kind: Kind,
    target: Target,
    reason: Annotated[str, typer.Option("--reason", help="Shown to everybody whose tasks wait for it.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Give nothing of it to workers until it is resumed. What runs goes on."""
    with as_operator() as platform:
        made = platform.send(PauseView, "PUT", f"admin/pauses/{kind.value}/{in_address(target)}", {"reason": reason})
    if output is Output.JSON:
        show_json(made)
    else:
        say(f"{made.in_words} It holds within five seconds.")


@app.command()
def end(kind: Kind, target: Target) -> None:
    """Resume it: what has waited starts with the next heartbeats."""
    with as_operator() as platform:
        platform.delete(f"admin/pauses/{kind.value}/{in_address(target)}")
    say(f"{kind.value.capitalize()} {target} is not paused.")
