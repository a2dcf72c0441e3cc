"""`/healthz`: the process lives. `/readyz`: everything it needs answers, and daprd delivers to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any

from contracts.errors import DependencyUnavailable, RetryableError
from contracts.topics import Topic
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

Check = Callable[[], Awaitable[None]]
Subscriptions = Callable[[], Awaitable[Set[tuple[str, str]]]]
"""Component and topic of each; raises `DependencyUnavailable`."""

EXCLUDE: dict[str, Any] = {
    "name": "exclude",
    "in": "query",
    "description": "A check that does not count, because the service has work to do without it; may be repeated.",
    "schema": {"type": "array", "items": {"type": "string"}},
}


def health_routes(checks: Mapping[str, Check]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive?")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Can it do its work?", openapi_extra={"parameters": [EXCLUDE]})
    async def ready(request: Request) -> JSONResponse:
        excluded = request.query_params.getlist("exclude")
        found = {name: await _outcome(check) for name, check in checks.items() if name not in excluded}
        fine = all(outcome == "ok" for outcome in found.values())
        return JSONResponse({"ready": fine, "checks": found}, status_code=200 if fine else 503)

    return router


async def _outcome(check: Check) -> str:
    try:
        await check()
    except RetryableError as error:
        return error.detail
    return "ok"


def sidecar_check(subscriptions: Subscriptions, topics: Sequence[Topic]) -> Check:
    """daprd asks for subscriptions once; when that call fails it goes on without any, and says nothing."""
    wanted = {(topic.component.value, topic.name) for topic in topics}

    async def check() -> None:
        held = await subscriptions()
        if missing := sorted(f"{component}/{name}" for component, name in wanted - held):
            raise DependencyUnavailable(f"the Dapr sidecar does not deliver {', '.join(missing)}")

    return check
