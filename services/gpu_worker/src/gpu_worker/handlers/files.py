"""What an attempt takes from the object store and leaves there on its way."""

import asyncio
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import structlog
from contracts.errors import NotFound
from contracts.media import MediaResult
from contracts.ports import ObjectStore
from contracts.records import Records, TaskRecords
from contracts.tasks import Checkpoint, ReplayOf, Task
from contracts.topics import checkpoint_key, preview_key

from gpu_worker.protocol import Original, RunJob, Saved, Shown

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Files:
    tasks: TaskRecords
    media: Records[MediaResult]
    objects: ObjectStore

    async def job(self, task: Task, folder: Path) -> RunJob:
        """What the engine is to do, with every file it needs on the local disk.

        Raises `NotFound` for an input that is no longer there.
        """
        return RunJob(
            task_id=task.id,
            attempt=task.attempt,
            correlation_id=task.correlation_id,
            model=task.model,
            params=task.params,
            inputs=await self._inputs(task, folder),
            folder=str(folder),
            checkpoint=await self._checkpoint(task, folder),
            original=await self._original(task, task.replay_of, folder) if task.replay_of else None,
        )

    async def _inputs(self, task: Task, folder: Path) -> dict[str, str]:
        paths = {}
        for name, media_id in task.inputs.items():
            media = await self.media.get(media_id)
            if media is None or media.project_id != task.project_id:
                raise NotFound(f"input {name} is no longer in the project")
            paths[name] = str(await self._fetch(media.key, folder / f"input-{name}"))
        return paths

    async def _checkpoint(self, task: Task, folder: Path) -> str | None:
        """What an earlier attempt has left, on the local disk; nothing when it is gone, for it can be done without."""
        if task.checkpoint is None:
            return None
        try:
            return str(await self._fetch(task.checkpoint.key, folder / "resumed.safetensors"))
        except NotFound:
            log.warning("a checkpoint is gone; the run begins anew", key=task.checkpoint.key)
            return None

    async def _original(self, task: Task, replay_of: ReplayOf, folder: Path) -> Original:
        """As much of it as is left: a replay is done without it too, and only has less to say."""
        found = await self.tasks.get(replay_of.task_id)
        if found is None or found.project_id != task.project_id or found.produced is None:
            return Original()
        if found.result is None or found.result.id != replay_of.media_id:
            return Original()
        original = Original(sha256=found.result.sha256, provenance=found.produced.provenance)
        media = await self.media.get(replay_of.media_id)
        if media is None or media.project_id != task.project_id:
            return original
        try:
            path = await self._fetch(media.key, folder / f"original{PurePosixPath(media.key).suffix}")
        except NotFound:
            log.warning("the original of a replay is gone", key=media.key)
            return original
        return original.model_copy(update={"path": str(path)})

    async def keep(self, saved: Saved) -> Checkpoint:
        """Moves a checkpoint from the local disk to where the next attempt finds it."""
        path = Path(saved.path)
        checkpoint = Checkpoint(key=checkpoint_key(saved.task_id, saved.attempt, saved.step), step=saved.step)
        try:
            await self.objects.put(checkpoint.key, path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return checkpoint

    async def show(self, shown: Shown) -> None:
        """Moves a preview from the local disk to where it is looked at, in place of the one before."""
        path = Path(shown.path)
        try:
            await self.objects.put(preview_key(shown.task_id, shown.attempt), path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def put(self, key: str, path: Path) -> None:
        await self.objects.put(key, path)

    async def delete(self, key: str) -> None:
        await self.objects.delete(key)

    async def _fetch(self, key: str, path: Path) -> Path:
        with path.open("wb") as file:
            async for chunk in self.objects.read(key):
                file.write(chunk)
        return path
