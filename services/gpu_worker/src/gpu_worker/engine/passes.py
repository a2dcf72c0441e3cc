"""Jobs that share one forward pass of a pipeline, and which of them are still wanted."""

from collections.abc import Callable, Sequence

from contracts.identifiers import ModelKey

from gpu_worker.protocol import Generating, JobReport, RunJob, Stepped, Stopped

Key = tuple[str, int]


class StopRequested(Exception):
    """Raised out of a step's callback: the supervisor wants none of the pass any more."""


class Pass:
    """Reports of each job by itself. `stopping` is written by the thread that hears the supervisor."""

    def __init__(self, jobs: Sequence[RunJob], stopping: set[Key], report: Callable[[JobReport], None]) -> None:
        self.jobs = tuple(jobs)
        """Those that go into the pipeline's call, in the order of its outputs."""
        self.began = False
        self.first_step = 0
        """How many steps are walked through that an earlier attempt had done."""
        self._wanted = {(job.task_id, job.attempt): job for job in jobs}
        self._stopping = stopping
        self._report = report

    @property
    def wanted(self) -> tuple[RunJob, ...]:
        return tuple(self._wanted.values())

    def begin(self, warm_models: tuple[ModelKey, ...], first_step: int = 0) -> None:
        """What is not wanted any more does not go into the call. Raises `StopRequested` when nothing is left."""
        self._drop_stopped()
        self.jobs, self.began, self.first_step = self.wanted, True, first_step
        for task_id, attempt in self._wanted:
            self._report(Generating(task_id=task_id, attempt=attempt, warm_models=warm_models, first_step=first_step))

    def on_step(self, step: int, total: int) -> None:
        """The outputs of what is not wanted any more are dropped; the pass goes on for the others.

        Raises `StopRequested` when there are no others.
        """
        self._drop_stopped()
        if step <= self.first_step:
            return
        for task_id, attempt in self._wanted:
            self._report(Stepped(task_id=task_id, attempt=attempt, step=step, total=total))

    def _drop_stopped(self) -> None:
        for task_id, attempt in [key for key in self._wanted if key in self._stopping]:
            del self._wanted[task_id, attempt]
            self._report(Stopped(task_id=task_id, attempt=attempt))
        if not self._wanted:
            raise StopRequested
