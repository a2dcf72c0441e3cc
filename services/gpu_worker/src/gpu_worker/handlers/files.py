"""What an attempt takes from the object store and leaves there on its way."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog
from contracts.errors import NotFound
from contracts.media import MediaResult
from contracts.ports import ObjectStore
from contracts.records import Records
from contracts.tasks import Checkpoint, Task
from contracts.topics import checkpoint_key

from gpu_worker.protocol import Saved

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Files:
    media: Records[MediaResult]
    objects: ObjectStore

    async def inputs(self, task: Task, folder: Path) -> dict[str, str]:
        """Input files on the local disk, by the catalog's names. Raises `NotFound` for what is no longer there."""
        paths = {}
        for name, media_id in task.inputs.items():
            media = await self.media.get(media_id)
            if media is None or media.project_id != task.project_id:
                raise NotFound(f"input {name} is no longer in the project")
            paths[name] = str(await self._fetch(media.key, folder / f"input-{name}"))
        return paths

    async def checkpoint(self, task: Task, folder: Path) -> str | None:
        """What an earlier attempt has left, on the local disk; nothing when it is gone, for it can be done without."""
        if task.checkpoint is None:
            return None
        try:
            return str(await self._fetch(task.checkpoint.key, folder / "resumed.safetensors"))
        except NotFound:
            log.warning("a checkpoint is gone; the run begins anew", task_id=task.id, key=task.checkpoint.key)
            return None

    async def keep(self, saved: Saved) -> Checkpoint:
        """Moves a checkpoint from the local disk to where the next attempt finds it."""
        path = Path(saved.path)
        checkpoint = Checkpoint(key=checkpoint_key(saved.task_id, saved.attempt, saved.step), step=saved.step)
        try:
            await self.objects.put(checkpoint.key, path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return checkpoint

    async def _fetch(self, key: str, path: Path) -> Path:
        with path.open("wb") as file:
            async for chunk in self.objects.read(key):
                file.write(chunk)
        return path
