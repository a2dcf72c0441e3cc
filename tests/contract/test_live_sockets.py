"""Watchers that take nothing and clients that say too much, on real sockets: they cost no more than their share,
and nobody else anything."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import websockets
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.conftest import World, until
from tests.contract.live_server import LiveServer, Stream, a_task_told, live_server

PROJECT = "/api/v1/live/projects/p1"
SEND_WITHIN = 0.5
NO_DELAY = 1.0
"""On a machine that is busy with other things; a watcher that waited for another would wait for `SEND_WITHIN` at least
once for each of what is told."""
PADDING = "x" * 20_000
TEXT, BINARY, PING, CONTINUED = 0x1, 0x2, 0x9, 0x0


@pytest.fixture
async def live(world: World, database_url: Callable[[str], str]) -> AsyncIterator[LiveServer]:
    await world.add_project("p1", "k1")
    await world.add_project("p2", "k2")
    async with live_server(
        world, database_url("notification"), live_connections=3, live_send_timeout=str(SEND_WITHIN)
    ) as found:
        yield found


def key(live: LiveServer) -> dict[str, str]:
    return {"X-API-Key": live.key}


@asynccontextmanager
async def raw(live: LiveServer, request: str) -> AsyncIterator[socket.socket]:
    """A connection whose reader is the test: it is never read from unless the test does."""
    loop, connection = asyncio.get_running_loop(), socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    try:
        await loop.sock_connect(connection, ("127.0.0.1", live.port))
        await loop.sock_sendall(connection, request.encode())
        yield connection
    finally:
        connection.close()


def sse_request(live: LiveServer) -> str:
    return f"GET {PROJECT} HTTP/1.1\r\nHost: x\r\nX-API-Key: {live.key}\r\n\r\n"


def socket_request(live: LiveServer) -> str:
    return (
        f"GET /api/v1/live/ws HTTP/1.1\r\nHost: x\r\nX-API-Key: {live.key}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )


def frame(opcode: int, content: bytes = b"", final: bool = True) -> bytes:
    """Masked with zeros, which leaves the content as it is."""
    head = bytes([(0x80 if final else 0) | opcode])
    length = bytes([0x80 | len(content)]) if len(content) < 126 else b"\xfe" + struct.pack("!H", len(content))
    return head + length + bytes(4) + content


async def tell_until(live: LiveServer, stream: Stream, over: Callable[[], bool]) -> tuple[float, int]:
    """Tells of one task after the other until `over`: the longest that the watcher waited for one, and how many."""
    longest, number = 0.0, 0
    async with asyncio.timeout(60):
        while not over():
            number += 1
            await live.tell(a_task_told(number, padding=PADDING))
            told_at = time.monotonic()
            [told] = await stream.take(1)
            longest = max(longest, time.monotonic() - told_at)
            assert told["id"] == str(number)
    return longest, number


def other_end(live: LiveServer, connection: socket.socket) -> Any:
    """The connection as the server sees it; None once it has closed it."""
    port = connection.getsockname()[1]
    everybody: set[Any] = live.server.server_state.connections
    found = [one for one in everybody if one.client and one.client[1] == port]
    return found[0] if found and not found[0].transport.is_closing() else None


@pytest.mark.parametrize("request_of", [sse_request, socket_request])
async def test_who_takes_nothing_is_dropped_and_nobody_waits_for_it(
    live: LiveServer, request_of: Callable[[LiveServer], str]
) -> None:
    async with live.sse(PROJECT, **key(live)) as stream, raw(live, request_of(live)) as stuck:
        await until(lambda: other_end(live, stuck) is not None)
        buffered: list[int] = []

        def dropped() -> bool:
            end = other_end(live, stuck)
            buffered.append(end.transport.get_write_buffer_size() if end else 0)
            return end is None

        longest, number = await tell_until(live, stream, dropped)
        assert longest < NO_DELAY
        assert number > 1
        assert max(buffered) < 2 * 65536 + len(PADDING)
        # The place that it had is free again, though it has not gone.
        async with live.sse(PROJECT, **key(live)), live.sse(PROJECT, **key(live)):
            pass


async def test_a_client_may_say_a_little(live: LiveServer) -> None:
    async with live.connect("/api/v1/live/ws", additional_headers=key(live)) as watcher:
        for _ in range(20):
            await watcher.send("are you there?")
        await live.tell(a_task_told(1))
        await watcher.recv()


async def say(watcher: websockets.ClientConnection, *messages: str | bytes) -> None:
    """Until the server has heard enough."""
    with suppress(websockets.ConnectionClosed):
        for message in messages:
            await watcher.send(message)
    async with asyncio.timeout(20):
        await watcher.wait_closed()


@pytest.mark.parametrize("size", [64 * 1024 + 1, 2_000_000])
async def test_a_large_message_ends_the_connection(live: LiveServer, size: int) -> None:
    async with live.connect("/api/v1/live/ws", additional_headers=key(live)) as watcher:
        await say(watcher, b"x" * size)
        assert watcher.close_code == 1009


async def test_a_small_message_that_unpacks_to_a_large_one_ends_the_connection(live: LiveServer) -> None:
    options = {"additional_headers": key(live), "compression": "deflate"}
    async with live.connect("/api/v1/live/ws", **options) as watcher:
        await say(watcher, "x" * 10_000_000)
        assert watcher.close_code == 1009


async def test_a_flood_of_messages_ends_the_connection(live: LiveServer) -> None:
    async with live.connect("/api/v1/live/ws", additional_headers=key(live)) as watcher:
        await say(watcher, *"x" * 100_000)
        assert watcher.close_code == 1008


async def flood(connection: socket.socket, content: bytes, amount: int) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        for _ in range(amount // len(content)):
            await loop.sock_sendall(connection, content)


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> list[WebSocketsSansIOProtocol]:
    """Every WebSocket that the server has, as it sees it."""
    made: list[WebSocketsSansIOProtocol] = []
    really = WebSocketsSansIOProtocol.connection_made

    def connection_made(self: WebSocketsSansIOProtocol, transport: Any) -> None:
        made.append(self)
        really(self, transport)

    monkeypatch.setattr(WebSocketsSansIOProtocol, "connection_made", connection_made)
    return made


async def test_answers_to_pings_do_not_pile_up(live: LiveServer, protocols: list[WebSocketsSansIOProtocol]) -> None:
    async with live.sse(PROJECT, **key(live)) as stream, raw(live, socket_request(live)) as connection:
        await until(lambda: bool(protocols) and protocols[0].handshake_complete)
        await flood(connection, frame(PING, os.urandom(125)) * 500, 4_000_000)
        assert protocols[0].transport.get_write_buffer_size() < 1_000_000
        longest, _ = await tell_until(live, stream, lambda: stream.told.empty() and len(stream.raw) > 20)
        assert longest < NO_DELAY


async def test_empty_parts_of_a_message_do_not_pile_up(
    live: LiveServer, protocols: list[WebSocketsSansIOProtocol]
) -> None:
    async with raw(live, socket_request(live)) as connection:
        await until(lambda: bool(protocols) and protocols[0].handshake_complete)
        empty = frame(CONTINUED, final=False) * 100_000
        begun, ended = frame(TEXT, b"first", final=False), frame(CONTINUED, b"last", final=False)
        await asyncio.get_running_loop().sock_sendall(connection, begun + empty + ended)
        await until(lambda: protocols[0].frames[-1:] == [b"last"])
        assert protocols[0].frames == [b"first", b"last"]
