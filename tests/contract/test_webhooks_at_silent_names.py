"""Webhooks at names whose servers never answer: whoever registers them keeps nobody else waiting."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from tests.conftest import Serve, World
from tests.contract.notifying import Api, Receiver, notifying

AT_ONCE = 4
"""Of one project, when it registers."""
MORE_THAN_THREADS = 150


@pytest.fixture
async def api(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Api]:
    async with notifying(world, serve, database_url("notification")) as found:
        yield found


async def register(api: Api, url: str, key: str | None = None) -> int:
    return (await api.call("POST", "/webhooks", key=key, json={"url": url})).status_code


def silent(number: int) -> str:
    return f"http://{number}.slow.example:9/"


async def test_a_project_has_few_names_looked_up_at_once(
    api: Api, receiver: Receiver, slow_names: threading.Event
) -> None:
    registering = [asyncio.create_task(register(api, silent(number))) for number in range(MORE_THAN_THREADS)]
    refused = MORE_THAN_THREADS - AT_ONCE
    async with asyncio.timeout(60):
        while sum(one.done() for one in registering) < refused:
            await asyncio.sleep(0.01)
    assert await register(api, receiver.url, api.stranger) == 201
    assert Counter([await one for one in registering]) == {429: refused, 422: AT_ONCE}

    # Nobody waits any more, but the threads are not back.
    answer = await api.call("POST", "/webhooks", json={"url": receiver.url})
    assert (answer.status_code, answer.json()["code"]) == (429, "limit-reached")
    assert int(answer.headers["Retry-After"]) > 1
    slow_names.set()
    async with asyncio.timeout(60):
        while await register(api, receiver.url) != 201:
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("slow_names")
async def test_a_changed_address_is_looked_up_like_the_first(api: Api, receiver: Receiver) -> None:
    path = f"/webhooks/{(await api.register(receiver.url))['endpoint']['id']}"

    async def change(url: str) -> int:
        return (await api.call("PATCH", path, json={"url": url})).status_code

    assert await asyncio.gather(*(change(silent(number)) for number in range(AT_ONCE))) == [422] * AT_ONCE
    assert await change(receiver.url) == 429
    assert (await api.call("POST", f"{path}/ping")).json()["accepted"] is True
