"""The connections that webhooks go by.

A name is resolved here and the connection made to what it resolved to, so that it cannot point
somewhere harmless when it is checked and somewhere private when it is used.
"""

import asyncio
import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import h11

from notification.domain.addresses import Address, Refused, Rules, check_host

MOST_OF_HEAD = 64 * 1024
"""Everything that is read of an answer, in bytes: whoever says "continue" for ever is given up like any other."""
READ_AT_ONCE = 16 * 1024
RESOLVED_AT_ONCE = 64
"""A name server that never answers keeps a thread for half a minute."""
ADDRESSES_TRIED = 3


class NoAnswer(Exception):
    """The other side sent something, but no answer; the text says what."""


class Network:
    def __init__(self, rules: Rules, tls: ssl.SSLContext) -> None:
        self._rules = rules
        self._tls = tls
        self._threads = ThreadPoolExecutor(RESOLVED_AT_ONCE, "resolving")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int, *, by_tls: bool) -> list[Address]:
        """Raises `Refused` unless every address of the name may be used."""
        check_host(host)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
        except (OSError, UnicodeError) as error:
            raise Refused(f"the host {host} is not known: {error}") from None
        for address in found:
            self._rules.check(host, address, port, by_tls=by_tls)
        return found

    async def exchange(self, host: str, port: int, request: h11.Request, body: bytes, *, by_tls: bool) -> h11.Response:
        """The head of the answer, over a connection of its own: one that is kept could be used for another name.

        Raises `Refused`, `NoAnswer` and `OSError`.
        """
        reader, writer = await self._connect(host, port, by_tls=by_tls)
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_OF_HEAD)
            events = (request, h11.Data(body), h11.EndOfMessage())
            writer.write(b"".join(connection.send(event) or b"" for event in events))
            await writer.drain()
            return await _read_head(connection, reader)
        except h11.RemoteProtocolError as error:
            raise NoAnswer(f"the answer is not HTTP: {error}") from None
        finally:
            # Nobody waits for what the other side has not read, or has yet to say.
            writer.transport.abort()

    async def _connect(
        self, host: str, port: int, *, by_tls: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        *others, last = (await self.resolve(host, port, by_tls=by_tls))[:ADDRESSES_TRIED]
        tls, name = (self._tls, host) if by_tls else (None, None)
        for address in others:
            try:
                return await asyncio.open_connection(
                    str(address), port, limit=READ_AT_ONCE, ssl=tls, server_hostname=name
                )
            except ssl.SSLError:
                raise
            except OSError:
                continue
        return await asyncio.open_connection(str(last), port, limit=READ_AT_ONCE, ssl=tls, server_hostname=name)


async def _read_head(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    read = 0
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            return event
        if event is h11.NEED_DATA:
            if read >= MOST_OF_HEAD:
                raise NoAnswer("the answer's head has no end")
            found = await reader.read(READ_AT_ONCE)
            read += len(found)
            connection.receive_data(found)
        elif not isinstance(event, h11.InformationalResponse):
            raise NoAnswer("the connection was closed without an answer")


def _addresses(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
