"""`/healthz`: the process lives. `/readyz`: everything it needs answers, and daprd delivers to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import httpx
from contracts.errors import DependencyUnavailable, RetryableError
from contracts.topics import Topic
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from chassis.sidecar import Sidecar

Check = Callable[[], Awaitable[None]]


def health_routes(checks: Mapping[str, Check]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive?")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Can it do its work?")
    async def ready() -> JSONResponse:
        found = {name: await _outcome(check) for name, check in checks.items()}
        fine = all(outcome == "ok" for outcome in found.values())
        return JSONResponse({"ready": fine, "checks": found}, status_code=200 if fine else 503)

    return router


async def _outcome(check: Check) -> str:
    try:
        await check()
    except RetryableError as error:
        return error.detail
    return "ok"


def sidecar_check(sidecar: Sidecar, topics: Sequence[Topic]) -> Check:
    """daprd asks for subscriptions once; when that call fails it goes on without any, and says nothing."""
    wanted = {(topic.component.value, topic.name) for topic in topics}

    async def check() -> None:
        try:
            async with httpx.AsyncClient(timeout=3) as http:
                answer = await http.get(f"{sidecar.http_address}/v1.0/metadata", headers=sidecar.headers)
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise DependencyUnavailable(f"the Dapr sidecar does not answer: {error}") from error
        held = {(found["pubsubname"], found["topic"]) for found in answer.json().get("subscriptions", [])}
        if missing := sorted(f"{component}/{name}" for component, name in wanted - held):
            raise DependencyUnavailable(f"the Dapr sidecar does not deliver {', '.join(missing)}")

    return check
