"""Who calls, and by which key a repeated call is known."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from chassis.auth import ADMIN_KEY, API_KEY, ProjectOf
from chassis.operators import check_operator
from contracts.errors import NotFound
from fastapi import Depends, Header, Path, Security
from pydantic import SecretStr


def own_project(project_of: ProjectOf) -> Callable[..., Awaitable[str]]:
    """A dependency of paths with a `{project_id}`, which must be that of the caller's key.

    Another project's name is answered as one that does not exist.
    """

    async def own(project_id: Annotated[str, Path()], key_of: Annotated[str, Depends(project_of)]) -> str:
        if project_id != key_of:
            raise NotFound(f"no project {project_id}")
        return key_of

    return own


def operator_or_project(admin_key: SecretStr, project_of: ProjectOf) -> Callable[..., Awaitable[bool]]:
    """A dependency of what both may read: whether it is the operator who asks. Anybody else is refused."""

    async def is_operator(
        presented: Annotated[str | None, Security(ADMIN_KEY)], api_key: Annotated[str | None, Security(API_KEY)]
    ) -> bool:
        if presented is not None:
            check_operator(presented, admin_key)
            return True
        await project_of(api_key)
        return False

    return is_operator


def idempotency_header(what: str) -> Any:
    """The header `Idempotency-Key` of a request that makes a `what`."""
    return Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description=f"The same key and body again meet the same {what}; another body is refused.",
    )
