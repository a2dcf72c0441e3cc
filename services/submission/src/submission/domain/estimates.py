"""When a task will be done: by how long tasks like it took, what is ahead of it, and how wrong such sums were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from contracts.tasks import Estimate, Phase, Priority, Task

ENOUGH_ALIKE = 5
"""So many runs with the very same parameters say more than all others of the model."""
ENOUGH_SUMS = 20
"""From so many finished tasks on, the errors of their estimates are believed."""
REMEMBERED = 200
"""Of each model, the last finished tasks."""
LONGEST_SECONDS = 365 * 86_400.0
UNKNOWN_P90 = 1.8
"""What a sum is stretched by while its errors are not known."""


@dataclass(frozen=True)
class Finished:
    """What a finished task has taught."""

    model: str
    shape: str
    """The same for tasks with the same parameters, but for those that cost nothing."""
    work: float
    device: str
    run_seconds: float | None
    """From the beginning of the run to its end. None if it was not run in one go."""
    error: float | None
    """How many times longer than its estimate it took, if there was one."""


@dataclass(frozen=True)
class Kind:
    """What a task asks for, as far as its length goes."""

    model: str
    shape: str
    work: float
    usual_seconds: float
    """By the catalog, at its defaults."""


@dataclass(frozen=True)
class Waiting:
    project_id: str
    model: str
    priority: Priority
    count: int


@dataclass(frozen=True)
class Backlog:
    """What one medium's workers have before them."""

    waiting: Sequence[Waiting]
    running: Mapping[str, int]
    """Tasks that use a device, by model."""
    slots: int
    devices: frozenset[str]


def run_seconds(kind: Kind, finished: Sequence[Finished], devices: frozenset[str] = frozenset()) -> float:
    """How long the run will take, most likely: as long as the same did; else as others of the model did for each unit
    of work; else what the catalog says."""
    known = [one for one in finished if one.model == kind.model and one.run_seconds is not None]
    here = [one for one in known if one.device in devices] or known
    alike = [one.run_seconds or 0.0 for one in here if one.shape == kind.shape]
    if len(alike) >= ENOUGH_ALIKE:
        return median(alike)
    scaled = [(one.run_seconds or 0.0) * kind.work / one.work for one in here]
    return median(scaled) if scaled else kind.usual_seconds * kind.work


def wait_seconds(
    project_id: str, priority: Priority, own_ahead: int, backlog: Backlog, each: Mapping[str, float]
) -> float:
    """How long until a worker is free for a task with `own_ahead` of its project before it.

    Projects take turns within a priority, so of each other one as many go before it as of its own, and one
    more. `each` is how long a run of each model takes; what runs now is half done, on average.
    """
    ahead = sum(each[model] * count / 2 for model, count in backlog.running.items())
    by_project: dict[str, list[Waiting]] = {}
    for one in backlog.waiting:
        if one.priority.rank > priority.rank:
            ahead += each[one.model] * one.count
        elif one.priority is priority:
            by_project.setdefault(one.project_id, []).append(one)
    for project, groups in by_project.items():
        count = sum(one.count for one in groups)
        goes_first = min(count, own_ahead if project == project_id else own_ahead + 1)
        ahead += goes_first * sum(each[one.model] * one.count for one in groups) / count
    free = backlog.slots - sum(backlog.running.values())
    return 0.0 if free > 0 and not backlog.waiting else ahead / max(1, backlog.slots)


def estimate(seconds: float, start: datetime, now: datetime, finished: Sequence[Finished]) -> Estimate:
    """The sum with what was learned of the errors of such sums, as split conformal prediction has it
    (Lei et al., 2018, https://doi.org/10.1080/01621459.2017.1307116): whatever the sum leaves out, half of what
    finished lately was done by its `p50_at`, and nine in ten by their `p90_at`."""
    seconds = max(seconds, 0.05)
    errors = sorted(one.error for one in finished if one.error is not None)
    known = len(errors) >= ENOUGH_SUMS
    half, most = (_quantile(errors, 0.5), _quantile(errors, 0.9)) if known else (1.0, UNKNOWN_P90)
    return Estimate(
        made_at=now,
        p50_at=start + _within_reason(seconds * half),
        p90_at=start + _within_reason(seconds * most),
        seconds=seconds,
    )


def behind(
    others: Sequence[Estimate], run: float, start: datetime, now: datetime, finished: Sequence[Finished]
) -> Estimate:
    """Of a task that begins when others are done, by what was thought of these when they were accepted, and not before
    `start`. What it will have to wait for a worker then, nobody knows."""
    begin = max([start, *(other.p50_at for other in others)])
    latest = max([start, *(other.p90_at for other in others)])
    alone = estimate(run, begin, now, finished)
    return alone.model_copy(update={"p90_at": alone.p90_at + (latest - begin)})


def _within_reason(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, LONGEST_SECONDS))


def _quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest that at least this part of one more draw would not exceed."""
    place = -(-int(q * 100) * (len(ordered) + 1) // 100) - 1
    return ordered[min(place, len(ordered) - 1)]


def still_running(task: Task, run: float, now: datetime) -> float:
    """Seconds until a task that runs is done: as its own steps say, once they do."""
    if task.progress is not None and task.progress.eta_seconds is not None:
        since = (now - task.updated_at).total_seconds()
        return max(0.0, task.progress.eta_seconds - since)
    begun = task.started_at or now
    return max(0.0, run - (now - begun).total_seconds())


RUN = (Phase.LOADING_MODEL, Phase.GENERATING, Phase.ENCODING, Phase.STORING)


def learned(task: Task, shape: str, work: float) -> Finished | None:
    """What a done task teaches; nothing if it was made without a worker."""
    if task.phase is not Phase.DONE or task.produced is None or task.finished_at is None:
        return None
    ran = sum(task.phase_seconds.get(phase, 0.0) for phase in RUN)
    error = None
    if task.estimate is not None:
        begin = max(task.estimate.made_at, task.waits_since)
        error = max(0.0, (task.finished_at - begin).total_seconds()) / task.estimate.seconds
    return Finished(
        model=task.model,
        shape=shape,
        work=work,
        device=task.produced.provenance.device,
        run_seconds=ran if task.attempt == 1 and ran > 0 else None,
        error=error,
    )
