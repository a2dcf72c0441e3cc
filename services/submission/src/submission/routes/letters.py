"""Dead letters: looked at and said again, opened by `X-Admin-Key`."""

from typing import Annotated

from chassis.operators import OperatorOf
from chassis.problems import answers
from contracts.operations import LetterView
from contracts.operators import Operator
from contracts.views import API
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, StrictBool

from submission.handlers.redriving import Redriving
from submission.ports import LetterFilter

Name = Annotated[str | None, Query(max_length=100)]


class RedriveRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    force: StrictBool = False
    """Also what was redriven before."""


def letter_routes(redriving: Redriving, operator_of: OperatorOf) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/admin/dead-letters",
        tags=["admin"],
        dependencies=[Depends(operator_of)],
        responses=answers(401, 422, 503),
    )
    By = Annotated[Operator, Depends(operator_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("", summary="Events that could not be handled, with the reason, newest first")
    async def dead_letters(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        app: Name = None,
        topic: Name = None,
        redriven: Annotated[bool | None, Query(description="Only those that were, or were not, said again.")] = None,
    ) -> list[LetterView]:
        wanted = LetterFilter(app, topic, redriven)
        return [LetterView.model_validate(letter) for letter in await redriving.letters(wanted, limit)]

    @router.post(
        "/{letter_id}/redrive",
        summary="Publish it again to its topic, as it was",
        responses=answers(400, 404, 409, 413),
    )
    async def redrive(letter_id: str, request: RedriveRequest, by: By) -> LetterView:
        return LetterView.model_validate(await redriving.redrive(letter_id, request.force, by))

    @router.get("/{letter_id}", summary="One of them", responses=answers(404))
    async def dead_letter(letter_id: str) -> LetterView:
        return LetterView.model_validate(await redriving.letter(letter_id))

    return router
