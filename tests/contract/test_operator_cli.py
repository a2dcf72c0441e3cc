"""What an operator types, and what comes of it."""

import json
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from contracts.events import dead_letter, task_changed, worker_heartbeat
from contracts.identifiers import task_id_for
from contracts.records import TaskRecords
from contracts.tasks import Phase, Task
from contracts.testing.examples import a_task_in, a_worker
from contracts.workers import WorkerState
from submission.app import create
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, World
from tests.contract.operating import Terminal, terminal_to

REQUEST = """{"specversion": "1.0", "id": "e1", "source": "/cms", "type": "task.requested.v1",
             "data": {"project_id": "p1", "model": "tiny-image", "params": {"prompt": "a red circle"}}}"""


@pytest.fixture
async def terminal(world: World, database_url: Callable[[str], str]) -> AsyncIterator[Terminal]:
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    key = await world.add_project("p1", "k1")
    async with terminal_to(world, [create(settings, world.outside)], key) as terminal:
        yield terminal


async def has(terminal: Terminal, name: str, phase: Phase = Phase.QUEUED, **changes: Any) -> Task:
    task = a_task_in(phase, id=task_id_for("p1", name), **({"title": name} | changes))
    await TaskRecords(terminal.world.state, terminal.world.clock).create(task)
    assert await terminal.running.deliver(task_changed(task, "test")) == "SUCCESS"
    return task


async def phase_of(terminal: Terminal, task: Task) -> Phase:
    found = await TaskRecords(terminal.world.state, terminal.world.clock).get(task.id)
    assert found is not None
    return found.phase


