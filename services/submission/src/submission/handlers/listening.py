"""What submission hears on the bus and keeps: tasks' lives, workers' heartbeats, dead letters."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from contracts.events import CloudEvent, DeadLetter, TaskChanged, WorkerHeartbeat
from contracts.ports import Clock
from pydantic_core import from_json

from submission.handlers.estimating import Estimating
from submission.ports import Directory, KeptLetter, ReadModel, Watched, Workers


@dataclass(frozen=True)
class Listening:
    read_model: ReadModel
    directory: Directory
    workers: Workers
    estimating: Estimating
    series: Watched
    tend_soon: Callable[[], None]
    clock: Clock
    on_letter: Callable[[str], None]
    """Told the topic of each dead letter."""

    async def on_task_changed(self, changed: TaskChanged, envelope: CloudEvent) -> None:
        await self.read_model.record(changed.task, envelope.id, envelope.type)
        await self.estimating.learn(changed.task)
        if changed.task.series is not None and changed.task.phase.terminal:
            await self.series.wake(changed.task.series.id, self.clock.now())
            self.tend_soon()

    async def on_heartbeat(self, heartbeat: WorkerHeartbeat, _envelope: CloudEvent) -> None:
        self.workers.heard(heartbeat.worker)

    async def on_dead_letter(self, body: bytes) -> None:
        """Keeps what was dead-lettered: by a service, with the reason, or by daprd, as it was."""
        letter = self._read_letter(body)
        await self.directory.keep_letter(letter)
        self.on_letter(letter.topic)

    def _read_letter(self, body: bytes) -> KeptLetter:
        now, digest = self.clock.now(), hashlib.sha256(body).hexdigest()
        try:
            envelope = CloudEvent.model_validate_json(body)
            letter = DeadLetter.model_validate(envelope.data)
        except ValueError:
            topic = _topic_of(body)
            return KeptLetter(digest, now, "?", topic, "kept failing in delivery", body.decode(errors="replace"))
        # A slash could be part of no address.
        letter_id = digest if "/" in envelope.id else envelope.id
        return KeptLetter(letter_id, now, letter.app, letter.topic, letter.reason, letter.event)


def _topic_of(body: bytes) -> str:
    """daprd writes the topic an event came from into it; a dead letter keeps the one it failed on."""
    try:
        found = from_json(body)
    except ValueError:
        return "?"
    return str(found.get("topic", "?")) if isinstance(found, dict) else "?"
