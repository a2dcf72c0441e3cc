"""Posting webhooks to addresses that strangers chose."""

import asyncio
import time
from datetime import timedelta

import h11
import httpx
from contracts.errors import FieldProblem, InvalidRequest, LimitReached

from notification.adapters.network import LOOKED_UP_TO_REGISTER, Network, NoAnswer, TooManyNames
from notification.domain.addresses import Refused
from notification.domain.deliveries import Answer, read_retry_after

LOOKED_UP_WITHIN = 30.0
"""About as long, in seconds, as a machine asks name servers that do not answer."""


class H11Sender:
    """Of one project, over the network that all share."""

    def __init__(self, network: Network, timeout: timedelta, project_id: str) -> None:
        self._network = network
        self._timeout = timeout.total_seconds()
        self._project_id = project_id

    async def check(self, url: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                parsed = _parse(url)
                by_tls = parsed.scheme == "https"
                await self._network.check(self._project_id, _host(parsed), _port(parsed), by_tls=by_tls)
        except TimeoutError:
            raise _not_there(url, "the host's name servers do not answer") from None
        except TooManyNames:
            most = f"{LOOKED_UP_TO_REGISTER} of the project's hosts are being looked up, which is the most at once"
            raise LimitReached(most, LOOKED_UP_WITHIN) from None
        except Refused as error:
            raise _not_there(url, str(error)) from None

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        started = time.monotonic()
        status, detail, retry_after = await self._send(url, body, headers)
        return Answer(status, detail, retry_after, timedelta(seconds=time.monotonic() - started))

    async def _send(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str, timedelta | None]:
        try:
            async with asyncio.timeout(self._timeout):
                return _read(await self._post(_parse(url), body, headers))
        except TimeoutError:
            return None, f"no answer within {self._timeout:g} s", None
        except (Refused, NoAnswer) as error:
            return None, str(error)[:200], None
        except OSError as error:
            return None, f"{type(error).__name__}: {error}"[:200], None

    async def _post(self, url: httpx.URL, body: bytes, headers: dict[str, str]) -> h11.Response:
        given = [
            (b"Host", url.netloc),
            (b"User-Agent", b"movie-tasks"),
            (b"Accept", b"*/*"),
            (b"Connection", b"close"),
            (b"Content-Length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]
        request = h11.Request(method=b"POST", target=url.raw_path, headers=given)
        by_tls = url.scheme == "https"
        return await self._network.exchange(self._project_id, _host(url), _port(url), request, body, by_tls=by_tls)


def _read(response: h11.Response) -> tuple[int, str, timedelta | None]:
    given = {name: value.decode("latin-1") for name, value in response.headers}
    detail = bytes(response.reason).decode("ascii", "replace")[:200]
    if 300 <= response.status_code < 400:
        detail = f"{detail}: redirects are not followed; register the address that this one leads to"
    return response.status_code, detail, read_retry_after(given.get(b"retry-after"), given.get(b"date"))


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
