"""The connections that webhooks go by.

A name is resolved here and the connection made to what it resolved to, so that it cannot point
somewhere harmless when it is checked and somewhere private when it is used. Connections are kept by
name: two names at one address may belong to two people.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from notification.domain.addresses import Address, Refused, Rules, check_host

MOST_OF_ANSWER = 64 * 1024
"""Head and body of one answer, in bytes."""
READ_AT_ONCE = 16 * 1024
RESOLVED_AT_ONCE = 64
"""A name server that never answers keeps a thread for half a minute."""
ADDRESSES_TRIED = 3


class TooLong(Exception):
    """The answer is longer than anything that is read of it."""


class Resolver:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._threads = ThreadPoolExecutor(RESOLVED_AT_ONCE, "resolving")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int, *, by_tls: bool) -> list[Address]:
        """Raises `Refused` unless every address of the name may be used."""
        check_host(host)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _addresses, host)
        except (OSError, UnicodeError) as error:
            raise Refused(f"the host {host} is not known: {error}") from None
        for address in found:
            self._rules.check(host, address, port, by_tls=by_tls)
        return found


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, resolver: Resolver, *, by_tls: bool) -> None:
        self._resolver = resolver
        self._by_tls = by_tls
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore calls it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = (await self._resolver.resolve(host, port, by_tls=self._by_tls))[:ADDRESSES_TRIED]
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, timeout)

    async def _connect(self, address: Address, port: int, timeout: float | None) -> httpcore.AsyncNetworkStream:  # noqa: ASYNC109
        return BoundedStream(await self._network.connect_tcp(str(address), port, timeout))


class BoundedStream(httpcore.AsyncNetworkStream):
    """Reads only so much after a request was written, be it a head without end or empty answers before the real one."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = MOST_OF_ANSWER

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._left <= 0:
            raise TooLong
        found = await self._stream.read(min(max_bytes, READ_AT_ONCE), timeout)
        self._left -= len(found)
        return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._left = MOST_OF_ANSWER
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:
            # A handshake that is broken off for taking too long leaves its connection to whoever began it.
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
