"""Giving out how far a task has come, to whoever has a link to it, while it runs."""

from dataclasses import dataclass

from chassis.preview_links import PreviewLinks
from contracts.errors import NotFound
from contracts.ports import Clock, ObjectStore
from contracts.records import TaskRecords
from contracts.topics import preview_key

from storage.domain import shows_previews

LARGEST_PREVIEW = 64 * 1024
"""In bytes: far more than workers make, and little enough to be read whole."""


@dataclass(frozen=True)
class Previewing:
    links: PreviewLinks
    tasks: TaskRecords
    objects: ObjectStore
    clock: Clock

    async def open(self, task_id: str, token: str) -> bytes:
        """Raises `Unauthenticated`, the same for every reason, and `NotFound` when the attempt that the link is for
        does not run any more."""
        previewed = self.links.open(token, task_id, self.clock.now())
        gone = NotFound(f"no preview of task {task_id} now")
        if not shows_previews(await self.tasks.get(task_id), previewed.project_id, previewed.attempt):
            raise gone
        content = b""
        async for chunk in self.objects.read(preview_key(task_id, int(previewed.attempt))):
            content += chunk
            if len(content) > LARGEST_PREVIEW:
                raise gone
        return content