class TestListing:
    async def test_as_a_table_and_as_json(self, terminal: Terminal) -> None:
        task = await has(terminal, "Shot 12", tags=("night",))
        await has(terminal, "Shot 13", Phase.DONE)
        table = await terminal.run("tasks", "list", "--tag", "night")
        assert table.code == 0
        assert all(shown in table.out for shown in (task.id, "p1", "tiny-image", "queued", "medium", "Shot 12"))
        assert "Shot 13" not in table.out
        listed = await terminal.run("tasks", "list", "-s", "pending", "-o", "json")
        assert [one["id"] for one in listed.json] == [task.id]

    async def test_goes_from_page_to_page_up_to_the_limit(
        self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("operator_cli.tasks.PAGE", 2)
        for number in range(5):
            await has(terminal, str(number))
        assert len((await terminal.run("tasks", "list", "-o", "json")).json) == 5
        some = await terminal.run("tasks", "list", "--limit", "3")
        assert "There are more than 3" in some.out

    async def test_shows_a_task_with_its_history(self, terminal: Terminal) -> None:
        task = await has(terminal, "a", Phase.FAILED)
        shown = await terminal.run("tasks", "show", task.id)
        assert "task.failed.v1" in shown.out
        assert (await terminal.run("tasks", "show", task.id, "-o", "json")).json["task"]["id"] == task.id

    async def test_what_others_wrote_is_not_obeyed_by_the_terminal(self, terminal: Terminal) -> None:
        await has(terminal, "a", title="\x1b[2J[red]x[/red]\r\x9b")
        shown = (await terminal.run("tasks", "list")).out
        assert "\x1b[2J" not in shown
        assert "\x9b" not in shown
        assert "[red]x[/red]" in shown


class TestChanging:
    async def test_a_dry_run_shows_and_changes_nothing(self, terminal: Terminal) -> None:
        task = await has(terminal, "a")
        said = await terminal.run("tasks", "cancel", "--project", "p1", "--dry-run")
        assert "queued → cancelled" in said.out
        assert "1 would change; the selection matches 1." in said.out
        assert await phase_of(terminal, task) is Phase.QUEUED

    async def test_without_yes_and_without_a_person_nothing_changes(self, terminal: Terminal) -> None:
        task = await has(terminal, "a")
        said = await terminal.run("tasks", "cancel", task.id)
        assert (said.code, "add --yes" in said.why) == (2, True)
        assert await phase_of(terminal, task) is Phase.QUEUED

    async def test_changes_exactly_what_was_shown(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("operator_cli.bulk.MOST_AT_ONCE", 2)
        tasks = [await has(terminal, str(number)) for number in range(5)]
        said = await terminal.run("tasks", "cancel", "-p", "p1", "--limit", "3", "--yes", "-o", "json")
        assert said.code == 0
        changed = [item["task_id"] for item in said.json["items"]]
        assert len(changed) == 3
        assert said.json["by_outcome"] == {"changed": 3}
        assert {task.id for task in tasks if await phase_of(terminal, task) is Phase.CANCELLED} == set(changed)

    async def test_retries_and_prioritises(self, terminal: Terminal) -> None:
        failed, waits = await has(terminal, "a", Phase.FAILED), await has(terminal, "b")
        assert (await terminal.run("tasks", "retry", "--status", "failed", "--yes")).code == 0
        assert await phase_of(terminal, failed) is Phase.QUEUED
        said = await terminal.run("tasks", "prioritise", "high", waits.id, "--yes")
        assert "medium → high" in said.out

    async def test_what_cannot_be_done_is_told_and_ends_with_1(self, terminal: Terminal) -> None:
        done = await has(terminal, "a", Phase.DONE)
        said = await terminal.run("tasks", "cancel", done.id, "--yes")
        assert (said.code, "refused: is done and cannot become cancelled" in said.out) == (1, True)

    async def test_nothing_named_is_not_everything(self, terminal: Terminal) -> None:
        task = await has(terminal, "a")
        said = await terminal.run("tasks", "cancel", "--yes")
        assert (said.code, said.why) == (2, "name tasks by their ids or by options, or say --all")
        assert (await terminal.run("tasks", "cancel", "--all", "--yes")).code == 0
        assert await phase_of(terminal, task) is Phase.CANCELLED

    async def test_the_audit_keeps_the_operators_name(self, terminal: Terminal) -> None:
        task = await has(terminal, "a")
        await terminal.run("tasks", "cancel", task.id, "--yes", MOVIE_TASKS_OPERATOR="Grace H.")
        answer = await terminal.running.http.get("/api/v1/admin/audit", headers={"X-Admin-Key": ADMIN_KEY})
        assert {action["operator"] for action in answer.json()} == {"Grace H."}


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("environment", "code", "why"),
        [
            ({"MOVIE_TASKS_ADMIN_KEY": "wrong"}, 3, "refuses the key"),
            ({"MOVIE_TASKS_ADMIN_KEY": ""}, 2, "set MOVIE_TASKS_ADMIN_KEY"),
            ({"MOVIE_TASKS_URL": ""}, 2, "set MOVIE_TASKS_URL"),
            ({"MOVIE_TASKS_URL": "tasks.example.com"}, 2, "set MOVIE_TASKS_URL"),
            ({"MOVIE_TASKS_URL": "http://127.0.0.1:1"}, 4, "cannot be reached"),
            ({"MOVIE_TASKS_OPERATOR": "Zoë"}, 2, "MOVIE_TASKS_OPERATOR"),
            ({"MOVIE_TASKS_TIMEOUT_SECONDS": "soon"}, 2, "MOVIE_TASKS_TIMEOUT_SECONDS"),
        ],
    )
    async def test_settings_are_told_by_name(
        self, terminal: Terminal, environment: dict[str, str], code: int, why: str
    ) -> None:
        said = await terminal.run("tasks", "list", **environment)
        assert (said.code, said.out) == (code, "")
        assert why in said.why
        assert ADMIN_KEY not in said.why

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (["tasks", "list", "../../x"], "ids"),
            (["tasks", "list", "--project", "a/b"], "project"),
            (["tasks", "list", "--older-than", "yesterday"], "is no length of time"),
            (["tasks", "list", "--phase", "dreaming"], "dreaming"),
            (["tasks", "prioritise"], "Missing argument"),
        ],
    )
    async def test_what_is_no_selection_is_refused(self, terminal: Terminal, arguments: list[str], why: str) -> None:
        said = await terminal.run(*arguments)
        assert said.code == 2
        assert why in said.why

    async def test_an_unknown_task_is_told_to_be_so(self, terminal: Terminal) -> None:
        said = await terminal.run("tasks", "show", "nothing")
        assert (said.code, "no task nothing" in said.why) == (1, True)
        assert (await terminal.run("tasks", "show", "../../secrets")).code == 1

    async def test_another_server_is_told_to_be_one(self, terminal: Terminal) -> None:
        said = await terminal.run("tasks", "list", MOVIE_TASKS_URL=f"{terminal.url}/elsewhere")
        assert said.code == 1
        assert "404" in said.why or "Not Found" in said.why


class TestSmoke:
    async def test_a_model_that_is_not_offered_is_told(self, terminal: Terminal) -> None:
        said = await terminal.run("smoke", "--model", "sora")
        assert (said.code, "model sora is not offered; --model takes one of tiny-image" in said.why) == (1, True)

    async def test_a_task_that_does_not_end_in_time_is_told_with_where_it_is(self, terminal: Terminal) -> None:
        said = await terminal.run("smoke", "--within", "1")
        assert said.code == 1
        assert "smoke test failed, wait until done: task" in said.why
        assert "is queued after 1 s" in said.why

    async def test_a_pause_is_told_for_what_it_is(self, terminal: Terminal) -> None:
        await terminal.run("pauses", "add", "project", "p1", "--reason", "they moved")
        said = await terminal.run("smoke", "--within", "1")
        assert "Project p1 has been paused since" in said.why
        assert "by ada: they moved" in said.why

    @pytest.mark.parametrize("key", ["", "mt_k1_wrong"])
    async def test_wants_a_projects_key_and_never_says_it(self, terminal: Terminal, key: str) -> None:
        said = await terminal.run("smoke", MOVIE_TASKS_KEY=key)
        assert said.code == (3 if key else 2)
        assert "mt_k1_wrong" not in said.why + said.out


