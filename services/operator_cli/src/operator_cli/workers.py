"""`movie-tasks workers`: list them, drain one, have it take work again."""

import time
from typing import Annotated

import typer
from contracts.workers import WorkerState, WorkerStatus

from operator_cli.failing import Failed
from operator_cli.platform import Platform, as_operator, in_address
from operator_cli.showing import Output, OutputOption, ago, plain, say, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Workers: what they do, and draining them.")
WorkerId = Annotated[str, typer.Argument(help="The worker's id, as `workers list` shows it.")]
Wait = Annotated[int, typer.Option("--wait", min=0, max=86_400, help="Seconds to wait until it runs nothing any more.")]

COLOURS = {WorkerState.READY: "green", WorkerState.BUSY: "green", WorkerState.DRAINING: "yellow"}
LOOK_EVERY_SECONDS = 2.0
HEARD_WITHIN_SECONDS = 20.0
"""A drain that does not show by then was not heard, and is said again."""


@app.command("list")
def list_workers(output: OutputOption = Output.TABLE) -> None:
    """List workers, and what each runs for whom."""
    with as_operator() as platform:
        found = platform.get(list[WorkerStatus], "admin/workers")
    if output is Output.JSON:
        show_json(found)
        return
    rows = [
        (
            one.worker_id, one.medium, plain(one.state.value, COLOURS.get(one.state, "red")), one.device.name,
            ", ".join(one.warm_models), ", ".join(f"{run.task_id} ({run.phase})" for run in one.runs),
            ago(one.sent_at), one.reason,
        )
        for one in found
    ]  # fmt: skip
    columns = ("id", "medium", "state", "device", "warm", "runs", "heard", "reason")
    show_table("Workers", columns, rows, "No worker was heard of lately.")


@app.command()
def drain(worker_id: WorkerId, wait: Wait = 0) -> None:
    """Have a worker take no more work; what it runs goes on. It holds until it is resumed or its process ends."""
    with as_operator() as platform:
        worker = _tell(platform, "PUT", worker_id)
        say(f"{worker_id} was told to take no more; it runs {len(worker.runs)} task(s).")
        if wait:
            _wait_until_idle(platform, worker_id, wait)


@app.command()
def resume(worker_id: WorkerId) -> None:
    """Have it take work again."""
    with as_operator() as platform:
        _tell(platform, "DELETE", worker_id)
    say(f"{worker_id} was told to take work again.")


def _tell(platform: Platform, method: str, worker_id: str) -> WorkerStatus:
    return platform.send(WorkerStatus, method, f"admin/workers/{in_address(worker_id)}/drain", {})


def _wait_until_idle(platform: Platform, worker_id: str, within: int) -> None:
    end, said_at = time.monotonic() + within, time.monotonic()
    while time.monotonic() < end:
        found = {one.worker_id: one for one in platform.get(list[WorkerStatus], "admin/workers")}
        worker = found.get(worker_id)
        if worker is None:
            say(f"{worker_id} is gone.")
            return
        if worker.state is WorkerState.DRAINING and not worker.runs:
            say(f"{worker_id} is drained: it runs nothing.")
            return
        if worker.state is not WorkerState.DRAINING and time.monotonic() - said_at > HEARD_WITHIN_SECONDS:
            said_at = time.monotonic()
            _tell(platform, "PUT", worker_id)
        time.sleep(LOOK_EVERY_SECONDS)
    raise Failed(f"{worker_id} still runs something after {within} s; see `movie-tasks workers list`")
