"""The movie demo: a scene of three shots from one request, then another prompt for one of them.

Keyframe, clip from the keyframe, sound, the two muxed into a shot, and the shots one after the other: thirteen tasks
that need each other's results. After the change only what it made stale is rendered again.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import httpx
from contracts.views import API
from httpx_sse import aconnect_sse
from PIL import Image, ImageDraw
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from embedded.credentials import load_or_create
from embedded.demo_platform import OUTPUT, DemoFailed, console, platform_of
from embedded.own_project import PROJECT, own_key
from embedded.settings import EmbeddedSettings

GRAPHS = f"{API}/projects/{PROJECT}/graphs"
DONE_WITHIN_SECONDS = 600
OVER = ("done", "failed", "cancelled")
SHOTS = (
    ("a red circle on a blue background", "a red circle moving right on a blue background", "three short beeps"),
    ("a green square on a white background", "a green square shrinking on white", "a rising sine"),
    ("a yellow triangle on a black background", "a yellow triangle moving left on black", "a low square wave"),
)
CHANGED = (1, ("a blue square on a white background", "a blue square shrinking on white", SHOTS[1][2]))
SHOWN_OF_A_SHOT = 4
TILE = (96, 96)

Shot = tuple[str, str, str]
Graph = dict[str, Any]


def scene(shots: tuple[Shot, ...]) -> dict[str, dict[str, Any]]:
    """The tasks of the scene, by names that say what each needs of which."""
    tasks: dict[str, dict[str, Any]] = {}
    for number, (frame, clip, sound) in enumerate(shots, 1):
        name = f"shot-{number}"
        tasks[f"{name}.frame"] = {"model": "tiny-image", "params": {"prompt": frame}}
        tasks[f"{name}.clip"] = {
            "model": "tiny-video-from-image",
            "params": {"prompt": clip},
            "inputs": {"image": {"from": f"{name}.frame"}},
        }
        tasks[f"{name}.sound"] = {"model": "tiny-audio", "params": {"prompt": sound}}
        tasks[name] = {
            "model": "mux",
            "params": {},
            "inputs": {"video": {"from": f"{name}.clip"}, "audio": {"from": f"{name}.sound"}},
        }
    clips = {f"clip_{number}": {"from": f"shot-{number}"} for number in range(1, len(shots) + 1)}
    return {**tasks, "scene": {"model": "concat", "params": {}, "inputs": clips}}


async def show(settings: EmbeddedSettings) -> bool:
    """Runs the demo; True when both films were made. Raises `DemoFailed` and `ProjectFailed`."""
    await asyncio.to_thread(OUTPUT.mkdir, exist_ok=True)
    async with platform_of(settings) as address:
        credentials = load_or_create(settings.data)
        async with httpx.AsyncClient(base_url=address.api, timeout=30, trust_env=False) as http:
            http.headers["X-API-Key"] = await own_key(http, credentials, settings.data)
            console.print("\nThree shots from one request:\n")
            first = await _ask(http, "POST", GRAPHS, SHOTS)
            first = await _follow(http, first)
            before = await _film(http, first, OUTPUT / "movie.mp4")
            place, shot = CHANGED
            console.print("\nAnother prompt for the second shot; what would come out the same is kept:\n")
            changed = (*SHOTS[:place], shot, *SHOTS[place + 1 :])
            second = await _follow(http, await _ask(http, "PUT", f"{GRAPHS}/{first['id']}", changed))
            after = await _film(http, second, OUTPUT / "movie-changed.mp4")
    sheet = OUTPUT / "movie.png"
    await asyncio.to_thread(_draw_sheet, {"before": before, "after": after}, sheet)
    _print_table(first, second)
    console.print(f"\nThe films lie in {OUTPUT}/, and frames of both side by side in {sheet}.")
    return True


async def _ask(http: httpx.AsyncClient, method: str, path: str, shots: tuple[Shot, ...]) -> Graph:
    headers = {"Idempotency-Key": f"movie-{secrets.token_hex(4)}"} if method == "POST" else {}
    answer = await http.request(method, path, headers=headers, json={"title": "A scene", "tasks": scene(shots)})
    if answer.is_error:
        raise DemoFailed(f"The scene was refused: {answer.text}")
    graph: Graph = answer.json()
    return graph


async def _follow(http: httpx.AsyncClient, graph: Graph) -> Graph:
    """Draws the live feed until the graph is over."""
    columns = (
        SpinnerColumn(finished_text="•"),
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[phase]:<14}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars = _Bars(progress, graph)
        try:
            async with asyncio.timeout(DONE_WITHIN_SECONDS):
                found = await _until_over(http, graph["id"], bars)
        except TimeoutError:
            raise DemoFailed(f"The scene is not done after {DONE_WITHIN_SECONDS} s; see .movie-tasks/logs") from None
    if found["status"] != "done":
        wrong = next((one for one in found["tasks"] if one["error"]), None)
        raise DemoFailed(f"{wrong['name']}: {wrong['error']['detail']}" if wrong else "The scene was not made.")
    return found


async def _until_over(http: httpx.AsyncClient, graph_id: str, bars: "_Bars") -> Graph:
    while True:
        with contextlib.suppress(httpx.TransportError):
            async with aconnect_sse(http, "GET", f"{API}/live/projects/{PROJECT}", timeout=60) as source:
                async for event in source.aiter_sse():
                    data = event.json() if event.data else {}
                    if not event.data or bars.tell(event.event, data):
                        graph: Graph = (await http.get(f"{GRAPHS}/{graph_id}")).json()
                        bars.draw(graph)
                        if graph["status"] in OVER:
                            return graph


class _Bars:
    """One bar for each task of the graph."""

    def __init__(self, progress: Progress, graph: Graph) -> None:
        self._progress = progress
        self._graph_id = graph["id"]
        self._bars = {
            one["name"]: progress.add_task(one["name"], total=1.0, phase="asked for") for one in graph["tasks"]
        }
        self._names = {one["task_id"]: one["name"] for one in graph["tasks"]}

    def tell(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Draws how far a task is; True if one has come to an end, or has begun."""
        if kind == "task.progressed.v1":
            if (name := self._names.get(data["task_id"])) is not None:
                self._progress.update(self._bars[name], completed=data["progress"]["fraction"], phase=data["phase"])
            return False
        return bool((data.get("graph") or {}).get("id") == self._graph_id)

    def draw(self, graph: Graph) -> None:
        for one in graph["tasks"]:
            bar, kept = self._bars[one["name"]], one["revision"] < graph["revision"]
            phase = "kept" if kept and one["status"] == "done" else one["phase"] or "asked for"
            self._progress.update(bar, phase=phase)
            if one["status"] == "done":
                self._progress.update(bar, completed=1.0)
                self._progress.stop_task(bar)