class TestPauses:
    async def test_are_set_shown_and_ended(self, terminal: Terminal) -> None:
        said = await terminal.run("pauses", "add", "medium", "image", "--reason", "a new driver")
        assert "by ada: a new driver." in said.out
        listed = await terminal.run("pauses", "list")
        assert all(shown in listed.out for shown in ("medium", "image", "ada", "a new driver"))
        assert [one["target"] for one in (await terminal.run("pauses", "list", "-o", "json")).json] == ["image"]
        assert (await terminal.run("pauses", "end", "medium", "image")).code == 0
        assert "Nothing is paused." in (await terminal.run("pauses", "list")).out

    async def test_what_is_not_there_is_told_with_what_is(self, terminal: Terminal) -> None:
        said = await terminal.run("pauses", "add", "model", "sora")
        assert (said.code, "target: no such model" in said.why) == (1, True)


class TestWorkers:
    async def test_are_listed_drained_and_resumed(self, terminal: Terminal) -> None:
        worker = a_worker(worker_id="gpu-worker-image-0", sent_at=terminal.world.clock.now())
        await terminal.running.deliver(worker_heartbeat(worker, "test"))
        assert "gpu-worker-image-0" in (await terminal.run("workers", "list")).out
        assert "was told to take no more" in (await terminal.run("workers", "drain", "gpu-worker-image-0")).out
        assert (await terminal.run("workers", "resume", "gpu-worker-image-0")).code == 0
        said = await terminal.run("workers", "drain", "nobody")
        assert (said.code, "no worker nobody" in said.why) == (1, True)

    async def test_waiting_ends_when_it_runs_nothing(self, terminal: Terminal) -> None:
        idle = a_worker(worker_id="w", state=WorkerState.DRAINING, sent_at=terminal.world.clock.now())
        await terminal.running.deliver(worker_heartbeat(idle, "test"))
        assert "is drained: it runs nothing." in (await terminal.run("workers", "drain", "w", "--wait", "5")).out


class TestLetters:
    async def letter(self, terminal: Terminal, body: str) -> str:
        message = dead_letter(
            "submission", "task-requests", "a bad day", body.encode(), terminal.world.clock.advance(seconds=1)
        )
        assert await terminal.running.deliver(message) == "SUCCESS"
        return message.event.id

    async def test_are_listed_shown_and_said_again(self, terminal: Terminal) -> None:
        good = await self.letter(terminal, REQUEST)
        bad = await self.letter(terminal, "\x1b[2J rubbish")
        listed = await terminal.run("letters", "list", "--topic", "task-requests")
        assert good in listed.out
        shown = await terminal.run("letters", "show", bad)
        assert "rubbish" in shown.out
        assert "\x1b" not in shown.out
        said = await terminal.run("letters", "redrive", "--topic", "task-requests", "--dry-run")
        assert said.out.count("would be redriven") == 2
        said = await terminal.run("letters", "redrive", "--topic", "task-requests", "-o", "json")
        assert said.code == 1
        outcomes = {one["id"]: one["outcome"] for one in said.json}
        assert outcomes[good] == "redriven"
        assert outcomes[bad].startswith("refused")
        assert (await terminal.run("letters", "redrive", good)).code == 1
        assert (await terminal.run("letters", "redrive", good, "--force")).code == 0

    async def test_nothing_named_is_not_everything(self, terminal: Terminal) -> None:
        assert (await terminal.run("letters", "redrive")).code == 2


