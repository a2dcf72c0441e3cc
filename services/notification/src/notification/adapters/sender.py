"""Posting webhooks to addresses that strangers chose.

The address is resolved here and the connection made to what it resolved to, so that a name cannot
point somewhere harmless when it is checked and somewhere private when it is used.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from datetime import timedelta

import httpx
from contracts.errors import FieldProblem, InvalidRequest

from notification.domain import Answer, read_retry_after

MOST_OF_ANSWER = 64 * 1024

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """Webhooks may not go to this address; the text says why."""


class HttpxSender:
    def __init__(self, timeout: timedelta, private_networks: Sequence[str]) -> None:
        self._timeout = timeout.total_seconds()
        self._allowed: list[Network] = [ipaddress.ip_network(network) for network in private_networks]
        self._http = httpx.AsyncClient(
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def check(self, url: str) -> None:
        try:
            await self._resolve(_parse(url))
        except Refused as error:
            problem = FieldProblem(field="url", detail=str(error), allowed="a public https address", given=url[:200])
            raise InvalidRequest("webhooks cannot be sent to this address", [problem]) from None

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(_parse(url), body, headers)
        except TimeoutError:
            return Answer(None, f"no answer within {self._timeout:g} s")
        except Refused as error:
            return Answer(None, str(error))
        except httpx.HTTPError as error:
            return Answer(None, f"{type(error).__name__}: {error}"[:200])

    async def _send(self, url: httpx.URL, body: bytes, headers: dict[str, str]) -> Answer:
        address = await self._resolve(url)
        request = self._http.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={**headers, "Host": url.netloc.decode(), "User-Agent": "movie-tasks"},
            extensions={"sni_hostname": url.host},
        )
        response = await self._http.send(request, stream=True)
        try:
            received = 0
            async for chunk in response.aiter_raw():
                received += len(chunk)
                if received > MOST_OF_ANSWER:
                    break
        finally:
            await response.aclose()
        return Answer(
            response.status_code, response.reason_phrase[:200], read_retry_after(response.headers.get("retry-after"))
        )

    async def _resolve(self, url: httpx.URL) -> Address:
        """The address to connect to. Raises `Refused` unless every address of the name may be used."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Refused(f"the host {url.host} is not known: {error}") from None
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        for address in addresses:
            if not (_is_public(address) or any(address in network for network in self._allowed)):
                raise Refused(f"{url.host} leads to {address}, which is not a public address")
            if url.scheme != "https" and _is_public(address):
                raise Refused("webhooks to public addresses go by https only")
        return addresses[0]


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise Refused(f"not an address: {error}") from None
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise Refused("not an https address")
    if parsed.userinfo:
        raise Refused("an address with a user or password in it")
    return parsed


def _is_public(address: Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_global and not (mapped or address).is_multicast
