"""`movie-tasks letters`: dead letters, and having them said again."""

from typing import Annotated

import typer
from contracts.operations import LetterView

from operator_cli.failing import Exit, Failed
from operator_cli.platform import Platform, as_operator, in_address
from operator_cli.showing import Output, OutputOption, ago, say, show_fields, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Dead letters: events that could not be handled.")
AppOption = Annotated[str | None, typer.Option("--app", help="That this service could not handle.")]
Topic = Annotated[str | None, typer.Option("--topic", help="Of this topic.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="So many at most, the newest.")]


@app.command("list")
def list_letters(
    app_: AppOption = None,
    topic: Topic = None,
    redriven: Annotated[bool | None, typer.Option(help="Only those that were, or were not, said again.")] = None,
    limit: Limit = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, the newest first."""
    with as_operator() as platform:
        found = _letters(platform, app_, topic, redriven, limit)
    if output is Output.JSON:
        show_json(found)
        return
    rows = [(one.id, ago(one.at), one.app, one.topic, one.reason, ago(one.redriven_at)) for one in found]
    show_table("Dead letters", ("id", "when", "app", "topic", "reason", "redriven"), rows, "There are none like that.")


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="Its id.")], output: OutputOption = Output.TABLE) -> None:
    """Show a dead letter, with what the event says."""
    with as_operator() as platform:
        found = platform.get(LetterView, f"admin/dead-letters/{in_address(letter_id)}")
    if output is Output.JSON:
        show_json(found)
    else:
        show_fields(found.model_dump(mode="json").items())


@app.command()
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids; none for all that the options leave.")] = None,
    app_: AppOption = None,
    topic: Topic = None,
    limit: Limit = 50,
    force: Annotated[bool, typer.Option("--force", help="Also what was redriven before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Publish dead letters again to their topics, each once."""
    if not ids and app_ is None and topic is None:
        raise Failed("name letters by their ids, or by --app or --topic", Exit.USAGE)
    with as_operator() as platform:
        chosen = ids or [one.id for one in _letters(platform, app_, topic, None if force else False, limit)]
        outcomes = {
            letter_id: "would be redriven" if dry_run else _redrive(platform, letter_id, force) for letter_id in chosen
        }
    if output is Output.JSON:
        show_json([{"id": letter_id, "outcome": outcome} for letter_id, outcome in outcomes.items()])
    else:
        show_table("Redrive", ("id", "outcome"), outcomes.items(), "There are none like that.")
    if refused := sum(outcome.startswith("refused") for outcome in outcomes.values()):
        raise Failed(f"{refused} of {len(outcomes)} were not redriven")
    if output is Output.TABLE and not dry_run and outcomes:
        say("What fails again becomes a dead letter again: see `movie-tasks letters list --no-redriven`.")


def _letters(
    platform: Platform, app_: str | None, topic: str | None, redriven: bool | None, limit: int
) -> list[LetterView]:
    return platform.get(list[LetterView], "admin/dead-letters", app=app_, topic=topic, redriven=redriven, limit=limit)


def _redrive(platform: Platform, letter_id: str, force: bool) -> str:
    try:
        platform.send(LetterView, "POST", f"admin/dead-letters/{in_address(letter_id)}/redrive", {"force": force})
    except Failed as failed:
        if failed.code is not Exit.NOT_ALL:
            raise
        return f"refused: {failed}"
    return "redriven"