class TestProjects:
    async def test_are_made_and_listed_and_may_have_keys(self, terminal: Terminal) -> None:
        assert "There is none." in (await terminal.run("projects", "list")).out
        made = await terminal.run("projects", "create", "film-7", "--name", "The seventh film")
        assert (made.code, "movie-tasks keys create film-7" in made.out) == (0, True)
        assert (await terminal.run("projects", "create", "smoke", "-o", "json")).json["name"] == "smoke"
        listed = await terminal.run("projects", "list")
        assert all(shown in listed.out for shown in ("film-7", "The seventh film", "smoke", "active"))
        assert [one["id"] for one in (await terminal.run("projects", "list", "-o", "json")).json] == ["film-7", "smoke"]
        assert (await terminal.run("keys", "create", "film-7")).out.startswith("mt_")

    async def test_one_that_is_there_stays_as_it_is(self, terminal: Terminal) -> None:
        await terminal.run("projects", "create", "smoke", "--name", "First")
        again = await terminal.run("projects", "create", "smoke", "--name", "Second")
        assert (again.code, "Something with this id exists" in again.why) == (1, True)
        again = await terminal.run("projects", "create", "smoke", "--name", "Second", "--if-missing")
        assert (again.code, "is there already" in again.out) == (0, True)
        again = await terminal.run("projects", "create", "smoke", "--if-missing", "-o", "json")
        assert (again.code, again.json["name"]) == (0, "First")

    async def test_what_cannot_be_a_project_is_refused_whether_it_is_missing_or_not(self, terminal: Terminal) -> None:
        said = await terminal.run("projects", "create", "a/b", "--if-missing")
        assert (said.code, "id: " in said.why) == (1, True)
        assert (await terminal.run("projects", "create", "a", "--if-missing", MOVIE_TASKS_ADMIN_KEY="wrong")).code == 3

    async def test_of_each_it_says_whether_it_is_suspended_and_what_its_budget_is(self, terminal: Terminal) -> None:
        await terminal.run("projects", "create", "p2")
        budget = {"gpu_seconds": 7200, "per": "month"}
        change = {"active": False, "budget": budget}
        headers = {"X-Admin-Key": ADMIN_KEY}
        await terminal.running.http.patch("/api/v1/admin/projects/p2", json=change, headers=headers)
        listed = (await terminal.run("projects", "list")).out
        assert "suspended" in listed and "7200 GPU-seconds per month" in listed


class TestKeys:
    async def test_are_made_rotated_and_revoked(self, terminal: Terminal) -> None:
        made = await terminal.run("keys", "create", "p1", "--label", "cms")
        key = made.out.strip()
        assert key.startswith("mt_")
        key_id = key.split("_")[1]
        rotated = await terminal.run("keys", "rotate", "p1", key_id, "--grace", "1h")
        assert rotated.out.strip().startswith("mt_")
        assert rotated.out != made.out
        listed = (await terminal.run("keys", "list", "p1", "-o", "json")).json
        assert [one["expires_at"] for one in listed if one["id"] == key_id] == ["2026-01-01T13:00:00Z"]
        assert key not in (await terminal.run("keys", "list", "p1")).out
        assert (await terminal.run("keys", "revoke", "p1", key_id)).code == 0
        assert (await terminal.run("keys", "rotate", "p1", key_id)).code == 1


class TestAuditAndBundle:
    async def test_the_audit_shows_what_is_different(self, terminal: Terminal) -> None:
        task = await has(terminal, "a")
        await terminal.run("tasks", "cancel", task.id, "--yes")
        said = await terminal.run("audit")
        assert 'phase: "queued" → "cancelled"' in said.out
        assert (await terminal.run("audit", "-o", "json")).json[0]["operator"] == "ada"

    async def test_the_bundle_holds_what_helps_and_no_secret(self, terminal: Terminal, tmp_path: Path) -> None:
        secret = (await terminal.run("keys", "create", "p1")).out.strip()
        tokens = (secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "gAAAAA" + "b" * 60)
        task = await has(terminal, f"with {' and '.join(tokens)} in its title")
        letter = dead_letter("storage", "task-events", f"no {secret}", b"what it says", terminal.world.clock.now())
        await terminal.running.deliver(letter)
        file = tmp_path / "bundle.zip"
        said = await terminal.run("support-bundle", "--file", str(file), "--task", task.id)
        assert said.code == 0, said.why
        with zipfile.ZipFile(file) as bundle:
            found = {name: bundle.read(name).decode() for name in bundle.namelist()}
        assert set(found) == {
            "about.json", "health.json", "workers.json", "queue.json", "pauses.json", "audit.json",
            "dead-letters.json", "metrics.txt", "task.json",
        }  # fmt: skip
        assert json.loads(found["task.json"])["task"]["id"] == task.id
        assert json.loads(found["about.json"])["missing"] == {}
        everything = "".join(found.values())
        for kept_out in (*tokens, ADMIN_KEY, terminal.key, secret.split("_", 2)[2], "what it says"):
            assert kept_out not in everything

    async def test_the_bundle_is_made_of_what_answers(self, terminal: Terminal, tmp_path: Path) -> None:
        file = tmp_path / "bundle.zip"
        said = await terminal.run("support-bundle", "--file", str(file), "--task", "nothing")
        assert (said.code, "Without task.json: " in said.out) == (0, True)
        again = await terminal.run("support-bundle", "--file", str(file))
        assert (again.code, "cannot be written" in again.why) == (2, True)


async def test_shells_complete_commands_and_options(terminal: Terminal) -> None:
    completed = await terminal.run(
        _MOVIE_TASKS_COMPLETE="complete_bash", COMP_WORDS="movie-tasks tasks pri", COMP_CWORD="2"
    )
    assert "prioritise" in completed.out
