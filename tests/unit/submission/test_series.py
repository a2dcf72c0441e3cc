"""From one record of a series to the next."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.errors import FieldProblem, InvalidRequest
from contracts.identifiers import series_id_for
from contracts.series import Series, SeriesPlan
from contracts.tasks import Missed, Phase
from contracts.testing.examples import NOON, a_problem, a_task_in
from submission.domain.series import (
    LOOK_AFTER,
    LOOK_AT_LEAST,
    MOST_OPEN,
    WITHDRAWN,
    Outcome,
    SeriesState,
    begins_after,
    edited,
    ended,
    let_go,
    made,
    next_look,
    next_times,
    outcome_of,
    over,
    planned,
    settled,
    state_of,
)
from submission.domain.series_requests import check_has_times, check_plan, instance_request

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TEMPLATE: dict[str, Any] = {"model": "tiny-image", "params": {"prompt": "a red circle"}}
YEAR_9999 = "9999-12-31T23:59:59+00:00"


def a_plan(**fields: Any) -> SeriesPlan:
    rule = {} if "cron" in fields else {"every_seconds": 3600}
    return SeriesPlan.model_validate({"request": TEMPLATE, "from_at": NOON} | rule | fields)


def a_series(**fields: Any) -> Series:
    plan = a_plan(**fields)
    return Series(
        id=series_id_for("p1", "a"), project_id="p1", request_digest="d", correlation_id="c", plan=plan,
        after=begins_after(plan, NOON), created_at=NOON, updated_at=NOON,
    )  # fmt: skip


def running(now: datetime = NOON, **fields: Any) -> Series:
    """A series whose first instances were made."""
    series = planned(a_series(**fields), now)
    return made(series, ids(series), None)


def ids(series: Series) -> list[str]:
    return [one.task_id for one in series.open]


def hours(series: Series) -> list[float]:
    """The times of the open instances, in hours from noon."""
    return [(one.at - NOON) / HOUR for one in series.open]


class TestPlanning:
    def test_ten_and_no_more(self) -> None:
        series = running()
        assert hours(series) == list(range(MOST_OPEN))
        assert planned(series, NOON) is series
        assert planned(series, NOON + 100 * HOUR) is series

    def test_each_end_makes_room_for_the_next(self) -> None:
        series = let_go(running(), ids(running())[:2], NOON + HOUR)
        assert hours(planned(series, NOON + HOUR)) == list(range(2, 12))

    def test_each_time_has_one_id_in_each_revision(self) -> None:
        assert len({*ids(running()), *ids(planned(settled_all(edited(running(), a_plan(count=99), NOON)), NOON))}) == 20

    @pytest.mark.parametrize(("fields", "expected"), [
        ({"count": 3}, 3), ({"count": 10}, 10), ({"until_at": NOON + 4 * HOUR}, 5), ({"count": 1}, 1),
    ])  # fmt: skip
    def test_an_end(self, fields: dict[str, Any], expected: int) -> None:
        series = running(**fields)
        assert (len(series.open), series.exhausted, state_of(series)) == (expected, True, SeriesState.ACTIVE)
        over_now = let_go(series, ids(series), NOON + 20 * HOUR)
        assert planned(over_now, NOON + 20 * HOUR) is over_now
        assert state_of(over_now) is SeriesState.FINISHED

    def test_a_start_in_the_past_is_only_where_an_interval_is_counted_from(self) -> None:
        series = running(from_at=NOON - 1000 * HOUR - 30 * MINUTE)
        assert hours(series)[:2] == [0.5, 1.5]

    def test_nothing_while_paused_or_while_something_is_to_be_withdrawn(self) -> None:
        for series in (a_series(paused=True), ended(a_series(), NOON), edited(running(), a_plan(count=50), NOON)):
            assert planned(series, NOON) is series

    @pytest.mark.parametrize(("missed", "first"), [(Missed.RUN, 10), (Missed.LATEST, 99), (Missed.SKIP, 100)])
    def test_what_was_missed_while_nobody_planned(self, missed: Missed, first: int) -> None:
        series = running(missed=missed)
        late = NOON + 99 * HOUR + 30 * MINUTE
        again = planned(let_go(series, ids(series), late), late)
        assert hours(again) == list(range(first, first + MOST_OPEN))

    def test_what_is_hardly_late_is_not_missed(self) -> None:
        late = NOON + 10 * HOUR + timedelta(seconds=59)
        series = running(missed=Missed.SKIP)
        assert hours(planned(let_go(series, ids(series), late), late))[0] == 10


class TestRefused:
    def test_what_could_not_be_made_is_intended_anew(self) -> None:
        series = planned(a_series(count=12), NOON)
        refused = made(series, ids(series)[:2], a_problem())
        assert (hours(refused), refused.made, refused.problem) == ([0, 1], 2, a_problem())
        assert next_look(refused, NOON) == NOON + LOOK_AFTER
        again = planned(refused, NOON)
        assert (ids(again), again.made) == (ids(series), 10)
        assert made(again, ids(again), None).problem is None


def settled_all(series: Series, outcome: Outcome = Outcome.WITHDRAWN) -> Series:
    return settled(series, {one.task_id: outcome for one in series.withdrawing}, NOON)


class TestEditing:
    def test_what_has_not_begun_is_made_anew_and_what_has_begun_stays(self) -> None:
        now = NOON + HOUR + MINUTE
        series = edited(running(), a_plan(every_seconds=7200), now)
        assert (series.revision, series.open, len(series.withdrawing)) == (2, (), 10)
        first, second, *rest = series.withdrawing
        outcomes = {first.task_id: Outcome.BEGUN, second.task_id: Outcome.OVER}
        series = settled(series, outcomes | {one.task_id: Outcome.WITHDRAWN for one in rest}, now)
        series = planned(series, now)
        assert hours(series) == [0, *range(2, 20, 2)]
        assert [one.revision for one in series.open] == [1] + [2] * 9
        assert series.made == 11

    def test_a_time_whose_instance_has_begun_is_not_made_again(self) -> None:
        """It began by another clock, which is ahead of the one that edits."""
        now = NOON + HOUR - timedelta(seconds=20)
        series = edited(running(), a_plan(request={**TEMPLATE, "priority": "high"}), now)
        begun = series.withdrawing[1].task_id
        outcomes = {one.task_id: Outcome.WITHDRAWN for one in series.withdrawing} | {begun: Outcome.BEGUN}
        assert hours(planned(settled(series, outcomes, now), now))[:3] == [1, 2, 3]
        assert hours(planned(settled(series, outcomes | {begun: Outcome.OVER}, now), now))[:3] == [2, 3, 4]

    def test_nor_when_it_had_ended_before_the_edit(self) -> None:
        now = NOON + HOUR - timedelta(seconds=20)
        series = let_go(running(), ids(running())[:2], now)
        again = planned(settled_all(edited(series, a_plan(count=50), now)), now)
        assert hours(again)[0] == 2

    def test_what_a_person_cancelled_long_before_its_time_does_not_hide_what_comes_before_it(self) -> None:
        series = let_go(running(), ids(running())[5:6], NOON)
        again = planned(settled_all(edited(series, a_plan(count=50), NOON - MINUTE)), NOON - MINUTE)
        assert hours(again)[:6] == [0, 1, 2, 3, 4, 5]

    def test_withdrawn_ones_do_not_count(self) -> None:
        series = settled_all(edited(running(count=12), a_plan(count=12, every_seconds=60), NOON - MINUTE))
        assert (series.made, series.exhausted) == (0, False)
        assert planned(series, NOON).made == 10

    def test_edits_that_follow_each_other_forget_nothing(self) -> None:
        series = edited(edited(running(), a_plan(count=50), NOON), a_plan(count=60), NOON)
        assert (series.revision, len(series.withdrawing)) == (3, 10)

    def test_a_pause_and_going_on_from_then(self) -> None:
        paused = settled_all(edited(running(), a_plan(paused=True), NOON - MINUTE))
        assert (state_of(paused), planned(paused, NOON), next_times(paused, NOON)) == (SeriesState.PAUSED, paused, [])
        resumed = planned(edited(paused, a_plan(), NOON + 50 * HOUR + MINUTE), NOON + 50 * HOUR + MINUTE)
        assert hours(resumed) == list(range(51, 61))

    def test_a_title_disturbs_nothing_and_no_change_is_none(self) -> None:
        series = running()
        titled = edited(series, a_plan(title="Dailies"), NOON)
        assert (titled.plan.title, titled.revision, titled.open) == ("Dailies", 1, series.open)
        assert edited(series, a_plan(), NOON) is series


class TestEnding:
    def test_what_has_not_begun_is_withdrawn_and_the_rest_goes_on(self) -> None:
        series = ended(running(), NOON)
        assert (state_of(series), series.open, len(series.withdrawing), over(series)) == (
            SeriesState.ENDED,
            (),
            10,
            False,
        )
        begun = settled_all(series, Outcome.BEGUN)
        assert (len(begun.open), over(begun)) == (10, False)
        assert planned(begun, NOON) is begun
        assert over(let_go(begun, ids(begun), NOON))
        assert ended(series, NOON) is series

    @pytest.mark.parametrize(
        ("phase", "expected"),
        [
            (Phase.QUEUED, Outcome.BEGUN),
            (Phase.GENERATING, Outcome.BEGUN),
            (Phase.DONE, Outcome.OVER),
            (Phase.CANCELLED, Outcome.OVER),
            (Phase.SKIPPED, Outcome.OVER),
        ],
    )
    def test_what_has_become_of_an_instance(self, phase: Phase, expected: Outcome) -> None:
        assert outcome_of(a_task_in(phase)) is expected

    def test_what_we_withdrew_ourselves(self) -> None:
        assert outcome_of(a_task_in(Phase.SKIPPED).model_copy(update={"error": WITHDRAWN})) is Outcome.WITHDRAWN


def test_when_to_look_should_nothing_be_heard() -> None:
    series = running()
    assert next_look(series, NOON - HOUR) == NOON + LOOK_AFTER
    assert next_look(series, NOON + HOUR) == NOON + HOUR + LOOK_AFTER
    assert next_look(planned(a_series(), NOON), NOON) == NOON + LOOK_AFTER
    assert next_look(running(cron="0 0 29 2 *"), NOON) == NOON + LOOK_AT_LEAST


def test_the_times_to_come_are_those_that_have_instances_and_those_that_follow() -> None:
    assert [(at - NOON) / HOUR for at in next_times(running(), NOON + 3 * HOUR)] == list(range(4, 14))
    assert [(at - NOON) / HOUR for at in next_times(running(count=6), NOON + 3 * HOUR)] == [4, 5]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "now and then"}, "cron"),
        ({"cron": "* * * * *", "every_seconds": 60}, "cron"),
        ({"every_seconds": None}, "cron"),
        ({"cron": "* * * * *", "time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "Middle/Earth"}, "time_zone"),
        ({"time_zone": "x" * 9999}, "time_zone"),
        ({"every_seconds": 0}, "every_seconds"),
        ({"every_seconds": -60}, "every_seconds"),
        ({"every_seconds": 59}, "every_seconds"),
        ({"every_seconds": 10**30}, "every_seconds"),
        ({"from_at": YEAR_9999}, "from_at"),
        ({"until_at": NOON - HOUR}, "until_at"),
        ({"until_at": NOON}, "until_at"),
        ({"count": 10**9}, "count"),
        ({"count": 0}, "count"),
        ({"request": {**TEMPLATE, "start_at": NOON.isoformat()}}, "request.start_at"),
        ({"request": {**TEMPLATE, "due_at": NOON.isoformat()}}, "request.due_at"),
        ({"request": {**TEMPLATE, "due_after_seconds": 0}}, "request.due_after_seconds"),
        ({"request": {**TEMPLATE, "due_after_seconds": 10**400}}, "request.due_after_seconds"),
        ({"request": {**TEMPLATE, "expires_after_seconds": "soon"}}, "request.expires_after_seconds"),
        ({"request": {**TEMPLATE, "expires_after_seconds": True}}, "request.expires_after_seconds"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_plan(a_plan(**fields), MINUTE, NOON)
    [problem] = refused.value.errors
    assert problem.field == wrong
    assert problem.allowed
    assert problem.given is not None
    assert len(FieldProblem.model_dump_json(problem)) < 600


@pytest.mark.parametrize(
    "fields",
    [
        {"until_at": YEAR_9999},
        {"from_at": "0001-01-01T00:00:00+00:00"},
        {"cron": "0 0 29 2 *", "time_zone": "Pacific/Apia"},
        {"every_seconds": 60, "count": 1},
    ],
)
def test_what_is_unusual_and_can_be(fields: dict[str, Any]) -> None:
    check_plan(a_plan(**fields), MINUTE, NOON)
    check_has_times(a_plan(**fields), NOON)
    assert planned(a_series(**fields), NOON).open


def test_a_series_without_any_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no times"):
        check_has_times(a_plan(cron="0 0 29 2 *", until_at=NOON + 9 * HOUR), NOON)


def test_moments_of_an_instance_are_counted_from_its_time() -> None:
    request = instance_request({**TEMPLATE, "due_after_seconds": 7200, "expires_after_seconds": 60}, NOON)
    assert request == {
        **TEMPLATE,
        "start_at": "2026-01-01T12:00:00+00:00",
        "due_at": "2026-01-01T14:00:00+00:00",
        "expires_at": "2026-01-01T12:01:00+00:00",
    }
