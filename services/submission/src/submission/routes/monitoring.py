"""The system as a whole: health, models, workers."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.catalog import Catalog, InputSlot, ModelEntry, Parameter
from contracts.media import Medium
from contracts.views import API, Health
from contracts.workers import TAKES_WORK, WorkerState, WorkerStatus
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, SecretStr

from submission.domain import without_runs
from submission.ports import Fleet, Workers
from submission.routes.callers import operator_or_project
from submission.routes.fleet import KubernetesReport


class ModelView(BaseModel):
    """A model as the catalog offers it. `parameters` holds what a request may set."""

    model_config = ConfigDict(frozen=True)

    key: str
    title: str
    description: str
    licence: str
    medium: Medium
    generator: str
    parameters: dict[str, Parameter]
    inputs: dict[str, InputSlot]
    time_limit_minutes: float
    attempts: int
    warm: bool
    """Some worker has it loaded."""
    workers: int
    """How many workers can run it right now."""


class WorkersReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    workers: list[WorkerStatus]
    by_state: dict[WorkerState, int]
    by_medium: dict[Medium, int]
    kubernetes: KubernetesReport | None = None
    """What Kubernetes knows of them; null where the platform does not run in one."""


def monitoring_routes(
    catalog: Catalog,
    workers: Workers,
    fleet: Fleet | None,
    project_of: ProjectOf,
    admin_key: SecretStr,
    version: str,
) -> APIRouter:
    router = APIRouter(prefix=API, tags=["monitoring"], responses=answers(503))
    any_key = Depends(project_of)
    operator = operator_or_project(admin_key, project_of)

    @router.get("/health", summary="Is the front door open?")
    async def health() -> Health:
        ready = [worker for worker in workers.all() if worker.state in TAKES_WORK]
        return Health(status="ok", version=version, models=len(catalog.models), workers_ready=_by_medium(ready))

    @router.get("/models", summary="The model catalog", dependencies=[any_key], responses=answers(401))
    async def models() -> list[ModelView]:
        heard = workers.all()
        return [_model_view(entry, heard) for entry in catalog.models]

    @router.get(
        "/workers/status",
        summary="Which workers there are, what they do, and what keeps others from it",
        responses=answers(401),
    )
    async def workers_status(is_operator: Annotated[bool, Depends(operator)]) -> WorkersReport:
        """With the operator's key in place of a project's, pods and nodes are named."""
        heard = workers.all()
        return WorkersReport(
            workers=without_runs(heard),
            by_state=Counter(worker.state for worker in heard),
            by_medium=_by_medium(heard),
            kubernetes=KubernetesReport.of(fleet.seen(), heard, named=is_operator) if fleet else None,
        )

    return router


def _by_medium(workers: Sequence[WorkerStatus]) -> dict[Medium, int]:
    return Counter(worker.medium for worker in workers)


def _model_view(entry: ModelEntry, workers: Sequence[WorkerStatus]) -> ModelView:
    return ModelView(
        key=entry.key,
        title=entry.title,
        description=entry.description,
        licence=entry.licence,
        medium=entry.medium,
        generator=entry.generator.value,
        parameters=entry.open_parameters,
        inputs=entry.inputs,
        time_limit_minutes=entry.time_limit_minutes,
        attempts=entry.attempts,
        warm=any(entry.key in worker.warm_models for worker in workers),
        workers=sum(entry.key in worker.models for worker in workers),
    )
