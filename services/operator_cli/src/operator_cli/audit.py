"""`movie-tasks audit`: what operators did."""

from typing import Annotated, Any

import typer
from contracts.operations import ActionView

from operator_cli.platform import as_operator
from operator_cli.showing import Output, OutputOption, ago, compact, show_json, show_table


def audit(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="So many at most, the newest.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what operators did: who, what, when, before and after."""
    with as_operator() as platform:
        found = platform.get(list[ActionView], "admin/audit", limit=limit)
    if output is Output.JSON:
        show_json(found)
        return
    rows = [(ago(one.at), one.operator, one.address, one.action, one.target, _change(one)) for one in found]
    show_table(
        "Audit", ("when", "operator", "from", "action", "target", "before → after"), rows, "Nothing was done yet."
    )


def _change(action: ActionView) -> str:
    """What is different, rather than all that there is."""
    before: dict[str, Any] = action.before if isinstance(action.before, dict) else {}
    after: dict[str, Any] = action.after if isinstance(action.after, dict) else {}
    different = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(f"{name}: {compact(before.get(name))} → {compact(after.get(name))}" for name in different)
