"""Results on their way from staging into their project.

Every step can be repeated: the media id and all keys follow from the task and the attempt, and the
record accepts the end of an attempt once. A crash anywhere leaves a row that is taken up again.
"""

import asyncio
import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from chassis.about import about_task
from chassis.background import background, keep_doing, look_for_due
from contracts.errors import (
    AlreadyExists,
    DependencyUnavailable,
    IllegalTransition,
    NotFound,
    Problem,
    RetryableError,
    StaleAttempt,
    UnsupportedMedia,
)
from contracts.events import CloudEvent, TaskChanged, task_changed
from contracts.identifiers import media_id_for
from contracts.media import MediaResult, ProducedMedia
from contracts.ports import Clock, ObjectStore, Publisher
from contracts.records import Records, TaskRecords
from contracts.tasks import Backoff, Cancel, Complete, Move, Task, after_failure
from contracts.topics import App, media_prefix

from storage.domain import Checked, check_claim, has_no_result_yet, needs_storing, result_of, unreadable
from storage.ports import Ingest, Ingests, MediaTools

log = structlog.get_logger(__name__)

RENEWALS_PER_HOLD = 3
OVER = (StaleAttempt, IllegalTransition, NotFound)


@dataclass(frozen=True)
class Ingesting:
    tasks: TaskRecords
    media: Records[MediaResult]
    ingests: Ingests
    objects: ObjectStore
    tools: MediaTools
    publisher: Publisher
    clock: Clock
    wake_at: Callable[[datetime], None]
    wanted: asyncio.Event
    scratch: Path
    at_once: int
    hold: timedelta
    backoff: Backoff
    randomness: random.Random

    async def on_task_changed(self, changed: TaskChanged, _envelope: CloudEvent) -> None:
        """Notes a produced result. The work itself is done beside the delivery."""
        task = changed.task
        if needs_storing(task, task.attempt):
            await self.ingests.add(task.id, task.attempt, self.clock.now())
            self.wanted.set()

    async def take_due(self, now: datetime) -> datetime | None:
        """The alarm's answer: something put off is due."""
        return await look_for_due(self.wanted, self.ingests.next_due, now)

    async def keep_ingesting(self) -> None:
        """Runs for as long as the service does."""
        await keep_doing(self.wanted, self._take, self._ingest_or_put_off, self.at_once)

    async def _take(self, limit: int) -> Sequence[Ingest]:
        now = self.clock.now()
        return await self.ingests.take(now, now + self.hold, limit)

    async def _ingest_or_put_off(self, ingest: Ingest) -> None:
        try:
            async with background(self._keep_hold(ingest)):
                await self._ingest(ingest)
            await self.ingests.remove(ingest)
        except RetryableError as error:
            await self._put_off(ingest, error.detail)
        except Exception as error:
            log.exception("storing met a bug", task_id=ingest.task_id)
            await self._put_off(ingest, repr(error))

    async def _keep_hold(self, ingest: Ingest) -> None:
        """Keeps others off for as long as we live, and not much longer."""
        while True:
            await asyncio.sleep(self.hold.total_seconds() / RENEWALS_PER_HOLD)
            with suppress(RetryableError):
                await self.ingests.put_off(ingest, self.clock.now() + self.hold)

    async def _put_off(self, ingest: Ingest, reason: str) -> None:
        due = self.clock.now() + self.backoff.wait(ingest.tries + 1, self.randomness)
        log.warning("storing is put off", task_id=ingest.task_id, reason=reason, until=due.isoformat())
        with suppress(RetryableError):  # then it is due again when the hold on it runs out
            await self.ingests.again(ingest, due)
        self.wake_at(due)

    async def _ingest(self, ingest: Ingest) -> None:
        task = await self.tasks.get(ingest.task_id)
        if task is not None and has_no_result_yet(task, ingest.attempt):
            raise DependencyUnavailable("the record that was read is older than what was said of it")
        if task is not None and task.attempt == ingest.attempt:
            with about_task(task):
                await self._ingest_attempt(task)

    async def _ingest_attempt(self, task: Task) -> None:
        if task.produced is not None and needs_storing(task, task.attempt):
            try:
                task = await self._end(task, task.produced)
            except OVER as error:
                log.info("somebody else has moved the task on", reason=error.detail)
                return
            log.info("the task has left storage", phase=task.phase.value)
        # An earlier try may have saved the end and died before it could say so.
        await self.publisher.publish(task_changed(task, App.STORAGE))
        if task.produced is not None:
            await self.objects.delete(task.produced.key)

    async def _end(self, task: Task, claim: ProducedMedia) -> Task:
        """The task after its result was stored, or was found to be unusable, or no longer wanted."""
        if task.cancel_requested:
            return await self._cancel(task)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            path = Path(folder) / "file"
            try:
                checked = await self._check(claim, path)
                thumbnail = await self.tools.thumbnail(path, checked.probe)
            except (UnsupportedMedia, NotFound) as error:
                return await self._fail(task, unreadable(error.detail))
            if (problem := check_claim(claim, checked)) is not None:
                return await self._fail(task, problem)
            result = result_of(task, checked, self.clock.now())
            await self._promote(claim, result, thumbnail)
        return await self.tasks.change(task.id, lambda _found: Complete(task.attempt, result), task.seq)

    async def _cancel(self, task: Task) -> Task:
        """An earlier try may have come far: what a media document names is kept, anything less is taken away."""
        media_id = media_id_for(task.id, task.attempt)
        stored = await self.media.get(media_id)
        if stored is not None:
            return await self.tasks.change(task.id, lambda _found: Complete(task.attempt, stored), task.seq)
        async for promoted in self.objects.list(media_prefix(task.project_id, media_id)):
            await self.objects.delete(promoted.key)
        return await self.tasks.change(task.id, lambda _found: Cancel(task.attempt), task.seq)

    async def _check(self, claim: ProducedMedia, path: Path) -> Checked:
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            async for chunk in self.objects.read(claim.key):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        return Checked(await self.tools.probe(path), size, digest.hexdigest())

    async def _promote(self, claim: ProducedMedia, result: MediaResult, thumbnail: bytes) -> None:
        writes = [self.objects.copy(claim.key, result.key)]
        if result.thumbnail_key:
            writes.append(self.objects.put(result.thumbnail_key, thumbnail))
        if result.manifest_key:
            manifest = {"media": result.model_dump(mode="json"), "provenance": claim.provenance.model_dump(mode="json")}
            writes.append(self.objects.put(result.manifest_key, json.dumps(manifest, indent=2).encode()))
        await asyncio.gather(*writes)
        try:
            await self.media.create(result.id, result)
        except AlreadyExists:
            log.info("the media record exists from an earlier try", media_id=result.id)

    async def _fail(self, task: Task, problem: Problem) -> Task:
        log.warning("a produced file cannot be stored", reason=problem.detail)

        def decide(found: Task) -> Move:
            return after_failure(found, task.attempt, problem, self.clock.now(), self.backoff, self.randomness)

        return await self.tasks.change(task.id, decide, task.seq)
