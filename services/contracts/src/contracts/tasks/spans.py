"""A task's trace, as its record tells it: a span for the task, one for each run of it, one for each phase it was in.

Whoever saves the end of a phase tells its span, so a phase whose worker died is told by the watchdog that found out.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from contracts.tasks.record import Phase, Task
from contracts.tracing import Span, TraceContext

RUNNING = (Phase.LOADING_MODEL, Phase.GENERATING, Phase.ENCODING)
WENT_WRONG = (Phase.RETRY_WAIT, Phase.FAILED)


def context_of(task: Task) -> TraceContext | None:
    """The span of the task itself, which everything that is done for it belongs under. None for an untraced one."""
    asked = TraceContext.read(task.traceparent)
    return asked.child("task", task.id) if asked else None


def run_of(task: Task) -> TraceContext | None:
    """The span of its newest attempt's run."""
    own = context_of(task)
    return own.child("run", str(task.attempt)) if own else None


def spans_of(before: Task, after: Task) -> Iterator[Span]:
    """What is over now that a task has come from `before` to `after`."""
    if before.phase is after.phase or before.phase.terminal:
        return
    own, run = context_of(before), run_of(before)
    if own is None or run is None or not own.sampled:
        return
    for phase, start, end in _phases(before, after):
        over = run if phase in RUNNING else own
        yield _span(phase.value, over.child(phase.value, start.isoformat()), over, start, end, before, after)
    if before.phase in RUNNING and after.phase not in RUNNING:
        yield _span("run", run, own, before.started_at or before.phase_since, _end(before, after), before, after)
    if after.phase.terminal:
        yield _span("task", own, _parent(before), before.created_at, after.updated_at, before, after)


def _phases(before: Task, after: Task) -> Iterator[tuple[Phase, datetime, datetime]]:
    start, end = before.phase_since, _end(before, after)
    if before.phase is Phase.GENERATING and after.phase is Phase.STORING:
        # Two phases that ended in one save.
        encoding = after.phase_seconds.get(Phase.ENCODING, 0.0) - before.phase_seconds.get(Phase.ENCODING, 0.0)
        generated = max(start, end - timedelta(seconds=encoding))
        yield Phase.GENERATING, start, generated
        yield Phase.ENCODING, generated, end
    else:
        yield before.phase, start, end


def _end(before: Task, after: Task) -> datetime:
    return max(before.phase_since, after.phase_since)  # services' clocks differ


def _parent(task: Task) -> TraceContext | None:
    asked = TraceContext.read(task.traceparent)
    return asked if asked and asked.is_span else None


def _span(
    name: str, context: TraceContext, parent: TraceContext | None, start: datetime, end: datetime,
    before: Task, after: Task,
) -> Span:  # fmt: skip
    attributes = {
        "movie_tasks.task.id": before.id,
        "movie_tasks.project.id": before.project_id,
        "movie_tasks.model": before.model,
        "movie_tasks.medium": before.medium.value,
        "movie_tasks.attempt": before.attempt,
        "movie_tasks.then": after.phase.value,
    }
    if before.worker_id is not None:
        attributes |= {"movie_tasks.worker.id": before.worker_id, "movie_tasks.together": before.together}
    error = after.error.code if after.phase in WENT_WRONG and after.error else None
    return Span(name, context, parent, start, end, attributes=attributes, error=error)
