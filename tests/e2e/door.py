"""A way to a server that can be shut: connections through it are refused then, and those that stand are cut."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

from embedded.processes import free_ports


class Door:
    def __init__(self, address: str) -> None:
        target = urlsplit(address)
        assert target.hostname and target.port
        self._host, self._behind = target.hostname, target.port
        [self._port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._let_through, "127.0.0.1", self._port)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._passing):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _let_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._host, self._behind)
        both = {writer, inner_writer}
        self._passing |= both
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            self._passing -= both
            for one in both:
                one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(64 * 1024):
            writer.write(chunk)
            await writer.drain()
    writer.close()
