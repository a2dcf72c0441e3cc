"""The operators' key: whether it is an operator who calls, and which one they say they are."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from asgi_correlation_id import correlation_id
from contracts.errors import Unauthenticated
from contracts.operators import Operator, OperatorName
from fastapi import Header, Request, Security
from pydantic import SecretStr

from chassis.auth import ADMIN_KEY, same_secret

UNNAMED = "unnamed"

OperatorOf = Callable[..., Awaitable[Operator]]


def check_operator(presented: str | None, admin_key: SecretStr) -> None:
    """Raises `Unauthenticated`."""
    if not same_secret(presented, admin_key.get_secret_value()):
        raise Unauthenticated("send a valid operator's key in the X-Admin-Key header")


def operator_by_header(admin_key: SecretStr) -> OperatorOf:
    """A FastAPI dependency: whoever shows the admin key, by the name they give."""

    async def operator(
        request: Request,
        presented: Annotated[str | None, Security(ADMIN_KEY)],
        x_operator: Annotated[
            OperatorName,
            Header(description="Who acts, for the audit. It is believed: the key does not tell operators apart."),
        ] = UNNAMED,
    ) -> Operator:
        check_operator(presented, admin_key)
        return Operator(
            x_operator or UNNAMED, request.client.host if request.client else "?", correlation_id.get() or ""
        )

    return operator
