"""The connections that webhooks go by.

A name is resolved here and the connection made to what it resolved to, so that it cannot point
somewhere harmless when it is checked and somewhere private when it is used.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Collection, Sequence
from functools import cached_property

import h11
import httpx

from notification.adapters.names import Names
from notification.domain.addresses import Address, Refused, Rules, check_host

MOST_OF_HEAD = 64 * 1024
"""Everything that is read of an answer, in bytes: whoever says "continue" for ever is given up like any other."""
READ_AT_ONCE = 16 * 1024
LOOKED_UP_TO_REGISTER, LOOKED_UP_TO_DELIVER = 4, 16
"""Names of one project at once."""
ADDRESSES_TRIED = 3


class NoAnswer(Exception):
    """The other side sent something, but no answer; the text says what."""


class TooManyNames(Exception):
    """As many of the project's names as may be are being looked up."""


class Network:
    """What is registered is looked up apart from what is delivered: nobody who registers can hold up a delivery."""

    def __init__(
        self, private_networks: Sequence[str], ports: Collection[int], tls: ssl.SSLContext | None = None
    ) -> None:
        self._rules = Rules([ipaddress.ip_network(network) for network in private_networks], ports)
        self._given_tls = tls
        self._to_register = Names("registering", LOOKED_UP_TO_REGISTER)
        self._to_deliver = Names("delivering", LOOKED_UP_TO_DELIVER)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Not before somebody is called: reading all authorities takes longer than the rest of a start.
        return self._given_tls or httpx.create_ssl_context(trust_env=False)

    async def aclose(self) -> None:
        self._to_register.close()
        self._to_deliver.close()

    async def check(self, project_id: str, host: str, port: int, *, by_tls: bool) -> None:
        """Raises `Refused` unless every address of the name may be used, and `TooManyNames`."""
        if self._to_register.full(project_id):
            raise TooManyNames
        await self._resolve(self._to_register, project_id, host, port, by_tls=by_tls)

    async def _resolve(self, names: Names, project_id: str, host: str, port: int, *, by_tls: bool) -> list[Address]:
        check_host(host)
        try:
            found = await names.look_up(project_id, host)
        except (OSError, UnicodeError) as error:
            raise Refused(f"the host {host} is not known: {error}") from None
        for address in found:
            self._rules.check(host, address, port, by_tls=by_tls)
        return found

    async def exchange(
        self, project_id: str, host: str, port: int, request: h11.Request, body: bytes, *, by_tls: bool
    ) -> h11.Response:
        """The head of the answer, over a connection of its own: one that is kept could be used for another name.

        Raises `Refused`, `NoAnswer` and `OSError`.
        """
        reader, writer = await self._connect(project_id, host, port, by_tls=by_tls)
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
        self, project_id: str, host: str, port: int, *, by_tls: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        found = await self._resolve(self._to_deliver, project_id, host, port, by_tls=by_tls)
        *others, last = found[:ADDRESSES_TRIED]
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
