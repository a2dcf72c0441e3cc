"""`movie-tasks keys`: a project's API keys."""

from typing import Annotated

import typer
from contracts.operations import IssuedKey, KeyView

from operator_cli.platform import as_operator, in_address
from operator_cli.selecting import duration
from operator_cli.showing import Output, OutputOption, ago, errors, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="API keys of a project.")
Project = Annotated[str, typer.Argument(help="The project's id.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it; not the key.")]


@app.command("list")
def list_keys(project: Project, output: OutputOption = Output.TABLE) -> None:
    """List a project's keys. What a key says is shown nowhere again."""
    with as_operator() as platform:
        found = platform.get(list[KeyView], f"admin/projects/{in_address(project)}/keys")
    if output is Output.JSON:
        show_json(found)
        return
    rows = [(one.id, one.label, ago(one.created_at), ago(one.expires_at), ago(one.revoked_at)) for one in found]
    show_table(f"Keys of {project}", ("id", "label", "made", "expires", "revoked"), rows, "It has none.")


@app.command()
def create(
    project: Project,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Issue a key."""
    with as_operator() as platform:
        issued = platform.send(IssuedKey, "POST", f"admin/projects/{in_address(project)}/keys", {"label": label})
    _hand_over(issued, output)


@app.command()
def rotate(
    project: Project,
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old key goes on working: 0s to 30d.")] = "24h",
    output: OutputOption = Output.TABLE,
) -> None:
    """Issue a key in place of one, which expires by itself after the grace time."""
    body = {"grace_seconds": int(duration(grace).total_seconds())}
    path = f"admin/projects/{in_address(project)}/keys/{in_address(key_id)}/rotate"
    with as_operator() as platform:
        issued = platform.send(IssuedKey, "POST", path, body)
    _hand_over(issued, output)
    errors.print(f"The old key, {key_id}, works for another {grace}.", markup=False, highlight=False)


@app.command()
def revoke(project: Project, key_id: KeyId) -> None:
    """Have a key work no more, within five seconds."""
    with as_operator() as platform:
        platform.delete(f"admin/projects/{in_address(project)}/keys/{in_address(key_id)}")
    errors.print(f"{key_id} works no more.", markup=False, highlight=False)


def _hand_over(issued: IssuedKey, output: Output) -> None:
    """The key alone goes to standard output, so that it can be piped to where it belongs and be seen by nobody."""
    if output is Output.JSON:
        show_json(issued)
    else:
        typer.echo(issued.key)
    errors.print("This is the only time that the key is shown.", style="yellow")
