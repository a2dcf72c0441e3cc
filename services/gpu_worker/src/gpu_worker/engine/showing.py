"""Pictures of how far the jobs of a pass have come, for as long as somebody asks for them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import structlog
from PIL import Image

from gpu_worker.engine.drawing import Unfinished, draw
from gpu_worker.engine.passes import Key, Pass
from gpu_worker.protocol import JobReport, RunJob, Shown

log = structlog.get_logger(__name__)

FEW_BYTES = 8 * 1024
QUALITIES = (60, 30, 10, 1)
"""Of WebP, the first of them that makes it small enough: what is still noise takes most, and shows least."""


class Showing:
    """`asked` is written by the thread that hears the supervisor. What is not asked for is not drawn."""

    def __init__(self, shared: Pass, asked: set[Key], report: Callable[[JobReport], None]) -> None:
        self._shared = shared
        self._asked = asked
        self._report = report

    def look(self, unfinished: Unfinished) -> None:
        if not self._asked or unfinished.step <= self._shared.first_step:
            return
        for index, job in enumerate(self._shared.jobs):
            key = job.task_id, job.attempt
            if key in self._asked:
                self._asked.discard(key)
                if (path := self._drawn(unfinished, index, job)) is not None:
                    task_id, attempt = key
                    self._report(Shown(task_id=task_id, attempt=attempt, step=unfinished.step, path=str(path)))

    def _drawn(self, unfinished: Unfinished, index: int, job: RunJob) -> Path | None:
        """A run goes on without a picture that cannot be made: what is wrong with the device it notices by itself."""
        path = Path(job.folder) / f"preview-{unfinished.step}.webp"
        try:
            image = draw(unfinished, index)
            if image is None:
                return None
            path.write_bytes(_small(image))
        except Exception as error:
            error.__traceback__ = None
            log.warning("a preview cannot be drawn", task_id=job.task_id, step=unfinished.step, reason=repr(error))
            return None
        return path


def _small(image: Image.Image) -> bytes:
    for quality in QUALITIES:
        buffer = BytesIO()
        image.save(buffer, "webp", quality=quality)
        if buffer.tell() <= FEW_BYTES:
            break
    return buffer.getvalue()
