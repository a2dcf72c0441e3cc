"""Files in a local folder or in S3, R2, GCS or Azure, through obstore."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import obstore
from contracts.errors import DependencyUnavailable, NotFound
from contracts.ports import StoredObject
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

CHUNK = 1024 * 1024
PATIENCE: "ClientConfig" = {
    # The operator's URL decides; AWS_ALLOW_HTTP is passed over once any option is given here.
    "allow_http": True,
    "connect_timeout": timedelta(seconds=3),
    # Between two reads, so that a store which hangs is noticed however large the file is.
    "read_timeout": timedelta(seconds=15),
    "timeout": timedelta(hours=1),
}
# The library's own default tries for three minutes. Whoever asks knows better for how long it is worth it.
RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}


class ObstoreObjects:
    """The `ObjectStore` port over whatever store the URL names."""

    def __init__(self, url: str) -> None:
        parsed = urlparse(url)
        if parsed.scheme == "file":
            self._store: obstore.store.ObjectStore = LocalStore(unquote(parsed.path), mkdir=True)
        else:
            self._store = from_url(url, client_options=PATIENCE, retry_config=RETRIES)

    async def put(self, key: str, content: bytes | Path) -> None:
        with _errors(key):
            await obstore.put_async(self._store, key, content)

    async def head(self, key: str) -> StoredObject | None:
        try:
            with _errors(key):
                found = await obstore.head_async(self._store, key)
        except NotFound:
            return None
        return StoredObject(found["path"], found["size"], found["last_modified"])

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        with _errors(key):
            found = await obstore.get_async(self._store, key, options=_span(start, end))
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def copy(self, source: str, target: str) -> None:
        with _errors(source):
            await obstore.copy_async(self._store, source, target)

    async def delete(self, key: str) -> None:
        try:
            with _errors(key):
                await obstore.delete_async(self._store, key)
        except NotFound:
            return

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        with _errors(prefix):
            async for page in obstore.list(self._store, prefix):
                for found in page:
                    yield StoredObject(found["path"], found["size"], found["last_modified"])


def _span(start: int, end: int | None) -> "GetOptions":
    if end is not None:
        return {"range": (start, end)}
    return {"range": {"offset": start}} if start else {}


@contextmanager
def _errors(key: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NotFound(f"no object {key}") from error
    except (BaseError, OSError) as error:
        raise DependencyUnavailable(f"the object store does not answer for {key}: {error}") from error
