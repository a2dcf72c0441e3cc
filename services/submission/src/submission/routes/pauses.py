"""Pauses a medium, a model or a project, opened by `X-Admin-Key`."""

from typing import Annotated

from chassis.operators import OperatorOf
from chassis.problems import answers
from contracts.identifiers import PlainText
from contracts.operators import Operator
from contracts.pauses import PauseKind, PauseView
from contracts.views import API
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from submission.handlers.pausing import Pausing

Target = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class PauseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: PlainText = Field(default="", max_length=500, description="Shown to everybody whose tasks wait for it.")


def pause_routes(pausing: Pausing, operator_of: OperatorOf) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/admin/pauses",
        tags=["admin"],
        dependencies=[Depends(operator_of)],
        responses=answers(401, 422, 503),
    )
    By = Annotated[Operator, Depends(operator_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("", summary="What is paused")
    async def pauses() -> list[PauseView]:
        return [PauseView.model_validate(pause) for pause in await pausing.all()]

    @router.put(
        "/{kind}/{target}",
        summary="Give nothing of it to workers until it is resumed",
        responses=answers(400, 404, 413, 429),
    )
    async def pause(kind: PauseKind, target: Target, request: PauseRequest, by: By) -> PauseView:
        return PauseView.model_validate(await pausing.pause(kind, target, request.reason, by))

    @router.delete("/{kind}/{target}", status_code=204, summary="Resume it")
    async def resume(kind: PauseKind, target: Target, by: By) -> None:
        await pausing.resume(kind, target, by)

    return router
