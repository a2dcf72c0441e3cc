"""W3C Trace Context, and what a task's record tells of its trace."""

from collections.abc import Generator, Iterable, Sequence
from contextvars import copy_context
from datetime import timedelta
from types import coroutine

import pytest
from contracts.events import Assignment, TaskReminder, assignment, task_changed, task_reminder
from contracts.records import TaskRecords
from contracts.tasks import (
    TIME_LIMIT_EXCEEDED,
    WORKER_LOST,
    Advance,
    Assign,
    Complete,
    Fail,
    Move,
    Phase,
    Produce,
    Resubmit,
    RetryLater,
    TakeBack,
    Task,
    apply,
    context_of,
    spans_of,
)
from contracts.testing import InMemoryState, RecordingTracer, SettableClock
from contracts.testing.examples import NOON, a_task, media_result, produced_media
from contracts.tracing import Span, TraceContext, current_trace, within

CLICK = TraceContext("a" * 32, "b" * 16, sampled=True)
TRACED = a_task(traceparent=str(CLICK))


@pytest.mark.parametrize(
    "hostile",
    [
        "", "00", 7, None, b"00", ["00"], "x" * 100_000,
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01-what-comes",
        f"00-{'a' * 32}-{'b' * 16}-01\n",
        f"00-{'a' * 31}é-{'b' * 16}-01",
    ],
)  # fmt: skip
def test_what_is_no_context_is_dropped(hostile: object) -> None:
    assert TraceContext.read(hostile) is None
    assert a_task(traceparent=hostile).traceparent is None


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_a_context_is_read_and_written(flags: str, sampled: bool) -> None:
    found = TraceContext.read(f"00-{'a' * 32}-{'b' * 16}-{flags}")
    assert found == TraceContext("a" * 32, "b" * 16, sampled)
    assert TraceContext.read(str(found)) == found


def test_one_is_within_a_span_and_then_no_more() -> None:
    with within(CLICK):
        assert current_trace() == CLICK
    assert current_trace() is None


@coroutine
def pause() -> Generator[None]:
    yield


async def wait_within() -> None:
    with within(CLICK):
        await pause()


def test_what_is_given_up_is_closed_from_anywhere() -> None:
    waiting = wait_within()
    copy_context().run(waiting.send, None)
    waiting.close()
    assert current_trace() is None


def told(task: Task, moves: Iterable[Move], every: float = 1) -> tuple[Task, list[Span]]:
    """The task after the moves, one each so many seconds, and what its record has told."""
    spans: list[Span] = []
    for number, move in enumerate(moves, 1):
        before, task = task, apply(task, move, NOON + timedelta(seconds=number * every))
        spans += spans_of(before, task)
    return task, spans


def a_run(task: Task, attempt: int = 1) -> list[Move]:
    return [
        Assign("worker-1", NOON + timedelta(minutes=1)),
        Advance(attempt, Phase.LOADING_MODEL),
        Advance(attempt, Phase.GENERATING),
        Produce(attempt, produced_media(task, attempt), NOON + timedelta(seconds=3.25)),
        Complete(attempt, media_result(task)),
    ]


def tree(spans: Sequence[Span]) -> list[str]:
    """Each span's name behind those of its parents, in the order of their beginnings."""
    names = {span.context.span_id: span for span in spans}

    def path(span: Span) -> str:
        over = names.get(span.parent.span_id) if span.parent else None
        return f"{path(over)}/{span.name}" if over else span.name

    return [path(span) for span in sorted(spans, key=lambda span: (span.start, -span.end.timestamp()))]


def test_a_task_tells_its_whole_way_in_the_trace_of_who_asked_for_it() -> None:
    _done, spans = told(TRACED, a_run(TRACED))
    assert tree(spans) == [
        "task", "task/queued", "task/assigned", "task/run", "task/run/loading_model", "task/run/generating",
        "task/run/encoding", "task/storing",
    ]  # fmt: skip
    assert {span.context.trace_id for span in spans} == {CLICK.trace_id}
    [whole] = [span for span in spans if span.name == "task"]
    assert (whole.parent, whole.context) == (CLICK, context_of(TRACED))
    assert (whole.start, whole.end) == (NOON, NOON + timedelta(seconds=5))


def test_its_phases_leave_no_gap_and_know_when_encoding_began() -> None:
    _done, spans = told(TRACED, a_run(TRACED))
    phases = sorted((span for span in spans if span.name not in ("task", "run")), key=lambda span: span.start)
    seconds = [((span.start - NOON).total_seconds(), (span.end - NOON).total_seconds()) for span in phases]
    assert seconds == [(0, 1), (1, 2), (2, 3), (3, 3.25), (3.25, 4), (4, 5)]


