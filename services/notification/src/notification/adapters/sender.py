"""Posting webhooks to addresses that strangers chose."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta

import httpcore
import httpx
from contracts.errors import FieldProblem, InvalidRequest

from notification.adapters.network import CheckedNetwork, Resolver, TooLong
from notification.domain import Answer, read_retry_after
from notification.domain.addresses import Refused, Rules

BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
MOST_CONNECTIONS = 200
KEPT_CONNECTIONS = 50
KEPT_SECONDS = 5.0
REST_WITHIN_SECONDS = 1.0
"""The body of an answer matters only because what was read to its end leaves a connection to use again."""


class HttpcoreSender:
    def __init__(
        self,
        timeout: timedelta,
        private_networks: Sequence[str],
        ports: Collection[int] = (443,),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = timeout.total_seconds()
        self._resolver = Resolver(Rules([ipaddress.ip_network(network) for network in private_networks], ports))
        tls = tls or httpx.create_ssl_context(trust_env=False)
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=KEPT_CONNECTIONS,
                keepalive_expiry=KEPT_SECONDS,
                network_backend=CheckedNetwork(self._resolver, by_tls=scheme == "https"),
            )
            for scheme in ("https", "http")
        }

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        self._resolver.close()

    async def check(self, url: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                parsed = _parse(url)
                await self._resolver.resolve(_host(parsed), _port(parsed), by_tls=parsed.scheme == "https")
        except TimeoutError:
            raise _not_there(url, "the host's name servers do not answer") from None
        except Refused as error:
            raise _not_there(url, str(error)) from None

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        started = time.monotonic()
        status, detail, retry_after = await self._send(url, body, headers)
        return Answer(status, detail, retry_after, timedelta(seconds=time.monotonic() - started))

    async def _send(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str, timedelta | None]:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._post(_parse(url), body, headers)
        except TimeoutError:
            return None, f"no answer within {self._timeout:g} s", None
        except TooLong:
            return None, "the answer's head has no end", None
        except Refused as error:
            return None, str(error), None
        except (*BROKEN, ssl.SSLError) as error:
            return None, f"{type(error).__name__}: {error}"[:200], None
        await self._leave(response)
        return _read(response)

    async def _post(self, url: httpx.URL, body: bytes, headers: dict[str, str]) -> httpcore.Response:
        given = [
            (b"Host", url.netloc),
            (b"User-Agent", b"movie-tasks"),
            (b"Accept", b"*/*"),
            (b"Content-Length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]
        address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        return await self._pools[url.scheme].handle_async_request(
            httpcore.Request("POST", address, headers=given, content=body)
        )

    async def _leave(self, response: httpcore.Response) -> None:
        """The answer has been given; what follows is nobody's to wait for."""
        try:
            with suppress(TimeoutError, TooLong, *BROKEN):
                async with asyncio.timeout(min(REST_WITHIN_SECONDS, self._timeout / 2)):
                    async for _ in response.aiter_stream():
                        pass
        finally:
            await response.aclose()


def _read(response: httpcore.Response) -> tuple[int, str, timedelta | None]:
    given = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    detail = response.extensions.get("reason_phrase", b"").decode("ascii", "replace")[:200]
    if 300 <= response.status < 400:
        detail = f"{detail}: redirects are not followed; register the address that this one leads to"
    return response.status, detail, read_retry_after(given.get(b"retry-after"), given.get(b"date"))


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise Refused(f"not an address: {error}") from None
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise Refused("not an https address")
    if (parsed.port or 0) > 65535:
        raise Refused(f"there is no port {parsed.port}")
    if parsed.userinfo:
        raise Refused("an address with a user or password in it")
    return parsed


def _host(url: httpx.URL) -> str:
    """As it is resolved, in ASCII: what a person sees may be another name's twin."""
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _not_there(url: str, detail: str) -> InvalidRequest:
    problem = FieldProblem(field="url", detail=detail, allowed="a public https address", given=url[:200])
    return InvalidRequest("webhooks cannot be sent to this address", [problem])
