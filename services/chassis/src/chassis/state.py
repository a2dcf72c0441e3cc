"""Dapr's state API as the `StateStore` port.

Which error means "somebody else saved first" differs from store to store and from call to call:
sqlite and in-memory answer ABORTED, Postgres answers INTERNAL with "no item was updated" to a
first-write over an existing row.
"""

from contracts.errors import AlreadyExists, StateConflict
from contracts.ports import Versioned
from dapr.clients.grpc._state import Concurrency, StateOptions
from grpc import StatusCode

from chassis.sidecar import SDK_ERRORS, Sidecar, status_of, text_of, unavailable

NEVER_IN_A_KEY = ("\0", "||")
"""What Postgres has no text for, and what Dapr parts its prefixes by. Ids that are asked for may be anything."""
FIRST_WRITE = StateOptions(concurrency=Concurrency.first_write)


class DaprStateStore:
    def __init__(self, sidecar: Sidecar, store: str) -> None:
        self._sidecar = sidecar
        self._store = store

    async def get(self, key: str) -> Versioned | None:
        # Asked for all the same, it would count as a failure of the store, and enough of them would have its circuit
        # broken for everybody.
        if any(part in key for part in NEVER_IN_A_KEY):
            return None
        try:
            found = await self._sidecar.client.get_state(self._store, key)
        except SDK_ERRORS as error:
            raise unavailable(f"reading {key}", error) from error
        return Versioned(found.data, found.etag) if found.etag else None

    async def create(self, key: str, value: bytes) -> None:
        try:
            await self._sidecar.client.save_state(self._store, key, value, options=FIRST_WRITE)
        except SDK_ERRORS as error:
            if _is_conflict(error):
                raise AlreadyExists(f"{key} exists") from error
            raise unavailable(f"creating {key}", error) from error

    async def replace(self, key: str, value: bytes, etag: str) -> None:
        try:
            await self._sidecar.client.save_state(self._store, key, value, etag=etag, options=FIRST_WRITE)
        except SDK_ERRORS as error:
            if _is_conflict(error):
                raise StateConflict(f"{key} has changed") from error
            raise unavailable(f"replacing {key}", error) from error

    async def delete(self, key: str, etag: str) -> None:
        try:
            await self._sidecar.client.delete_state(self._store, key, etag=etag, options=FIRST_WRITE)
        except SDK_ERRORS as error:
            if _is_conflict(error):
                raise StateConflict(f"{key} has changed") from error
            raise unavailable(f"deleting {key}", error) from error


def _is_conflict(error: BaseException) -> bool:
    text = text_of(error).lower()
    return status_of(error) is StatusCode.ABORTED or "etag mismatch" in text or "no item was updated" in text
