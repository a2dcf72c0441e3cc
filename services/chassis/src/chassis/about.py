"""What log lines are about: said once for all that is logged meanwhile, and looked up only when a line is written."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from contracts.events import CloudEvent, Event, TaskChanged
from contracts.tasks import Task, context_of
from contracts.tracing import Bound, TraceContext, current_trace

Fields = Mapping[str, Any]

_ABOUT: ContextVar[Callable[[], Fields] | None] = ContextVar("about", default=None)


About = Bound[Callable[[], Fields] | None]


def about_task(task: Task) -> About:
    return Bound(_ABOUT, partial(_of_task, task))


def about_event(envelope: CloudEvent, event: Event) -> About:
    return Bound(_ABOUT, partial(_of_event, envelope, event))


def about_trace(traceparent: str | None, **fields: Any) -> About:
    return Bound(_ABOUT, lambda: {**fields, **_of_trace(TraceContext.read(traceparent))})


def fields_now() -> dict[str, Any]:
    """What a line written now is about, by the names that it has in every service's log."""
    said, trace = _ABOUT.get(), current_trace()
    found = {**(said() if said else {}), **(_of_trace(trace) if trace else {})}
    return {name: value for name, value in found.items() if value is not None}


def _of_task(task: Task) -> Fields:
    ours = {"correlation_id": task.correlation_id, "task_id": task.id, "project_id": task.project_id}
    return {**ours, "attempt": task.attempt, **_of_trace(context_of(task))}


def _of_event(envelope: CloudEvent, event: Event) -> Fields:
    if isinstance(event, TaskChanged):
        return _of_task(event.task)
    named = {name: getattr(event, name, None) for name in ("task_id", "project_id", "attempt")}
    trace = _of_trace(TraceContext.read(envelope.traceparent))
    return {"correlation_id": envelope.correlationid, **named, **trace}


def _of_trace(trace: TraceContext | None) -> Fields:
    return {"trace_id": trace.trace_id, "span_id": trace.span_id} if trace else {}
