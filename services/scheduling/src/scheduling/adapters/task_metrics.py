"""Tasks' lives in Prometheus' words: each change is counted by the replica that wrote it into the shared queue, and by
no other, so that counters of replicas add up."""

from collections.abc import Sequence
from datetime import timedelta

from chassis.metrics import BoundedLabel
from contracts.media import Medium
from contracts.tasks import TIME_LIMIT_EXCEEDED, TOO_LONG_TOGETHER, WORKER_LOST, Phase, Priority
from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

from scheduling.domain.counting import HANDED_BACK, PLATFORM, REQUEST, blame, failure, waited, wasted_by
from scheduling.ports import News

MOST_CAUSES = 50
WASTING = (
    HANDED_BACK,
    WORKER_LOST.code,
    TIME_LIMIT_EXCEEDED.code,
    TOO_LONG_TOGETHER.code,
    "engine-crashed",
    "generation-failed",
    "gpu-fault",
    "gpu-out-of-memory",
    "media-corrupt",
    "out-of-memory",
)
"""What the GPU time of whole attempts is mostly lost by."""
TIMED = (Phase.LOADING_MODEL, Phase.GENERATING, Phase.ENCODING, Phase.STORING)
RETRIED, FAILED = "retried", "failed"
ENDS = tuple(phase for phase in Phase if phase.terminal)
WAITS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 43200)
PHASES = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 18000)
LATENESS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 300, 3600)


class TaskMetrics:
    def __init__(self) -> None:
        self._cause = BoundedLabel(MOST_CAUSES)
        self._accepted = Counter(
            "movie_tasks_tasks_accepted", "Tasks that were accepted", ["medium", "priority"], registry=None
        )
        self._ended = Counter(
            "movie_tasks_tasks_ended", "Tasks that came to an end, by which", ["medium", "end"], registry=None
        )
        self._failures = Counter(
            "movie_tasks_attempt_failures",
            "Attempts that failed, by the problem's code and whether another follows",
            ["medium", "cause", "then"],
            registry=None,
        )
        self._failed = Counter(
            "movie_tasks_tasks_failed",
            "Tasks that have failed for good, by whether what was asked for is to blame",
            ["medium", "blame"],
            registry=None,
        )
        self._waited = Histogram(
            "movie_tasks_task_wait_seconds",
            "How long tasks waited for a worker before their first run began",
            ["medium", "priority"],
            buckets=WAITS,
            registry=None,
        )
        self._phases = Histogram(
            "movie_tasks_task_phase_seconds",
            "What a done task took in a phase, all its attempts together",
            ["medium", "phase"],
            buckets=PHASES,
            registry=None,
        )
        self._used = Counter(
            "movie_tasks_gpu_seconds", "Device time that projects were charged for", ["medium"], registry=None
        )
        self._wasted = Counter(
            "movie_tasks_wasted_gpu_seconds", "What of it came to nothing, by why", ["medium", "cause"], registry=None
        )
        self._lateness = Histogram(
            "movie_tasks_reminder_lateness_seconds",
            "How long after its moment a reminder was said",
            buckets=LATENESS,
            registry=None,
        )
        self._begin_at_nought()

    def _begin_at_nought(self) -> None:
        """What has not happened yet is told as well: a rate needs to have seen the value before the first."""
        for medium in Medium:
            self._used.labels(medium.value)
            for priority in Priority:
                self._accepted.labels(medium.value, priority.value)
                self._waited.labels(medium.value, priority.value)
            for fault in (REQUEST, PLATFORM):
                self._failed.labels(medium.value, fault)
            for end in ENDS:
                self._ended.labels(medium.value, end.value)
            for then in (RETRIED, FAILED):
                self._failures.labels(medium.value, self._cause(WORKER_LOST.code), then)
            for cause in WASTING:
                self._wasted.labels(medium.value, self._cause(cause))

    @property
    def collectors(self) -> Sequence[Collector]:
        return (
            self._accepted, self._ended, self._failures, self._failed, self._waited, self._phases, self._used,
            self._wasted, self._lateness,
        )  # fmt: skip

    def count(self, news: News) -> None:
        task, medium = news.task, news.task.medium.value
        if news.charged_seconds > 0:
            self._used.labels(medium).inc(news.charged_seconds)
            if (cause := wasted_by(task)) is not None:
                self._wasted.labels(medium, self._cause(cause)).inc(news.charged_seconds)
        if not news.new_phase:
            return
        if task.seq == 1:
            self._accepted.labels(medium, task.priority.value).inc()
        if (wait := waited(task)) is not None:
            self._waited.labels(medium, task.priority.value).observe(wait)
        if (cause := failure(task)) is not None:
            then = FAILED if task.phase.terminal else RETRIED
            self._failures.labels(medium, self._cause(cause), then).inc()
        if (fault := blame(task)) is not None:
            self._failed.labels(medium, fault).inc()
        if task.phase.terminal:
            self._ended.labels(medium, task.phase.value).inc()
        if task.phase is Phase.DONE:
            for phase in TIMED:
                if phase in task.phase_seconds:
                    self._phases.labels(medium, phase.value).observe(task.phase_seconds[phase])

    def said(self, late: timedelta) -> None:
        self._lateness.observe(max(0.0, late.total_seconds()))