async def _film(http: httpx.AsyncClient, graph: Graph, path: Path) -> list[Image.Image]:
    """Downloads the film, and decodes it frame by frame."""
    [result] = [one["result"] for one in graph["tasks"] if one["name"] == "scene"]
    answer = await http.get(result["url"])
    answer.raise_for_status()
    await asyncio.to_thread(path.write_bytes, answer.content)
    return await asyncio.to_thread(_frames, path)


def _frames(path: Path) -> list[Image.Image]:
    try:
        with av.open(path) as container:
            return [frame.to_image() for frame in container.decode(video=0)]
    except (OSError, av.FFmpegError) as error:
        raise DemoFailed(f"{path} cannot be decoded: {error}") from error


def _draw_sheet(films: Mapping[str, list[Image.Image]], path: Path) -> None:
    """Frames of each shot in a row for each film."""
    width, height = TILE
    columns = SHOWN_OF_A_SHOT * len(SHOTS)
    sheet = Image.new("RGB", (columns * (width + 4), len(films) * (height + 22)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, frames) in enumerate(films.items()):
        draw.text((4, row * (height + 22) + 4), f"{name}: {len(frames)} frames", fill="black")
        for column in range(columns):
            frame = frames[column * (len(frames) - 1) // (columns - 1)]
            sheet.paste(frame.resize(TILE), (column * (width + 4), row * (height + 22) + 20))
    sheet.save(path)


def _print_table(first: Graph, second: Graph) -> None:
    before = {one["name"]: one["task_id"] for one in first["tasks"]}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("task", "model", "needs", "after the change"):
        table.add_column(column)
    for one in second["tasks"]:
        kept = before[one["name"]] == one["task_id"]
        needs = ", ".join(one["needs"]) or "–"
        table.add_row(one["name"], one["model"], needs, "kept" if kept else "[bold]made again[/bold]")
    again = sum(before[one["name"]] != one["task_id"] for one in second["tasks"])
    console.print()
    console.print(table)
    console.print(f"\n{again} of {len(before)} tasks were made again.")
