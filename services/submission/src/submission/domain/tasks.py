"""Tasks as they are asked for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.catalog import InputSlot, ModelEntry, input_allowed
from contracts.digests import digest_of_json
from contracts.errors import FieldProblem, IdempotencyMismatch, IllegalTransition, InvalidRequest, NotFound
from contracts.events import LARGEST_ANNOUNCED
from contracts.media import MediaResult
from contracts.tasks import PICK_UP_WITHIN, GraphPart, Phase, ReplayOf, SeriesPart, Task, TaskRequest


@dataclass(frozen=True)
class Origin:
    """Who asks: which project, by which key a repetition is known, and what ties the logs together."""

    project_id: str
    task_id: str
    correlation_id: str
    traceparent: str | None = None


@dataclass(frozen=True)
class Purpose:
    """What else a task is for than its own result."""

    replay_of: ReplayOf | None = None
    series: SeriesPart | None = None
    graph: GraphPart | None = None


FOR_ITSELF = Purpose()


def new_task(request: TaskRequest, digest: str, origin: Origin, now: datetime, purpose: Purpose = FOR_ITSELF) -> Task:
    """Raises `InvalidRequest` for one that would not fit into the events about it."""
    task = Task(
        **{name: getattr(request, name) for name in TaskRequest.model_fields},
        id=origin.task_id,
        project_id=origin.project_id,
        request_digest=digest,
        correlation_id=origin.correlation_id,
        traceparent=origin.traceparent,
        replay_of=purpose.replay_of,
        series=purpose.series,
        graph=purpose.graph,
        phase_since=now,
        deadline=now + PICK_UP_WITHIN,
        created_at=now,
        updated_at=now,
    )
    _check_size(task)
    if task.needs:
        return task.model_copy(update={"phase": Phase.BLOCKED})
    if task.waits_for_its_time(now):
        return task.model_copy(update={"phase": Phase.SCHEDULED, "deadline": task.start_at})
    return task


def _check_size(task: Task) -> None:
    """What no event could say of it, nobody could store, and nobody would ever hear that it is to be stored."""
    size = len(task.model_dump_json().encode())
    if size > LARGEST_ANNOUNCED:
        wrong = FieldProblem(
            field="params",
            detail="is too large together with all else that the request says; signs that JSON has to escape take six "
            "bytes each",
            allowed={"max_bytes": LARGEST_ANNOUNCED},
            given=size,
        )
        raise InvalidRequest("the request is too large", [wrong])


def own_task(task: Task | None, task_id: str, project_id: str) -> Task:
    """The task, if it is the project's. Raises `NotFound`, for an unknown id and for another project's alike."""
    if task is None or task.project_id != project_id:
        raise NotFound(f"no task {task_id} in this project")
    return task


def replay_request(original: Task) -> tuple[dict[str, Any], ReplayOf]:
    """The request that makes a done task's result again, as its provenance tells. Raises `IllegalTransition`.

    `client_ref` is left out: whoever files results by it would put the copy in the place of the original.
    """
    if original.phase is not Phase.DONE or original.produced is None or original.result is None:
        raise IllegalTransition(f"task {original.id} is {original.phase.value}: only a done task can be replayed")
    made = original.produced.provenance
    request = {
        "model": made.model,
        "params": made.params,
        "inputs": made.inputs,
        "title": original.title,
        "tags": list(original.tags),
    }
    return request, ReplayOf(task_id=original.id, media_id=original.result.id)


def request_digest(raw: Mapping[str, Any]) -> str:
    """By which a repeated request is known: by what it says, and not by what the catalog makes of it, because that
    changes while requests are under way.
    """
    return digest_of_json(raw)


def replay_digest(replay_of: ReplayOf) -> str:
    """By which a repeated replay is known, whatever has become of the catalog's defaults."""
    return hashlib.sha256(f"replay {replay_of.task_id} {replay_of.media_id}".encode()).hexdigest()


def instance_digest(series: SeriesPart) -> str:
    """By which an instance that is made again is known, whatever has become of the catalog's defaults."""
    return hashlib.sha256(f"series {series.id} {series.revision} {series.at.isoformat()}".encode()).hexdigest()


def check_repetition(existing: Task, digest: str) -> Task:
    """The task a repeated request meets. Raises `IdempotencyMismatch` when it asks for something else."""
    if existing.request_digest != digest:
        raise IdempotencyMismatch(
            f"task {existing.id} was made with this key from another request; send a new key, or the same request"
        )
    return existing


def check_inputs(
    entry: ModelEntry,
    request: TaskRequest,
    project_id: str,
    found: Mapping[str, MediaResult | Task | None],
    *,
    may_be_in_vain: bool = False,
) -> None:
    """Inputs must be stored media of the project, or tasks of it that make or have made some, of the medium the model
    takes; `may_be_in_vain` admits tasks that have ended without a result. Raises `InvalidRequest`."""
    wrong = []
    for name, given in {**request.inputs, **request.needs}.items():
        slot = entry.inputs[name]
        kind = "task" if name in request.needs else "media"
        if problem := _input_problem(found[name], kind, slot, project_id, may_be_in_vain):
            wrong.append(FieldProblem(field=f"inputs.{name}", detail=problem, allowed=input_allowed(slot), given=given))
    if wrong:
        raise InvalidRequest(f"{len(wrong)} input(s) cannot be used", wrong)


def _input_problem(
    found: MediaResult | Task | None, kind: str, slot: InputSlot, project_id: str, may_be_in_vain: bool
) -> str | None:
    if found is None or found.project_id != project_id:
        return f"no such {kind} in this project"
    if found.medium is not slot.medium:
        return f"is {found.medium.value}, not {slot.medium.value}"
    in_vain = isinstance(found, Task) and found.phase.terminal and found.phase is not Phase.DONE
    if isinstance(found, Task) and in_vain and not may_be_in_vain:
        return f"is {found.phase.value} and makes nothing; retry it first"
    return None
