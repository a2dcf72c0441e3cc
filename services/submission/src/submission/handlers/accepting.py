"""Requests become tasks, from HTTP and from the bus by the same way.

The order of the writes is what makes "accepted" mean "never lost": first the outbox, then the record,
then the announcement. The outbox entry is dropped when the announcement comes back from the bus, so
that a broker which lost it, or died with it, is asked again by `announce_due`.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from chassis.about import about_task
from contracts.catalog import Catalog, RequestValidator
from contracts.errors import (
    AlreadyExists,
    IdempotencyMismatch,
    NotFound,
    PermanentError,
    ProjectInactive,
    RetryableError,
)
from contracts.events import (
    CloudEvent,
    TaskChanged,
    TaskRejected,
    TaskRequested,
    milestone,
    source_of,
    task_changed,
    task_rejected,
)
from contracts.identifiers import task_id_for
from contracts.media import MediaResult
from contracts.ports import Clock, Publisher
from contracts.projects import Project
from contracts.records import Records, TaskRecords
from contracts.tasks import GraphPart, SeriesPart, Task, TaskRequest
from contracts.topics import App
from contracts.tracing import OFF, Tracer, asked_in, current_trace

from submission.domain import (
    FOR_ITSELF,
    Origin,
    Purpose,
    check_inputs,
    check_repetition,
    check_times,
    instance_digest,
    new_task,
    own_task,
    replay_digest,
    replay_request,
    request_digest,
    without_past_reminders,
)
from submission.handlers.estimating import Estimating
from submission.ports import Outbox, ReadModel

log = structlog.get_logger(__name__)

ANNOUNCED_WITHIN = timedelta(seconds=5)
AT_ONCE = 200
"""How many announcements one ring of the alarm repeats; it is set again for the rest."""


@dataclass(frozen=True)
class Acceptance:
    catalog: Catalog
    validator: RequestValidator
    tasks: TaskRecords
    projects: Records[Project]
    media: Records[MediaResult]
    read_model: ReadModel
    outbox: Outbox
    estimating: Estimating
    publisher: Publisher
    wake_at: Callable[[datetime], None]
    clock: Clock
    randomness: random.Random
    tracer: Tracer = OFF

    async def submit(self, raw: Mapping[str, Any], origin: Origin) -> Task:
        """The task the request has become, now or when it was first sent.

        Raises `InvalidRequest`, `IdempotencyMismatch`, `ProjectInactive`, `NotFound` and
        `DependencyUnavailable`.
        """
        digest = request_digest(raw)
        if (made := await self._made_before(origin, digest)) is not None:
            return made
        return await self._make(self.validator.accept(raw, self.randomness), digest, origin)

    async def replay(self, task_id: str, origin: Origin) -> Task:
        """A new task that makes the result of a done one of the project again, to be compared with it.

        Raises what `submit` raises, also for what has left the catalog since, and `IllegalTransition` for a task
        that is not done.
        """
        raw, replay_of = replay_request(own_task(await self.tasks.get(task_id), task_id, origin.project_id))
        digest = replay_digest(replay_of)
        if (made := await self._made_before(origin, digest)) is not None:
            return made
        request = self.validator.accept(raw, self.randomness)
        return await self._make(request, digest, origin, Purpose(replay_of=replay_of))

    async def check_instance(self, raw: Mapping[str, Any], project_id: str) -> None:
        """Raises what `submit` would raise for the first of a series, and does nothing else."""
        await self.check_project(project_id)
        request = self.validator.accept(raw, self.randomness)
        await self._check_inputs(request, project_id, {})
        check_times(without_past_reminders(request, self.clock.now()), self.clock.now())

    async def make_instance(self, raw: Mapping[str, Any], origin: Origin, series: SeriesPart) -> Task:
        """The task for one of the times of a series, made now or before. Raises what `submit` raises.

        The time may have passed: what then becomes of the task is decided where it would be started.
        """
        digest = instance_digest(series)
        if (made := await self._made_before(origin, digest)) is not None:
            return made
        request = self.validator.accept(raw, self.randomness)
        request = without_past_reminders(request, self.clock.now())
        return await self._make(request, digest, origin, Purpose(series=series))

    async def check_node(
        self, raw: Mapping[str, Any], origin: Origin, planned: Mapping[str, Task], *, kept: bool
    ) -> Task:
        """The task that a node of a graph will become, which is not made yet.

        `planned` are those that it may need, by their ids. Raises what `submit` raises, except of what is `kept` from
        an earlier revision.
        """
        request = self.validator.accept(raw, self.randomness)
        if not kept:
            await self._check_inputs(request, origin.project_id, planned)
            check_times(request, self.clock.now())
        return new_task(request, request_digest(raw), origin, self.clock.now())

    async def make_node(self, raw: Mapping[str, Any], origin: Origin, part: GraphPart, digest: str) -> Task:
        """The task for a node of a graph, made now or before. Raises what `submit` raises.

        What it needs may have ended in vain by now: then it is skipped where it would be started.
        """
        if (made := await self._made_before(origin, digest)) is not None:
            return made
        request = self.validator.accept(raw, self.randomness)
        request = without_past_reminders(request, self.clock.now())
        return await self._make(request, digest, origin, Purpose(graph=part))

    async def _make(self, request: TaskRequest, digest: str, origin: Origin, purpose: Purpose = FOR_ITSELF) -> Task:
        await self.check_project(origin.project_id)
        await self._check_inputs(request, origin.project_id, {}, may_be_in_vain=purpose.graph is not None)
        if purpose.series is None and purpose.graph is None:
            check_times(request, self.clock.now())
        task = new_task(request, digest, self._traced(origin), self.clock.now(), purpose)
        task = task.model_copy(update={"estimate": await self.estimating.of(task)})
        due = self.clock.now() + ANNOUNCED_WITHIN
        await self.outbox.add(task, task.seq, due)
        self.wake_at(due)
        try:
            await self.tasks.create(task)
        except AlreadyExists:
            return check_repetition(await self._existing(task.id), digest)
        with about_task(task):
            await self._list(task)
            await self._announce(task)
            log.info("task accepted", model=task.model)
        return task

    async def _made_before(self, origin: Origin, digest: str) -> Task | None:
        """Looked for first: what exists goes on, even if the catalog or its project would not have it any more."""
        existing = await self.tasks.get(origin.task_id)
        return None if existing is None else check_repetition(existing, digest)

    def _traced(self, origin: Origin) -> Origin:
        """With the span that it is asked for in, and what was decided about telling it."""
        asked = asked_in(current_trace() or origin.traceparent, f"task {origin.task_id}", self.tracer)
        return replace(origin, traceparent=str(asked) if asked.is_span or asked.sampled else None)

    async def on_task_requested(self, requested: TaskRequested, envelope: CloudEvent) -> None:
        """A request from the bus. Its event id is its idempotency key; a refusal is an event too."""
        task_id = task_id_for(requested.project_id, envelope.id)
        correlation_id = envelope.correlationid or envelope.id
        origin = Origin(requested.project_id, task_id, correlation_id, envelope.traceparent)
        try:
            await self.submit(requested.request, origin)
        except PermanentError as error:
            if not isinstance(error, IdempotencyMismatch) and await self.tasks.get(task_id) is not None:
                log.info("a request that was accepted came again", task_id=task_id, reason=error.detail)
                return
            client_ref = requested.request.get("client_ref")
            rejected = TaskRejected(
                request_id=envelope.id,
                project_id=requested.project_id,
                client_ref=client_ref if isinstance(client_ref, str) else None,
                problem=error.problem(),
            )
            log.info("task request rejected", project_id=requested.project_id, code=error.code, reason=error.detail)
            await self.publisher.publish(task_rejected(rejected, App.SUBMISSION, self.clock.now()))

    async def announce_due(self, now: datetime) -> datetime | None:
        """Finishes what a crash or a broker's absence left half done; says when to look again."""
        until = now + ANNOUNCED_WITHIN
        for task in await self.outbox.take(now, until, AT_ONCE):
            try:
                await self.tasks.create(task)
            except AlreadyExists:
                task = await self._existing(task.id)  # noqa: PLW2901 - the stored one is what counts
            await self.outbox.keep_as_read(task, until)
            await self._announce(task)
        return await self.outbox.next_due()

    async def on_heard_back(self, changed: TaskChanged, envelope: CloudEvent) -> None:
        """An announcement of ours has been delivered: there is nothing left to say."""
        if envelope.source == source_of(App.SUBMISSION):
            await self.outbox.remove(changed.task.id, changed.task.seq)

    async def _list(self, task: Task) -> None:
        """At once if that is possible. The announcement, when it is heard, makes sure of it either way."""
        try:
            await self.read_model.record(task, f"{task.id}:{task.seq}", milestone(task))
        except RetryableError as error:
            log.warning("listing put off", task_id=task.id, reason=error.detail)

    async def _announce(self, task: Task) -> None:
        """Tells everybody if that is possible now. The outbox makes sure of it either way."""
        try:
            await self.publisher.publish(task_changed(task, App.SUBMISSION))
        except RetryableError as error:
            log.warning("announcement put off", task_id=task.id, reason=error.detail)

    async def _check_inputs(
        self,
        request: TaskRequest,
        project_id: str,
        planned: Mapping[str, Task],
        *,
        may_be_in_vain: bool = False,
    ) -> None:
        media = {name: await self.media.get(media_id) for name, media_id in request.inputs.items()}
        tasks = {name: planned.get(id) or await self.tasks.get(id) for name, id in request.needs.items()}
        found = {**media, **tasks}
        check_inputs(self.catalog[request.model], request, project_id, found, may_be_in_vain=may_be_in_vain)

    async def check_project(self, project_id: str) -> None:
        """Raises `NotFound` and `ProjectInactive`."""
        project = await self.projects.get(project_id)
        if project is None:
            raise NotFound(f"no project {project_id}")
        if not project.active:
            raise ProjectInactive(f"project {project_id} is suspended; an operator can activate it")

    async def _existing(self, task_id: str) -> Task:
        task = await self.tasks.get(task_id)
        if task is None:
            raise NotFound(f"task {task_id} was removed meanwhile")
        return task
