"""`movie-tasks webhooks`: how a project's endpoints are doing, what was sent to them, and sending it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from contracts.webhooks import (
    LONGEST_PAGE,
    BulkReplay,
    DeliveryPage,
    DeliveryState,
    DeliveryView,
    EndpointState,
    ReceiverView,
    ReplayReport,
)

from operator_cli.failing import Exit, Failed
from operator_cli.platform import Platform, as_operator, in_address
from operator_cli.selecting import duration
from operator_cli.showing import Output, OutputOption, ago, say, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="A project's webhooks: endpoints, deliveries, and sending them again.")
Project = Annotated[str, typer.Option("--project", "-p", help="Whose endpoint it is.")]
Endpoint = Annotated[str, typer.Argument(help="The endpoint's id, as `webhooks list` shows it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="So many at most, the newest.")]


class Ended(StrEnum):
    FAILED = "failed"
    DELIVERED = "delivered"


@dataclass(frozen=True)
class Outcome:
    webhook_id: str
    outcome: str


@app.command("list")
def list_endpoints(project: Project, output: OutputOption = Output.TABLE) -> None:
    """List a project's endpoints, and how they are doing."""
    with as_operator() as platform:
        found = _endpoints(platform, project)
    if output is Output.JSON:
        show_json(found)
        return
    columns = ("id", "receiver", "state", "failing since", "next probe", "disabled because")
    rows = [
        (one.id, one.receiver, one.state, ago(one.failing_since), ago(one.next_probe), one.disabled_because)
        for one in found
    ]
    show_table("Endpoints", columns, rows, "The project has none.")


@app.command()
def deliveries(
    endpoint: Endpoint,
    project: Project,
    state: Annotated[DeliveryState | None, typer.Option("--state", "-s", help="Only those that are so.")] = None,
    limit: Limit = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what was sent to an endpoint and how it went, the newest first."""
    with as_operator() as platform:
        found = list(_deliveries(platform, project, endpoint, state, limit))
    if output is Output.JSON:
        show_json(found)
        return
    rows = [(one.webhook_id, ago(one.created_at), one.type, one.state, one.tries, _answer(one)) for one in found]
    columns = ("id", "when", "type", "state", "tries", "last answer")
    show_table("Deliveries", columns, rows, "There are none like that.")


@app.command()
def replay(
    endpoint: Endpoint,
    project: Project,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of deliveries; none for all of a while.")] = None,
    since: Annotated[str, typer.Option(help="What came within this time: 30m, 2h, 3d.")] = "24h",
    until: Annotated[str | None, typer.Option(help="And longer ago than this.")] = None,
    state: Annotated[list[Ended] | None, typer.Option(help="What failed, was delivered, or both.")] = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send webhooks again, each under its own id, so that who has it already knows it."""
    with as_operator() as platform:
        if ids:
            _replay_each(platform, _path(project, endpoint), ids, dry_run, output)
        else:
            _replay_all(platform, _path(project, endpoint), _of_a_while(since, until, state, dry_run), output)


@app.command()
def enable(endpoint: Endpoint, project: Project, dry_run: DryRun = False, output: OutputOption = Output.TABLE) -> None:
    """Switch an endpoint on again: what waits for it goes out."""
    with as_operator() as platform:
        before = next((one for one in _endpoints(platform, project) if one.id == endpoint), None)
        if before is None:
            raise Failed(f"no webhook endpoint {endpoint} in this project")
        path = f"{_path(project, endpoint)}/enable"
        after = before if dry_run else platform.send(ReceiverView, "POST", path, {})
    if output is Output.JSON:
        show_json(after)
    elif before.state is EndpointState.HEALTHY:
        say("It is on, and accepts what it is sent.")
    else:
        because = f": {before.disabled_because}" if before.disabled_because else ""
        say(f"It {'would be' if dry_run else 'is'} on again. It was {before.state}{because}.")


def _replay_all(platform: Platform, path: str, wanted: BulkReplay, output: Output) -> None:
    report = platform.send(ReplayReport, "POST", f"{path}/replay", wanted)
    if output is Output.JSON:
        show_json(report)
    elif report.dry_run:
        say(f"{report.matched} would go out again{_by_state(report)}.")
    else:
        say(f"{report.replayed} go out again, after what is fresh.")


def _replay_each(platform: Platform, path: str, ids: list[str], dry_run: bool, output: Output) -> None:
    outcomes = [Outcome(one, _replay(platform, f"{path}/deliveries/{in_address(one)}", dry_run)) for one in ids]
    if output is Output.JSON:
        show_json(outcomes)
    else:
        show_table("Replay", ("id", "outcome"), [(one.webhook_id, one.outcome) for one in outcomes], "")
    if refused := sum(one.outcome.startswith("refused") for one in outcomes):
        raise Failed(f"{refused} of {len(outcomes)} were refused")


def _replay(platform: Platform, path: str, dry_run: bool) -> str:
    try:
        if dry_run:
            return f"would go out again; is {platform.get(DeliveryView, path).state}"
        platform.send(DeliveryView, "POST", f"{path}/replay", {})
    except Failed as failed:
        if failed.code is not Exit.NOT_ALL:
            raise
        return f"refused: {failed}"
    return "goes out again"


def _of_a_while(since: str, until: str | None, states: list[Ended] | None, dry_run: bool) -> BulkReplay:
    now = datetime.now(UTC)
    return BulkReplay.model_validate(
        {
            "since": now - duration(since),
            "until": now - duration(until) if until is not None else None,
            "states": [one.value for one in states or [Ended.FAILED]],
            "dry_run": dry_run,
        }
    )


def _endpoints(platform: Platform, project: str) -> list[ReceiverView]:
    return platform.get(list[ReceiverView], f"admin/webhooks/{in_address(project)}")


def _deliveries(
    platform: Platform, project: str, endpoint: str, state: DeliveryState | None, limit: int
) -> Iterator[DeliveryView]:
    cursor, left = None, limit
    while left > 0:
        page = platform.get(
            DeliveryPage,
            f"{_path(project, endpoint)}/deliveries",
            state=state,
            limit=min(left, LONGEST_PAGE),
            cursor=cursor,
        )
        yield from page.items
        left, cursor = left - len(page.items), page.next_cursor
        if cursor is None:
            return


def _path(project: str, endpoint: str) -> str:
    return f"admin/webhooks/{in_address(project)}/{in_address(endpoint)}"


def _answer(delivery: DeliveryView) -> str:
    return " ".join(str(part) for part in (delivery.last_status, delivery.last_detail) if part)


def _by_state(report: ReplayReport) -> str:
    counted = ", ".join(f"{count} {state.value}" for state, count in report.by_state.items())
    return f": {counted}" if counted else ""
