"""The demo: three tasks, one per medium, asked for the way a content management system would.

Everything goes through the doors that others use: the requests are published to the sidecar as
CloudEvents, progress comes from the live feed, the end by signed webhook, and the files through the API.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import httpx
from contracts.views import API
from httpx_sse import aconnect_sse
from PIL import Image
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from embedded.address import Address
from embedded.credentials import Credentials, load_or_create
from embedded.demo_platform import OUTPUT, DemoFailed, console, platform_of
from embedded.own_project import PROJECT, own_key
from embedded.receiver import receiver
from embedded.settings import EmbeddedSettings

DONE_WITHIN_SECONDS = 300
ENDED = ("done", "failed", "cancelled", "expired")

REQUESTS: Mapping[str, dict[str, Any]] = {
    "image": {"model": "tiny-image", "params": {"prompt": "a red circle on a blue background", "steps": 20}},
    "video": {"model": "tiny-video", "params": {"prompt": "a green square growing"}},
    "audio": {"model": "tiny-audio", "params": {"prompt": "three short beeps", "seconds": 2, "steps": 30}},
}


@dataclass
class Wanted:
    """One of the three tasks, as far as it is known."""

    request_id: str
    name: str
    bar: TaskID
    task: dict[str, Any] = field(default_factory=dict)
    told_by_webhook: bool = False
    file: Path | None = None

    @property
    def ended(self) -> bool:
        return self.task.get("status") in ENDED


async def show(settings: EmbeddedSettings) -> bool:
    """Runs the demo; True when all three media were made, told of and can be opened. Raises `DemoFailed`
    and `ProjectFailed`."""
    await asyncio.to_thread(OUTPUT.mkdir, exist_ok=True)
    async with platform_of(settings) as address:
        credentials = load_or_create(settings.data)
        async with httpx.AsyncClient(base_url=address.api, timeout=30, trust_env=False) as http:
            http.headers["X-API-Key"] = await own_key(http, credentials, settings.data)
            wanted = await _make(http, address, credentials)
    _print_table(list(wanted.values()))
    return all(one.file is not None and one.told_by_webhook for one in wanted.values())


async def _make(http: httpx.AsyncClient, address: Address, credentials: Credentials) -> dict[str, Wanted]:
    """Publishes the requests and follows them to their end."""
    columns = (
        SpinnerColumn(finished_text="•"),
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[phase]:<14}"),
        TimeElapsedColumn(),
    )
    run = secrets.token_hex(4)
    with Progress(*columns, console=console) as progress:
        wanted = {}
        for medium, request in REQUESTS.items():
            bar = progress.add_task(f"{medium} · {request['model']}", total=1.0, phase="asked for")
            request_id = f"demo-{run}-{medium}"
            wanted[request_id] = Wanted(request_id, medium, bar)

        def told(data: Mapping[str, Any]) -> None:
            one = wanted.get(data.get("client_ref") or "")
            if one is not None:
                one.told_by_webhook = True

        async with receiver(http, told):
            following = asyncio.create_task(_follow(http, wanted, progress))
            for one in wanted.values():
                await _publish(address, credentials, one)
            try:
                await asyncio.wait_for(following, DONE_WITHIN_SECONDS)
            except TimeoutError:
                raise DemoFailed(
                    f"Not all tasks have ended after {DONE_WITHIN_SECONDS} s; see .movie-tasks/logs"
                ) from None
            await _wait_for_webhooks(wanted)
    for one in wanted.values():
        if one.task["status"] == "done":
            one.file = await _download(http, one)
            await asyncio.to_thread(_check_decodes, one.file, one.name)
    return wanted


async def _publish(address: Address, credentials: Credentials, one: Wanted) -> None:
    """The request as PayloadCMS sends it: a CloudEvent to the sidecar's publish API."""
    event = {
        "specversion": "1.0",
        "id": one.request_id,
        "source": "/demo",
        "type": "task.requested.v1",
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": {"project_id": PROJECT, "client_ref": one.request_id, "tags": ["demo"], **REQUESTS[one.name]},
    }
    async with httpx.AsyncClient(base_url=address.dapr, timeout=10, trust_env=False) as sidecar:
        answer = await sidecar.post(
            "/v1.0/publish/events/task-requests",
            content=json.dumps(event),
            headers={"Content-Type": "application/cloudevents+json", "dapr-api-token": credentials.dapr_api_token},
        )
        answer.raise_for_status()


