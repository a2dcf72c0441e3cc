"""Graphs, from the point of view of who asks for them, and of who should not."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from contracts.events import task_changed
from contracts.records import TaskRecords
from contracts.tasks import Advance, Assign, Complete, Fail, Phase, Produce, Skip, Status, Task
from contracts.testing.examples import NOON, a_problem, media_result, produced_media
from submission.handlers.accepting import Acceptance
from submission.handlers.changing import TaskChanges

from tests.conftest import settle
from tests.contract.conftest import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"
PATH = "/projects/p1/graphs"
Tasks = dict[str, dict[str, Any]]


def prompt(text: str) -> dict[str, str]:
    return {"prompt": text}


def a_shot(frame: str = "a red circle", sound: str = "a low sine", **more: Any) -> Tasks:
    return {
        "film": {"model": "mux", "params": {}, "inputs": {"video": {"from": "clip"}, "audio": {"from": "sound"}}},
        "sound": {"model": "tiny-audio", "params": prompt(sound)},
        "clip": {
            "model": "tiny-video-from-image", "params": prompt("it grows"), "inputs": {"image": {"from": "frame"}},
        },
        "frame": {"model": "tiny-image", "params": prompt(frame)},
    } | more  # fmt: skip


async def ask(api: Api, tasks: Tasks, *, idempotency_key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    answer = await api.call("POST", PATH, headers=headers, json={"tasks": tasks} | fields)
    await settle(api.world)
    return answer


class Asked:
    """A graph that was asked for, and what becomes of its tasks elsewhere."""

    def __init__(self, api: Api, graph_id: str) -> None:
        self.api, self.path = api, f"{PATH}/{graph_id}"
        self.records = TaskRecords(api.world.state, api.world.clock)

    async def look(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.call("GET", self.path)).json()
        return found

    async def ids(self) -> dict[str, str]:
        return {one["name"]: one["task_id"] for one in (await self.look())["tasks"]}

    async def phases(self) -> dict[str, str | None]:
        return {one["name"]: one["phase"] for one in (await self.look())["tasks"]}

    async def put(self, tasks: Tasks, **fields: Any) -> httpx.Response:
        answer = await self.api.call("PUT", self.path, json={"tasks": tasks} | fields)
        await self.settle()
        return answer

    async def retry(self, **body: Any) -> httpx.Response:
        answer = await self.api.call("POST", f"{self.path}/retry", json=body)
        await self.settle()
        return answer

    async def settle(self) -> None:
        """Until all that submission does is done and heard."""
        await settle(self.api.world)
        for message in list(self.api.world.bus.messages):
            await self.api.running.deliver(message)
        self.api.world.bus.messages.clear()

    async def end(self, name: str, *moves: Callable[[Task], Any]) -> None:
        task_id = (await self.ids())[name]
        for move in moves:
            task = await self.records.change(task_id, move)
        await self.api.running.deliver(task_changed(task, "test"))

    async def run(self, name: str, *then: Callable[[Task], Any]) -> None:
        began = (lambda _: Assign("worker-1", NOON), lambda t: Advance(t.attempt, Phase.GENERATING))
        await self.end(name, *began, *then)

    async def finish(self, name: str) -> None:
        await self.run(
            name,
            lambda task: Produce(task.attempt, produced_media(task, task.attempt), NOON),
            lambda task: Complete(task.attempt, media_result(task, task.attempt)),
        )

    async def fail(self, name: str) -> None:
        await self.run(name, lambda task: Fail(task.attempt, a_problem()))

    async def skip(self, name: str) -> None:
        await self.end(name, lambda _task: Skip(a_problem()))


async def asked(api: Api, tasks: Tasks | None = None, **fields: Any) -> Asked:
    answer = await ask(api, tasks or a_shot(), **fields)
    assert answer.status_code == 202, answer.text
    graph = Asked(api, answer.json()["id"])
    await graph.settle()
    return graph


class TestAsking:
    async def test_its_tasks_are_made_in_order_and_say_what_they_are_for(self, api: Api) -> None:
        graph = await asked(api, title="Shot 1")
        found = await graph.look()
        assert (found["title"], found["status"], found["size"], found["revision"]) == ("Shot 1", "pending", 4, 1)
        names = [one["name"] for one in found["tasks"]]
        assert names.index("frame") < names.index("clip") < names.index("film") == 3
        assert await graph.phases() == {"frame": "queued", "sound": "queued", "clip": "blocked", "film": "blocked"}
        ids = await graph.ids()
        film = (await api.call("GET", f"/tasks/{ids['film']}/status")).json()
        assert film["needs"] == {"video": ids["clip"], "audio": ids["sound"]}
        assert film["graph"] == {"id": found["id"], "node": "film"}
        assert [one["needs"] for one in found["tasks"] if one["name"] == "film"] == [["clip", "sound"]]
        assert found["p50_at"] < found["p90_at"]

    async def test_it_is_rolled_up(self, api: Api) -> None:
        graph = await asked(api)
        await graph.finish("frame")
        found = await graph.look()
        assert (found["status"], found["by_status"]) == ("processing", {"pending": 3, "done": 1})
        [frame] = [one for one in found["tasks"] if one["name"] == "frame"]
        assert frame["result"]["url"].startswith("/api/v1/media/")

    async def test_the_same_key_and_body_meet_the_same_graph(self, api: Api) -> None:
        first = await ask(api, a_shot(), idempotency_key="a")
        again = await ask(api, a_shot(), idempotency_key="a")
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        other = await ask(api, a_shot("a blue circle"), idempotency_key="a")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")
        await Asked(api, first.json()["id"]).settle()
        assert len((await api.call("GET", "/projects/p1/tasks")).json()["items"]) == 4

    async def test_graphs_are_listed_in_pages_the_newest_first(self, api: Api) -> None:
        ids = []
        for _ in range(3):
            ids.append((await ask(api, a_shot())).json()["id"])
            api.world.clock.advance(seconds=1)
        page = (await api.call("GET", PATH, params={"limit": 2})).json()
        assert [one["id"] for one in page["items"]] == ids[:0:-1]
        rest = (await api.call("GET", PATH, params={"limit": 2, "cursor": page["next_cursor"]})).json()
        assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == (ids[:1], None)

    async def test_files_and_tasks_of_the_project_may_go_in_as_well(self, api: Api) -> None:
        frame = (await api.submit()).json()["id"]
        clip = {"model": "tiny-video-from-image", "params": prompt("x"), "inputs": {"image": {"from_task": frame}}}
        graph = await asked(api, {"clip": clip})
        assert await graph.phases() == {"clip": "blocked"}


class TestChanging:
    async def test_only_what_a_changed_prompt_makes_stale_is_made_again(self, api: Api) -> None:
        graph = await asked(api)
        await graph.finish("frame")
        await graph.finish("sound")
        before = await graph.ids()
        answer = await graph.put(a_shot(sound="a rising sine"))
        assert answer.status_code == 202
        found, after = await graph.look(), await graph.ids()
        assert {name for name in after if after[name] != before[name]} == {"sound", "film"}
        assert {one["name"]: one["revision"] for one in found["tasks"]} == {
            "frame": 1, "clip": 1, "sound": 2, "film": 2,
        }  # fmt: skip
        assert await graph.phases() == {"frame": "done", "clip": "blocked", "sound": "queued", "film": "blocked"}
        old = (await api.call("GET", f"/tasks/{before['film']}/status")).json()
        assert old["phase"] == "cancelled", "nobody wants it any more"
        kept = (await api.call("GET", f"/tasks/{before['sound']}/status")).json()
        assert kept["phase"] == "done", "it may be wanted again"

    async def test_what_was_made_before_is_there_when_it_is_wanted_again(self, api: Api) -> None:
        graph = await asked(api)
        for name in ("frame", "sound"):
            await graph.finish(name)
        before = await graph.ids()
        await graph.put(a_shot("a blue circle"))
        await graph.put(a_shot())
        assert await graph.ids() == before
        assert await graph.phases() == {"frame": "done", "sound": "done", "clip": "blocked", "film": "blocked"}

    @pytest.mark.parametrize("change", [{"title": "x"}, {"tags": ["x"]}, {"priority": "high"}, {"client_ref": "x"}])
    async def test_what_does_not_change_the_result_makes_nothing_stale(self, api: Api, change: dict[str, Any]) -> None:
        graph = await asked(api)
        before = await graph.look()
        await graph.put({name: request | change for name, request in a_shot().items()})
        after = await graph.look()
        assert (after["tasks"], after["revision"]) == (before["tasks"], 1)

    async def test_what_failed_is_made_again(self, api: Api) -> None:
        graph = await asked(api)
        await graph.fail("frame")
        await graph.skip("clip")
        await graph.put(a_shot())
        assert await graph.phases() == {"frame": "queued", "sound": "queued", "clip": "blocked", "film": "blocked"}

    async def test_times_that_have_passed_since_do_not_keep_it_from_being_changed(self, api: Api) -> None:
        due = {"due_at": "2026-01-01T13:00:00Z"}
        graph = await asked(api, {name: request | due for name, request in a_shot().items()})
        api.world.clock.advance(hours=2)
        changed = {name: request | due for name, request in a_shot().items()} | {"more": a_shot()["sound"]}
        assert (await graph.put(changed)).status_code == 202
        refused = await graph.put(changed | {"late": a_shot()["sound"] | due | {"params": prompt("late")}})
        assert [one["field"] for one in refused.json()["errors"]] == ["tasks.late.due_at"]

    async def test_a_change_that_cannot_be_changes_nothing(self, api: Api) -> None:
        graph = await asked(api)
        before = await graph.look()
        refused = await graph.put(a_shot() | {"frame": {"model": "none", "params": {}}})
        assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, ["tasks.frame.model"])
        assert await graph.look() == before


class TestCancellingAndRetrying:
    async def test_all_that_has_not_ended_is_cancelled(self, api: Api) -> None:
        graph = await asked(api)
        await graph.finish("frame")
        answer = await api.call("DELETE", graph.path)
        await graph.settle()
        assert answer.status_code == 200
        assert await graph.phases() == {
            "frame": "done", "sound": "cancelled", "clip": "cancelled", "film": "cancelled",
        }  # fmt: skip
        found = await graph.look()
        assert (found["status"], found["cancelled"]) == ("cancelled", True)

    async def test_a_subtree_is_retried(self, api: Api) -> None:
        graph = await asked(api)
        await graph.fail("frame")
        for name in ("clip", "film"):
            await graph.skip(name)
        await graph.fail("sound")
        assert (await graph.look())["status"] == Status.FAILED
        assert (await graph.retry(task="frame")).status_code == 202
        assert await graph.phases() == {"frame": "queued", "clip": "blocked", "film": "blocked", "sound": "failed"}
        await graph.retry()
        assert (await graph.phases())["sound"] == "queued"

    async def test_what_is_done_or_goes_on_is_left_alone(self, api: Api) -> None:
        graph = await asked(api)
        await graph.finish("frame")
        before = await graph.look()
        await graph.retry()
        assert (await graph.look())["tasks"] == before["tasks"]

    async def test_an_unknown_task_is_told_which_there_are(self, api: Api) -> None:
        graph = await asked(api)
        refused = await graph.retry(task="nobody")
        [problem] = refused.json()["errors"]
        assert (refused.status_code, problem["field"], set(problem["allowed"])) == (422, "task", set(a_shot()))


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({"frame": {"model": "none", "params": {}}}, {"tasks.frame.model"}),
            ({"frame": {"model": "tiny-image", "params": {}}}, {"tasks.frame.params.prompt"}),
            (
                {"frame": {"model": "tiny-image"}, "sound": {"model": "tiny-audio", "params": prompt("x" * 3000)}},
                {"tasks.frame.params", "tasks.sound.params.prompt"},
            ),
            ({"clip": a_shot()["clip"] | {"inputs": {"image": {"from": "sound"}}}}, {"tasks.clip.inputs.image"}),
            ({"clip": a_shot()["clip"] | {"inputs": {"image": {"from": "clip"}}}}, {"tasks.clip.inputs"}),
            ({"clip": a_shot()["clip"] | {"inputs": {"image": {"from": "x"}}}}, {"tasks.clip.inputs.image.from"}),
            ({"clip": a_shot()["clip"] | {"inputs": {"image": {"from": 7}}}}, {"tasks.clip.inputs.image"}),
            ({"clip": a_shot()["clip"] | {"inputs": {"image": {"from_task": UNKNOWN}}}}, {"tasks.clip.inputs.image"}),
            ({"clip": a_shot()["clip"] | {"inputs": {"image": UNKNOWN}}}, {"tasks.clip.inputs.image"}),
            ({"frame": a_shot()["frame"] | {"due_at": "2020-01-01T00:00:00Z"}}, {"tasks.frame.due_at"}),
            ({"../x": a_shot()["frame"]}, {"tasks.../x.[key]"}),
        ],
    )
    async def test_what_cannot_be_is_told_by_name_and_nothing_is_made(
        self, api: Api, change: Tasks, fields: set[str]
    ) -> None:
        answer = await ask(api, a_shot() | change)
        assert answer.status_code == 422, answer.text
        assert {one["field"] for one in answer.json()["errors"]} == fields
        assert api.world.bus.messages == []
        assert (await api.call("GET", PATH)).json()["items"] == []

    async def test_a_circle(self, api: Api) -> None:
        clip = a_shot()["clip"] | {"inputs": {"image": {"from": "film"}}}
        answer = await ask(api, a_shot(clip=clip))
        assert answer.status_code == 422
        assert "would wait for itself" in answer.json()["errors"][0]["detail"]

    async def test_none_and_too_many(self, api: Api) -> None:
        assert (await ask(api, {})).json()["errors"][0]["allowed"] == {"min": 1, "max": 256}
        frame = {"model": "tiny-image", "params": prompt("x")}
        many = await ask(api, {f"n{number}": frame for number in range(1000)})
        assert (many.status_code, many.json()["errors"][0]["given"]) == (422, 1000)
        assert (await ask(api, {f"n{number}": frame for number in range(10_000)})).status_code == 413

    async def test_the_files_and_tasks_of_another_project(self, api: Api) -> None:
        foreign = (await api.submit(key=api.stranger)).json()["id"]
        clip = a_shot()["clip"]
        theirs, none = [
            (await ask(api, {"clip": clip | {"inputs": {"image": {"from_task": task_id}}}})).json()["errors"][0]
            for task_id in (foreign, UNKNOWN)
        ]
        assert theirs | {"given": None} == none | {"given": None}

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [("GET", "", None), ("PUT", "", {"tasks": a_shot()}), ("DELETE", "", None), ("POST", "/retry", {})],
    )
    async def test_another_project_has_no_such_graph(self, api: Api, method: str, path: str, body: Any) -> None:
        graph = await asked(api)
        for where in (graph.path, graph.path.replace("/p1/", "/p2/")):
            answer = await api.call(method, where + path, key=api.stranger, json=body)
            assert answer.status_code == 404
        assert (await graph.look())["cancelled"] is False


async def test_a_suspended_project_changes_nothing(api: Api) -> None:
    graph = await asked(api)
    await api.admin("PATCH", "/projects/p1", json={"active": False})
    for refused in (await graph.put(a_shot("a blue circle")), await graph.retry()):
        assert (refused.status_code, refused.json()["code"]) == (403, "project-inactive")


async def test_what_could_not_be_made_any_more_is_cancelled_all_the_same(api: Api) -> None:
    graph = await asked(api)
    with pytest.MonkeyPatch.context() as patch:
        # It is asked for again, and its project is suspended before that is done.
        patch.setattr(Acceptance, "check_project", ok_this_once(Acceptance.check_project))
        await api.admin("PATCH", "/projects/p1", json={"active": False})
        assert (await graph.retry()).status_code == 202
        await api.call("DELETE", graph.path)
        await graph.settle()
    assert set((await graph.phases()).values()) == {"cancelled"}


def ok_this_once(check: Callable[[Acceptance, str], Awaitable[None]]) -> Callable[[Acceptance, str], Awaitable[None]]:
    asked_before = False

    async def checked(acceptance: Acceptance, project_id: str) -> None:
        nonlocal asked_before
        if asked_before:
            await check(acceptance, project_id)
        asked_before = True

    return checked


async def test_who_is_quicker_to_retry_one_of_its_tasks_does_the_others_no_harm(api: Api) -> None:
    graph = await asked(api)
    await graph.fail("frame")
    for name in ("clip", "film"):
        await graph.skip(name)
    retry = TaskChanges.retry

    async def second(changes: TaskChanges, task_id: str, project_id: str) -> Task:
        await retry(changes, task_id, project_id)
        return await retry(changes, task_id, project_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskChanges, "retry", second)
        await graph.retry()
    assert (await graph.look())["problem"] is None
    assert await graph.phases() == {"frame": "queued", "clip": "blocked", "film": "blocked", "sound": "queued"}
