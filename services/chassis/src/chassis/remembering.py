"""Documents that are asked for much more often than they change."""

from typing import Generic, TypeVar

from cachetools import TTLCache
from contracts.ports import Clock
from contracts.records import Records
from pydantic import BaseModel

REMEMBER_SECONDS = 5.0
"""How soon a replica notices what another has changed: a revoked key goes on working for at most so long."""
MOST_REMEMBERED = 10_000

Document = TypeVar("Document", bound=BaseModel)


class Remembered(Generic[Document]):
    """Records as they were at most `REMEMBER_SECONDS` ago."""

    def __init__(self, records: Records[Document], clock: Clock) -> None:
        self._records = records
        # What is not there is remembered as well; it lies in a tuple to be told from what is not known.
        self._found: TTLCache[str, tuple[Document | None]] = TTLCache(
            MOST_REMEMBERED, REMEMBER_SECONDS, timer=lambda: clock.now().timestamp()
        )

    async def get(self, id: str) -> Document | None:
        """Raises `DependencyUnavailable`."""
        known = self._found.get(id)
        if known is None:
            known = self._found[id] = (await self._records.get(id),)
        return known[0]
