"""Graphs whose submission dies, at each of its writes to the state store in turn."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from contracts.errors import DependencyUnavailable
from contracts.graphs import Graph
from contracts.tasks import Phase, Task
from contracts.topics import graph_key
from submission.app import create
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World, settle
from tests.deaths.dying import Step, as_far_as_possible
from tests.unit.submission.driving_series import Mortal


def tasks(prompt: str = "a red circle") -> dict[str, Any]:
    needs = {"image": {"from": "frame"}}
    return {
        "clip": {"model": "tiny-video-from-image", "params": {"prompt": "it grows"}, "inputs": needs},
        "frame": {"model": "tiny-image", "params": {"prompt": prompt}},
    }


@dataclass
class Submission:
    running: Running
    world: World
    state: Mortal
    key: str

    async def call(self, method: str, path: str, **options: Any) -> Any:
        url = f"/api/v1/projects/p1/graphs{path}"
        headers = {"X-API-Key": self.key} | options.pop("headers", {})
        answer = await self.running.http.request(method, url, headers=headers, **options)
        await settle(self.world)
        if answer.status_code == 503:
            raise DependencyUnavailable(answer.text)
        assert answer.is_success, answer.text
        return answer.json()

    async def ask(self, name: str) -> str:
        headers = {"Idempotency-Key": name}
        return str((await self.call("POST", "", headers=headers, json={"tasks": tasks()}))["id"])

    async def taken_up(self) -> None:
        """Whatever somebody who died has left to do is due by then."""
        self.world.clock.advance(seconds=62)
        await settle(self.world)
        for _ in range(2):
            assert await self.running.ring("submission-graphs-test") == 204
            await settle(self.world)

    async def graph(self, graph_id: str) -> Graph:
        found = await self.state.get(graph_key(graph_id))
        assert found is not None
        return Graph.model_validate_json(found.value)


@pytest.fixture
async def submission(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Submission]:
    state = world.state = Mortal()
    key = await world.add_project("p1", "k1")
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    async with serve([create(settings, world.outside)]) as running:
        yield Submission(running, world, state, key)


def change(prompt: str) -> Step[Submission]:
    return lambda submission, graph_id: submission.call("PUT", f"/{graph_id}", json={"tasks": tasks(prompt)})


async def cancel(submission: Submission, graph_id: str) -> None:
    await submission.call("DELETE", f"/{graph_id}")


async def retry(submission: Submission, graph_id: str) -> None:
    await submission.call("POST", f"/{graph_id}/retry")


STEPS: dict[str, tuple[Sequence[Step[Submission]], int]] = {
    "change": ([change("a blue circle")], 2),
    "change, and back": ([change("a blue circle"), change("a red circle")], 2),
    "two changes": ([change("a blue circle"), change("a green circle")], 2),
    "cancel": ([cancel], 0),
    "cancel, and retry": ([cancel, retry], 2),
    "change and cancel": ([change("a blue circle"), cancel], 0),
}


@pytest.mark.parametrize("happens", [False, True], ids=["before the write", "after the write"])
async def test_all_tasks_are_made_once_whenever_the_process_dies_while_it_is_asked(
    submission: Submission, happens: bool
) -> None:
    died, writes = True, 0
    while died:
        writes += 1
        submission.state.writes_left, submission.state.last_one_happens = writes, happens
        try:
            graph_id = await submission.ask(f"graph-{writes}")
        except DependencyUnavailable:
            submission.state.writes_left = None
            graph_id, writes_left = await submission.ask(f"graph-{writes}"), 0
        else:
            writes_left = submission.state.writes_left
        died, submission.state.writes_left = writes_left == 0, None
        await check(submission, graph_id, open_in_the_end=2)
    assert writes >= 3


@pytest.mark.parametrize("happens", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("name", STEPS)
async def test_nothing_is_lost_or_left_running_when_the_process_dies(
    submission: Submission, name: str, happens: bool
) -> None:
    """At each write in turn. Who was told of no success asks again; what is left to do is taken up without that."""
    steps, expected = STEPS[name]
    died, writes = True, 0
    while died:
        writes += 1
        graph_id = await submission.ask(f"graph-{writes}")
        submission.state.writes_left, submission.state.last_one_happens = writes, happens
        to_repeat = await as_far_as_possible(submission, graph_id, steps)
        died, submission.state.writes_left = submission.state.writes_left == 0, None
        for step in to_repeat:
            await step(submission, graph_id)
        await check(submission, graph_id, open_in_the_end=expected)
    assert writes >= 3


async def check(submission: Submission, graph_id: str, open_in_the_end: int) -> None:
    await submission.taken_up()
    graph = await submission.graph(graph_id)
    assert (graph.withdrawing, graph.problem) == ((), None)
    found: list[Task] = submission.state.tasks(graph_id)
    still_open = {task.id for task in found if not task.phase.terminal}
    assert len(still_open) == open_in_the_end
    if open_in_the_end:
        assert still_open == {node.task_id for node in graph.nodes}
        assert all(node.made for node in graph.nodes)
        phases = {task.graph.node: task.phase for task in found if task.graph and task.id in still_open}
        assert phases == {"frame": Phase.QUEUED, "clip": Phase.BLOCKED}
