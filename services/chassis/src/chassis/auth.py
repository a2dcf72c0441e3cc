"""API keys: whose project a request speaks for."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from cachetools import TTLCache
from contracts.errors import Unauthenticated
from contracts.ports import Clock
from contracts.projects import ApiKey, split_key
from contracts.records import Records
from fastapi import Security
from fastapi.security import APIKeyHeader, APIKeyQuery

from chassis.remembering import REMEMBER_SECONDS

API_KEY = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", auto_error=False, description="A key bound to one project."
)
API_KEY_IN_QUERY = APIKeyQuery(
    name="api_key", scheme_name="ApiKeyInQuery", auto_error=False, description="For browsers fetching media only."
)
ADMIN_KEY = APIKeyHeader(
    name="X-Admin-Key", scheme_name="AdminKey", auto_error=False, description="The operator's key."
)

ProjectOf = Callable[..., Awaitable[str]]


class ApiKeys:
    def __init__(self, records: Records[ApiKey], clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._found: TTLCache[str, ApiKey] = TTLCache(10_000, REMEMBER_SECONDS, timer=lambda: clock.now().timestamp())

    async def project_of(self, presented: str | None) -> str:
        """The project a presented key is bound to. Raises `Unauthenticated`, the same for every reason."""
        return (await self.key_of(presented)).project_id

    async def key_of(self, presented: str | None) -> ApiKey:
        """What is known of a presented key. Raises `Unauthenticated`, the same for every reason."""
        parts = split_key(presented) if presented else None
        if parts is not None:
            key = await self._look_up(parts[0])
            if key is not None and key.opens_with(parts[1]) and key.valid_at(self._clock.now()):
                return key
        raise Unauthenticated("send a valid API key in the X-API-Key header")

    async def by_id(self, key_id: str) -> ApiKey:
        """The key that was presented earlier, if it is still valid. Raises `Unauthenticated`."""
        key = await self._look_up(key_id)
        if key is None or not key.valid_at(self._clock.now()):
            raise Unauthenticated("the API key is valid no more")
        return key

    async def _look_up(self, key_id: str) -> ApiKey | None:
        key = self._found.get(key_id)
        if key is None:
            key = await self._records.get(key_id)
            if key is not None:
                self._found[key_id] = key
        return key


def project_by_header(keys: ApiKeys) -> ProjectOf:
    """A FastAPI dependency: the project of the key in the `X-API-Key` header."""

    async def project(api_key: Annotated[str | None, Security(API_KEY)]) -> str:
        return await keys.project_of(api_key)

    return project


def same_secret(presented: str | None, secret: str) -> bool:
    return presented is not None and hmac.compare_digest(presented.encode(), secret.encode())
