"""Budgets as operators set them and as a project's people see them."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from contracts.budgets import Budget, Per, Spending
from contracts.events import task_changed
from contracts.identifiers import task_id_for
from contracts.records import project_records, spending_records
from contracts.tasks import Phase, Task
from contracts.testing.examples import a_task_in

from tests.conftest import ADMIN_KEY
from tests.contract.conftest import Api

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
RUN = 1.0
"""The catalog's `run_seconds` of the tests' model."""


async def change(api: Api, **what: object) -> httpx.Response:
    answer = await api.admin("PATCH", "/projects/p1", json=what)
    api.world.clock.advance(seconds=6)  # what is said of projects is remembered for five
    return answer


async def send(api: Api, body: str) -> httpx.Response:
    headers = {"X-Admin-Key": ADMIN_KEY, "Content-Type": "application/json"}
    return await api.running.http.patch("/api/v1/admin/projects/p1", content=body, headers=headers)


async def set_budget(api: Api, seconds: float, per: str = "month") -> dict[str, Any]:
    answer = await change(api, budget={"gpu_seconds": seconds, "per": per})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def spend(api: Api, in_month: float, in_all: float | None = None) -> None:
    """As scheduling writes it down."""
    spending = Spending(month=JANUARY, in_month=in_month, in_all=in_all if in_all is not None else in_month)
    await spending_records(api.world.state).create("p1", spending)


async def tell(api: Api, name: str, phase: Phase, **changes: object) -> Task:
    task = a_task_in(phase, id=task_id_for("p1", name), **changes)
    assert await api.running.deliver(task_changed(task, "test")) == "SUCCESS"
    return task


async def seen(api: Api, where: str = "queue") -> dict[str, Any]:
    answer = await api.call("GET", f"/projects/p1/{where}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["budget"]
    return found


async def test_a_budget_is_set_changed_and_taken_away(api: Api) -> None:
    assert (await set_budget(api, 3600))["budget"] == {"gpu_seconds": 3600.0, "per": "month"}
    assert (await set_budget(api, 7200.5, "total"))["budget"] == {"gpu_seconds": 7200.5, "per": "total"}
    kept = await project_records(api.world.state).get("p1")
    assert kept is not None
    assert kept.budget == Budget(gpu_seconds=7200.5, per=Per.TOTAL)
    assert (await change(api, budget=None)).json()["budget"] is None
    assert await seen(api) is await seen(api, "usage") is None


async def test_every_change_of_a_budget_is_written_down_with_before_and_after(api: Api) -> None:
    await set_budget(api, 10)
    await set_budget(api, 20)
    await change(api, budget=None)
    actions = (await api.admin("GET", "/audit")).json()
    assert [action["action"] for action in actions] == ["project.budget"] * 3
    budgets = [(a["before"]["budget"], a["after"]["budget"]) for a in reversed(actions)]
    ten, twenty = ({"gpu_seconds": seconds, "per": "month"} for seconds in (10.0, 20.0))
    assert budgets == [(None, ten), (ten, twenty), (twenty, None)]


async def test_the_same_budget_again_changes_nothing(api: Api) -> None:
    first = await set_budget(api, 10)
    assert await set_budget(api, 10) == first


async def test_suspending_leaves_the_budget_and_both_can_be_changed_at_once(api: Api) -> None:
    await set_budget(api, 10)
    suspended = (await change(api, active=False)).json()
    assert (suspended["active"], suspended["budget"]["gpu_seconds"]) == (False, 10)
    both = (await change(api, active=True, budget={"gpu_seconds": 5, "per": "total"})).json()
    assert (both["active"], both["budget"]) == (True, {"gpu_seconds": 5.0, "per": "total"})


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ('{"budget": {"gpu_seconds": -1, "per": "month"}}', "budget.gpu_seconds", "greater than 0"),
        ('{"budget": {"gpu_seconds": 0, "per": "month"}}', "budget.gpu_seconds", "greater than 0"),
        ('{"budget": {"gpu_seconds": NaN, "per": "month"}}', "budget.gpu_seconds", "finite"),
        ('{"budget": {"gpu_seconds": Infinity, "per": "month"}}', "budget.gpu_seconds", "finite"),
        ('{"budget": {"gpu_seconds": 1e999, "per": "month"}}', "budget.gpu_seconds", "finite"),
        (
            '{"budget": {"gpu_seconds": 1e11, "per": "month"}}',
            "budget.gpu_seconds",
            "less than or equal to 10000000000",
        ),
        ('{"budget": {"gpu_seconds": "3600", "per": "month"}}', "budget.gpu_seconds", "number"),
        ('{"budget": {"gpu_seconds": true, "per": "month"}}', "budget.gpu_seconds", "number"),
        ('{"budget": {"gpu_seconds": 1' + "0" * 400 + ', "per": "month"}}', "budget.gpu_seconds", "number"),
        ('{"budget": {"gpu_seconds": 1, "per": "week"}}', "budget.per", "'month' or 'total'"),
        ('{"budget": {"gpu_seconds": 1}}', "budget.per", "required"),
        ('{"budget": {"gpu_seconds": 1, "per": "month", "from": 3}}', "budget.from", "not permitted"),
        ('{"budget": 3600}', "budget", "object"),
        ('{"active": "yes"}', "active", "boolean"),
        ('{"active": null}', "", "active, budget or both"),
        ("{}", "", "active, budget or both"),
    ],
)
async def test_what_is_no_budget_is_refused_by_name(api: Api, body: str, field: str, says: str) -> None:
    answer = await send(api, body)
    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["errors"]
    assert problem["field"] == field
    assert says in problem["detail"]
    assert (await api.admin("GET", "/audit")).json() == []


async def test_a_number_beyond_all_reason_is_refused_too(api: Api) -> None:
    body = '{"budget": {"gpu_seconds": 1' + "0" * 5000 + ', "per": "month"}}'
    answer = await send(api, body)
    assert answer.status_code in (400, 422), answer.text


async def test_an_unknown_project_has_no_budget(api: Api) -> None:
    answer = await api.admin("PATCH", "/projects/p9", json={"budget": {"gpu_seconds": 1, "per": "month"}})
    assert answer.status_code == 404


async def test_the_queue_and_the_usage_say_how_the_project_stands(api: Api) -> None:
    await set_budget(api, 10)
    await spend(api, 8.5, in_all=70)
    await tell(api, "running", Phase.GENERATING)
    for name in ("1", "2"):
        await tell(api, name, Phase.QUEUED)
    found = await seen(api)
    assert found == await seen(api, "usage")
    assert json.dumps(found) == json.dumps(
        {
            "gpu_seconds": 10.0,
            "per": "month",
            "spent_gpu_seconds": 8.5,
            "running_gpu_seconds": 1.0,
            "left_gpu_seconds": 0.5,
            "begins_anew_at": "2026-02-01T00:00:00Z",
            "waiting": 2,
            "in_words": "8.5 of 10 GPU-seconds in January 2026 (UTC) are spent, and running tasks are expected to use "
            "1 more. 2 tasks wait for a higher budget, or until 2026-02-01.",
        }
    )


async def test_a_total_does_not_begin_anew(api: Api) -> None:
    await set_budget(api, 70, "total")
    await spend(api, 8.5, in_all=70)
    await tell(api, "1", Phase.QUEUED)
    found = await seen(api)
    assert found["begins_anew_at"] is None
    assert found["in_words"] == "70 of 70 GPU-seconds in all are spent. 1 task waits for a higher budget."


async def test_a_new_month_has_nothing_spent(api: Api) -> None:
    await set_budget(api, 10)
    await spend(api, 10)
    api.world.clock.advance(days=31)
    found = await seen(api)
    assert (found["spent_gpu_seconds"], found["left_gpu_seconds"]) == (0, 10)
    assert found["in_words"] == "0 of 10 GPU-seconds in February 2026 (UTC) are spent."


async def test_what_can_never_fit_is_said(api: Api) -> None:
    await set_budget(api, RUN / 2)
    await tell(api, "1", Phase.QUEUED)
    assert (await seen(api))["in_words"].endswith("are spent. 1 task needs more than the whole budget.")


async def test_what_runs_beyond_a_lowered_budget_leaves_nothing_and_not_less(api: Api) -> None:
    await set_budget(api, 1)
    await spend(api, 5)
    assert (await seen(api))["left_gpu_seconds"] == 0


async def test_a_project_is_told_of_no_other_projects_budget(api: Api) -> None:
    await set_budget(api, 1)
    for where in ("queue", "usage"):
        own = await api.call("GET", f"/projects/p2/{where}", key=api.stranger)
        assert own.json()["budget"] is None
        assert (await api.call("GET", f"/projects/p1/{where}", key=api.stranger)).status_code == 404


async def test_what_the_budget_does_not_reach_is_accepted_and_promised_nothing(api: Api) -> None:
    await set_budget(api, 2.5 * RUN)
    due = "2026-01-01T20:00:00Z"
    answers = []
    for _ in range(3):
        answers.append(await api.submit(due_at=due))
        api.world.clock.advance(seconds=1)
    assert [answer.status_code for answer in answers] == [202] * 3
    assert [answer.json()["estimate"] is not None for answer in answers] == [True, True, False]
    assert answers[2].json()["deadline"] is None
    other = await api.submit(key=api.stranger)
    assert other.json()["estimate"] is not None


async def test_the_status_follows_the_budget(api: Api) -> None:
    task = (await api.submit()).json()

    async def estimate() -> object:
        return (await api.call("GET", f"/tasks/{task['id']}/status")).json()["estimate"]

    assert await estimate() is not None
    await set_budget(api, RUN / 2)
    assert await estimate() is None
    await set_budget(api, RUN * 2)
    assert await estimate() is not None


async def test_what_starts_next_month_is_promised_by_that_months_budget(api: Api) -> None:
    await set_budget(api, 10)
    await spend(api, 10)
    assert (await api.submit()).json()["estimate"] is None
    assert (await api.submit(start_at="2026-02-02T12:00:00Z")).json()["estimate"] is not None
