"""What is meant for the sidecar is open to nobody else, and not without end to the sidecar."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import TOKEN
from tests.contract.conftest import Api


@pytest.mark.parametrize("path", ["/dapr/subscribe", "/events/events/task-requests", "/job/submission-outbox-x"])
async def test_what_is_meant_for_the_sidecar_is_closed_to_others(api: Api, path: str) -> None:
    for headers in ({}, {"dapr-api-token": "guess"}, {"X-API-Key": api.key}):
        method = "GET" if "subscribe" in path else "POST"
        assert (await api.running.http.request(method, path, headers=headers)).status_code == 401


async def test_a_delivery_is_taken_whole_or_in_pieces_and_not_without_end(api: Api) -> None:
    body = b'{"type": "broken"}'

    async def in_pieces(parts: int) -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield body

    for content in (body, in_pieces(1)):
        taken = await deliver(api, content)
        assert (taken.status_code, taken.json()) == (200, {"status": "SUCCESS"})
    for content in (body * 300_000, in_pieces(300_000)):
        assert (await deliver(api, content)).status_code == 413


async def deliver(api: Api, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    headers = {"dapr-api-token": TOKEN}
    return await api.running.http.post("/events/events/dead-letters", content=content, headers=headers)
