import asyncio
import socket

import pytest
from chassis.server import listen, served
from fastapi import FastAPI


@pytest.mark.parametrize("closed", [True, False])
async def test_a_connection_whose_peer_takes_nothing_ends(monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    monkeypatch.setattr("chassis.server.TAKES_NOTHING_SECONDS", 1)
    ended = asyncio.Event()

    class Talks(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(bytes(20_000_000))
            if closed:
                transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            ended.set()

    with listen(served(FastAPI(), "127.0.0.1", 0)) as listening, socket.socket() as peer:
        server = await asyncio.get_running_loop().create_server(Talks, sock=listening)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(listening.getsockname())
        async with server, asyncio.timeout(30):
            await ended.wait()