async def _follow(http: httpx.AsyncClient, wanted: Mapping[str, Wanted], progress: Progress) -> None:
    """Draws the live feed until all three have ended."""
    while not all(one.ended for one in wanted.values()):
        with contextlib.suppress(httpx.TransportError):
            async with aconnect_sse(http, "GET", f"{API}/live/projects/{PROJECT}", timeout=60) as source:
                await _catch_up(http, wanted, progress)
                async for event in source.aiter_sse():
                    if event.data:
                        _draw(event.event, event.json(), wanted, progress)
                    if all(one.ended for one in wanted.values()):
                        return


async def _catch_up(http: httpx.AsyncClient, wanted: Mapping[str, Wanted], progress: Progress) -> None:
    """What happened before the feed was open."""
    page = (await http.get(f"{API}/projects/{PROJECT}/tasks", params={"tag": "demo", "limit": 20})).json()
    for task in page["items"]:
        _draw("task.updated", task, wanted, progress)


def _draw(kind: str, data: dict[str, Any], wanted: Mapping[str, Wanted], progress: Progress) -> None:
    if kind == "task.rejected.v1":
        raise DemoFailed(f"A request was rejected: {data['problem']['detail']}")
    if kind == "task.progressed.v1":
        for one in wanted.values():
            if one.task.get("id") == data["task_id"] and not one.ended:
                progress.update(one.bar, completed=data["progress"]["fraction"], phase=data["phase"])
        return
    found = wanted.get(data.get("client_ref") or "")
    if found is not None and data["seq"] > found.task.get("seq", 0):
        found.task = data
        progress.update(found.bar, phase=data["phase"])
        if found.ended:
            progress.update(found.bar, completed=1.0)
            progress.stop_task(found.bar)


async def _wait_for_webhooks(wanted: Mapping[str, Wanted]) -> None:
    for _ in range(100):
        if all(one.told_by_webhook for one in wanted.values()):
            return
        await asyncio.sleep(0.1)


async def _download(http: httpx.AsyncClient, one: Wanted) -> Path:
    result = one.task["result"]
    answer = await http.get(result["url"])
    answer.raise_for_status()
    path = OUTPUT / f"{one.name}.{result['content_type'].partition('/')[2]}"
    await asyncio.to_thread(path.write_bytes, answer.content)
    return path


def _check_decodes(path: Path, medium: str) -> None:
    try:
        if medium == "image":
            with Image.open(path) as image:
                image.load()
        else:
            with av.open(path) as container:
                if not any(True for _ in container.decode(0)):
                    raise DemoFailed(f"{path} holds no {medium}")
    except (OSError, av.FFmpegError) as error:
        raise DemoFailed(f"{path} cannot be decoded: {error}") from error


def _print_table(wanted: list[Wanted]) -> None:
    """Fits into 80 columns."""
    phases = {
        "queued": "queue",
        "assigned": "assign",
        "loading_model": "load",
        "generating": "generate",
        "encoding": "encode",
        "storing": "store",
    }
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("task", "model", "status"):
        table.add_column(column)
    for heading in phases.values():
        table.add_column(heading, justify="right")
    table.add_column("file", overflow="fold")
    for one in wanted:
        spent = one.task.get("phase_seconds", {})
        table.add_row(
            one.task["id"][:8],
            one.task["model"],
            one.task["status"],
            *(f"{spent[phase]:.2f}" if phase in spent else "–" for phase in phases),
            one.file.name if one.file else (one.task.get("error") or {}).get("detail", "–"),
        )
    told = sum(one.told_by_webhook for one in wanted)
    console.print("\nWhat was made, and the seconds it spent in each phase:\n")
    console.print(table)
    console.print(f"\n{told} of {len(wanted)} ends were announced by signed webhook. The files lie in {OUTPUT}/.")