def test_a_run_whose_worker_was_lost_is_told_by_who_finds_out_and_the_next_is_in_the_same_trace() -> None:
    begun, first = told(TRACED, a_run(TRACED)[:3])
    assert "run" not in [span.name for span in first]
    waits, lost = told(begun, [RetryLater(1, WORKER_LOST, NOON + timedelta(minutes=9))], every=400)
    assert [(span.name, span.error) for span in lost] == [("generating", "worker-lost"), ("run", "worker-lost")]
    assert (lost[1].start, lost[1].end) == (NOON + timedelta(seconds=2), NOON + timedelta(seconds=400))
    _done, again = told(waits, a_run(waits, 2))
    runs = [span for span in (*lost, *again) if span.name == "run"]
    assert [span.attributes["movie_tasks.attempt"] for span in runs] == [1, 2]
    assert len({span.context.span_id for span in runs}) == 2
    assert {span.parent for span in runs} == {context_of(TRACED)}
    assert "task/retry_wait" in tree([*first, *lost, *again])


def test_a_run_that_is_handed_back_is_over_without_blame() -> None:
    _waits, spans = told(TRACED, [*a_run(TRACED)[:3], TakeBack(1)])
    [run] = [span for span in spans if span.name == "run"]
    assert (run.error, run.attributes["movie_tasks.then"]) == (None, "queued")


def test_a_task_sent_round_again_is_another_span_under_the_one_that_ended() -> None:
    failed, first = told(TRACED, [*a_run(TRACED)[:3], Fail(1, TIME_LIMIT_EXCEEDED)])
    again, nothing = told(failed, [Resubmit()], every=60)
    _done, second = told(again, a_run(again, 2), every=100)
    [before], [after] = ([span for span in spans if span.name == "task"] for spans in (first, second))
    assert (before.error, nothing) == ("time-limit-exceeded", [])
    assert (after.parent, after.context.trace_id) == (before.context, CLICK.trace_id)
    assert after.context != before.context


def test_telling_it_twice_is_telling_the_same() -> None:
    assert told(TRACED, a_run(TRACED)) == told(TRACED, a_run(TRACED))


@pytest.mark.parametrize("traceparent", [None, str(CLICK)[:-2] + "00"])
def test_what_is_not_traced_tells_nothing(traceparent: str | None) -> None:
    task = a_task(traceparent=traceparent)
    assert told(task, a_run(task))[1] == []


def test_a_record_from_before_there_were_traces_is_a_record() -> None:
    old = a_task().model_dump_json(exclude={"traceparent"})
    task = Task.model_validate_json(old)
    assert (task.traceparent, context_of(task)) == (None, None)
    assert Task.model_validate_json(TRACED.model_dump_json()) == TRACED


def test_a_trace_that_begins_with_the_task_has_no_span_above_it() -> None:
    task = a_task(traceparent=str(TraceContext.beginning("task", "x", sampled=True)))
    [whole] = [span for span in told(task, a_run(task))[1] if span.name == "task"]
    assert whole.parent is None


def test_spans_hold_nothing_that_people_wrote() -> None:
    task = a_task(
        traceparent=str(CLICK), title="a-secret", client_ref="a-secret", tags=("a-secret",), correlation_id="a-secret",
        params={"prompt": "a-secret"},
    )  # fmt: skip
    assert "a-secret" not in repr(told(task, a_run(task))[1])


def test_every_event_about_a_task_carries_the_task_s_own_span() -> None:
    assigned = apply(TRACED, Assign("worker-1", NOON), NOON)
    given = Assignment(
        worker_id="worker-1", medium=assigned.medium, project_id="p1", task_id=assigned.id, attempt=1, lease_seconds=1
    )
    messages = [
        task_changed(assigned, "test"),
        assignment(given, assigned, "test", NOON),
        task_reminder(TaskReminder.of(assigned, NOON, None), assigned, "test", NOON),
    ]
    assert [message.event.traceparent for message in messages] == [str(context_of(TRACED))] * 3
    assert task_changed(a_task(), "test").event.traceparent is None


async def test_the_record_tells_what_was_saved_and_once() -> None:
    tracer, state, clock = RecordingTracer(), InMemoryState(), SettableClock()
    records = TaskRecords(state, clock, tracer)
    await records.create(TRACED)
    assign = Assign("worker-1", NOON + timedelta(minutes=1))
    await records.change(TRACED.id, lambda _found: assign)
    await records.change(TRACED.id, lambda _found: None)
    assert [span.name for span in tracer.spans] == ["queued"]
