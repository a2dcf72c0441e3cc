"""What must hold at every save, every publication, every delivery and every start of an engine."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.events import DeadLetter, Message, TaskChanged, milestone
from contracts.identifiers import media_id_for
from contracts.media import MediaResult
from contracts.pauses import Pauses
from contracts.projects import Project
from contracts.tasks import TIME_LIMIT_EXCEEDED, Phase, Task
from contracts.topics import App, Topic, media_key, project_key, staging_prefix, task_key

from tests.simulation.budgets import Budgets
from tests.simulation.faults import SKEW_SECONDS
from tests.simulation.network import Network
from tests.simulation.pauses import PauseWatch
from tests.simulation.stores import PAUSES

LEASE_SECONDS = 30.0
OVERLAP_SECONDS = LEASE_SECONDS + 30.0
"""A worker that was given up notices at its next step or when its lease is over, and is given time to stop."""

STANDS_AT_MOST_SECONDS = {Phase.ASSIGNED: 60.0, Phase.STORING: 60.0}
"""Phases in which a task only waits for somebody to take it in hand."""

STARTS_IN_A_ROW = 4
"""So often at most another project comes first while one waits with the same priority and runs as long."""

Key = tuple[str, int]


@dataclass
class Wishes:
    """What people have asked for, answered or not."""

    cancelled: set[str] = field(default_factory=set)
    retried: set[str] = field(default_factory=set)
    bad_requests: int = 0


class Invariants:
    """Told of everything; remembers the first thing that was wrong, and says so."""

    def __init__(self, network: Network, wishes: Wishes, apart: bool, budgets: Budgets) -> None:
        self.violations: list[str] = []
        self.any_violation = asyncio.Event()
        self.tasks: dict[str, Task] = {}
        self.versions: dict[Key, Task] = {}
        self.told: dict[str, set[str]] = {}
        """By project: the webhooks its receiver has accepted."""
        self.dead_letters: list[DeadLetter] = []
        self.provoked = 0
        self.even = False
        """Whether all tasks of the run are alike, so that every project must have its turn."""
        self._passed: Counter[tuple[str, str]] = Counter()
        self._network = network
        self._wishes = wishes
        self._budgets = budgets
        self._pauses = PauseWatch()
        self._apart = apart
        """Whether each service is a process of its own, so that it is known who writes."""
        self._ids: dict[str, tuple[str, Task]] = {}
        self._engines: dict[str, dict[Key, tuple[str, float]]] = {}
        self._began: dict[Key, float] = {}
        self._saved_at: dict[str, float] = {}
        self.leaders: Callable[[], Sequence[str]] = list
        self.documents: Callable[[], Mapping[str, Any]] = dict

    def violated(self, what: str) -> None:
        self.violations.append(what)
        self.any_violation.set()
        self._network.note(f"VIOLATION: {what}")

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.violated(what)

    def saved(self, who: str, key: str, before: bytes | None, after: bytes) -> None:
        """Every document that is saved, as the state store saves it."""
        if key.startswith(project_key("")):
            self._budgets.said(Project.model_validate_json(after), self._network.loop.time())
        if key == PAUSES:
            self._pauses.said(Pauses.model_validate_json(after), self._network.loop.time())
        if not key.startswith(task_key("")):
            return
        task = Task.model_validate_json(after)
        known = self.tasks.get(task.id)
        where = f"{known.phase.value} -> " if known else ""
        self._network.trace.add(
            self._network.loop.time(),
            who,
            f"saves {task.id[:4]} {where}{task.phase.value} seq {task.seq} attempt {task.attempt}",
        )
        self.tasks[task.id] = self.versions[task.id, task.seq] = task
        self._saved_at[task.id] = self._network.loop.time()
        self._ids[_webhook_id(f"{task.id}:{task.seq}")] = (milestone(task), task)
        if known is None:
            begins = Phase.BLOCKED if task.needs else Phase.QUEUED
            self.expect(task.seq == 1 and task.phase is begins, f"{task.id} is created as {task.phase} {task.seq}")
        else:
            self._check_change(who.rpartition("#")[0], known, task)
            too_much = self._budgets.saved(who, known, task, self.tasks, self._network.loop.time())
            self.expect(too_much is None, str(too_much))
            paused = self._pauses.saved(known, task, self._network.loop.time())
            self.expect(paused is None, str(paused))
        self._check_record(task)
        leaders = self.leaders()
        self.expect(len(leaders) <= 1, f"at once {' and '.join(leaders)} lead")

    def check_nothing_stands(self, since: float) -> None:
        """Asked when nothing fails or holds a task back `since` then: what only waits to be taken in hand is."""
        spared = 2 * SKEW_SECONDS if self._network.faults.skewed else 0.0
        for task in self.tasks.values():
            stood = self._network.loop.time() - max(since, self._saved_at[task.id])
            longest = STANDS_AT_MOST_SECONDS.get(task.phase)
            moves = longest is None or stood <= longest + spared
            self.expect(moves, f"task {task.id[:4]} stands in {task.phase.value} for {stood:.0f} s, and nothing fails")

    def _check_record(self, task: Task) -> None:
        name = f"task {task.id[:4]} ({task.phase.value})"
        if task.phase.terminal:
            self.expect(task.deadline is None and task.finished_at is not None, f"{name} has ended with a deadline")
        else:
            self.expect(task.deadline is not None and task.phase.owner is not None, f"{name} has no owner or deadline")
        self.expect(task.failures <= task.max_failures, f"{name} has failed {task.failures} times")
        if task.phase is Phase.FAILED:
            self.expect(task.error is not None, f"{name} has failed without a reason")
            self._check_time_limit(task)
        if task.phase is Phase.CANCELLED:
            self.expect(task.id in self._wishes.cancelled, f"{name} was cancelled by nobody")
        if task.produced is not None:
            claim, prefix = task.produced, staging_prefix(task.id, task.attempt)
            fits = claim.key.startswith(prefix + "/") and claim.provenance.attempt == task.attempt
            self.expect(fits, f"{name} holds the product of another attempt: {claim.key}")
        if task.phase is Phase.DONE:
            self._check_result(task)

    def _check_result(self, task: Task) -> None:
        result, name = task.result, f"task {task.id[:4]} (done)"
        if result is None:
            self.violated(f"{name} has no result")
            return
        self.expect(result.id == media_id_for(task.id, task.attempt), f"{name} has the result of another attempt")
        stored = self.documents().get(media_key(result.id))
        same = stored is not None and MediaResult.model_validate_json(stored.value) == result
        # A try before this one may have written the document; it then carries that try's time.
        if stored is not None and not same:
            found = MediaResult.model_validate_json(stored.value)
            same = found.model_copy(update={"created_at": result.created_at}) == result
        self.expect(same, f"{name} has a result that is no media document")

    def _check_time_limit(self, task: Task) -> None:
        if task.error is None or task.error.code != TIME_LIMIT_EXCEEDED.code or self._network.faults.skewed:
            return
        began = self._began.get((task.id, task.attempt))
        ran = self._network.loop.time() - began if began is not None else 0.0
        self.expect(
            ran > 0.5 * task.time_limit_seconds,
            f"task {task.id[:4]} has exceeded its time limit, but its engine ran only {ran:.0f} s of it",
        )

    def _check_change(self, who: str, before: Task, after: Task) -> None:
        name = f"task {after.id[:4]} ({before.phase.value} -> {after.phase.value} by {who})"
        self.expect(after.seq == before.seq + 1, f"{name}: seq went from {before.seq} to {after.seq}")
        begins = after.phase is Phase.ASSIGNED and before.phase is not Phase.ASSIGNED
        self.expect(
            after.attempt == before.attempt + begins, f"{name}: attempt {before.attempt} became {after.attempt}"
        )
        if begins:
            waited = before.phase in (Phase.QUEUED, Phase.RETRY_WAIT)
            self.expect(waited, f"{name}: a new attempt although the last has not ended")
            self._check_fair(after)
        if before.phase.terminal:
            begins_again = Phase.BLOCKED if after.needs else Phase.QUEUED
            again = after.phase is begins_again and after.id in self._wishes.retried
            self.expect(again, f"{name}: an ended task came back, and nobody had asked for it")
            self.expect(before.phase is not Phase.DONE, f"{name}: a task that was done came back")
        if after.phase is Phase.DONE:
            self.expect(before.phase is Phase.STORING, f"{name}: done without having been stored")
        if before.phase is Phase.BLOCKED and after.phase is not Phase.BLOCKED:
            self._check_needs(name, after)
        if self._apart:
            self._check_writer(who, name, before, after)

    def _check_needs(self, name: str, after: Task) -> None:
        """What was blocked goes on with the results of all that it needs, or is skipped for want of one."""
        needed = {slot: self.tasks.get(task_id) for slot, task_id in after.needs.items()}
        if after.phase is Phase.QUEUED:
            results = {slot: task.result.id if task and task.result else None for slot, task in needed.items()}
            self.expect(after.inputs == results, f"{name}: has the inputs {after.inputs}, and there are {results}")
        elif after.phase is Phase.SKIPPED:
            in_vain = {
                task.id for task in self.versions.values() if task.phase.terminal and task.phase is not Phase.DONE
            }
            self.expect(not in_vain.isdisjoint(after.needs.values()), f"{name}: nothing that it needs ended in vain")

    def _check_fair(self, started: Task) -> None:
        if not self.even:
            return
        others = {task.project_id for task in self.tasks.values() if task.phase is Phase.QUEUED} - {started.project_id}
        for pair in list(self._passed):
            if pair[0] == started.project_id or pair[0] not in others:
                del self._passed[pair]
        for other in sorted(others):
            self._passed[other, started.project_id] += 1
            passed = self._passed[other, started.project_id]
            self.expect(passed <= STARTS_IN_A_ROW, f"{started.project_id} started {passed} while {other} waits")

    def _check_writer(self, who: str, name: str, before: Task, after: Task) -> None:
        """Independent of `apply`: whoever writes must be who holds the task."""
        if who.startswith("gpu-worker-"):
            self.expect(before.worker_id == who, f"{name}: the task is held by {before.worker_id}")
            self.expect(before.phase.owner in ("worker", "scheduling"), f"{name}: a worker writes out of turn")
        elif who.startswith(App.STORAGE):
            self.expect(before.phase is Phase.STORING, f"{name}: storage writes out of turn")
        elif who.startswith(App.SUBMISSION):
            self.expect(after.phase is not Phase.DONE, f"{name}: submission ends a task")

    def published(self, who: str, message: Message) -> None:
        """Every message that a broker takes."""
        event = message.event
        if event.type in ("task.progressed.v1", "worker.heartbeat.v1", "feed.grew.v1"):
            return
        self._network.trace.add(self._network.loop.time(), who, f"says {event.type} {event.id[:4]}{event.id[36:44]}")
        if event.type in TaskChanged.types:
            said = event.data["task"]
            version = self.versions.get((said["id"], said["seq"]))
            true = version is not None and version.model_dump(mode="json") == said
            self.expect(true, f"{who} announces of task {said['id'][:4]} what was never saved: seq {said['seq']}")
        elif event.type in DeadLetter.types:
            letter = DeadLetter.model_validate(event.data)
            self.dead_letters.append(letter)
            provoked = letter.topic == "task-requests" and "not an event" in letter.event
            self.expect(provoked, f"{letter.app} dead-letters from {letter.topic}: {letter.reason}")

    def dead_lettered_by_sidecar(self, app: str, topic: Topic, body: bytes) -> None:
        self.violated(f"{topic.name} could not be delivered to {app} in two minutes")

    def heard_by_receiver(self, project_id: str, webhook_id: str, type_: str) -> None:
        """Every webhook that a receiver takes."""
        said = self._ids.get(webhook_id)
        if said is None:
            self.expect(type_ == "task.rejected.v1", f"{project_id} is told {type_} of a task state that never was")
            return
        self.expect(said[0] == type_, f"{project_id} is told {type_}, but the task's state says {said[0]}")
        self.expect(said[1].project_id == project_id, f"{project_id} is told of a task of {said[1].project_id}")
        self.told.setdefault(project_id, set()).add(webhook_id)

    def must_be_told(self, task: Task) -> bool:
        return _webhook_id(f"{task.id}:{task.seq}") not in self.told.get(task.project_id, set())

    def engine_began(self, worker: str, task_id: str, attempt: int) -> None:
        now, running = self._network.loop.time(), self._engines.setdefault(task_id, {})
        self._network.trace.add(now, worker, f"runs {task_id[:4]} attempt {attempt}")
        again = (task_id, attempt) in self._began
        self.expect(not again, f"attempt {attempt} of {task_id[:4]} begins on an engine for the second time")
        running[task_id, attempt] = (worker, now)
        self._began[task_id, attempt] = now

    def engine_ended(self, worker: str, task_id: str, attempt: int) -> None:
        now, running = self._network.loop.time(), self._engines[task_id]
        _, since = running.pop((task_id, attempt))
        self._network.trace.add(now, worker, f"leaves {task_id[:4]} attempt {attempt}")
        for (_, other), (other_worker, other_since) in running.items():
            both = now - max(since, other_since)
            self.expect(
                both <= OVERLAP_SECONDS,
                f"task {task_id[:4]} ran {both:.0f} s on two engines: attempt {attempt} on {worker}, "
                f"attempt {other} on {other_worker}",
            )


def _webhook_id(event_id: str) -> str:
    return "msg_" + hashlib.sha256(event_id.encode()).hexdigest()[:32]
