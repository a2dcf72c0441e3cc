"""Looking names up, which takes threads: a name server that never answers keeps one for half a minute."""

import asyncio
import ipaddress
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from weakref import WeakValueDictionary

from notification.domain.addresses import Address

LOOKED_UP_AT_ONCE = 128


class Names:
    """Threads for one purpose, and each project's share of them.

    Nobody can call a thread back, so what counts is how long it looks, not how long somebody waits for it.
    """

    def __init__(self, purpose: str, per_project: int) -> None:
        self._threads = ThreadPoolExecutor(LOOKED_UP_AT_ONCE, purpose)
        self._per_project = per_project
        self._places = WeakValueDictionary[str, asyncio.Semaphore]()
        """Of the projects for which something is looked up."""

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def full(self, project_id: str) -> bool:
        """Whether the project would have to wait for a place."""
        places = self._places.get(project_id)
        return places is not None and places.locked()

    async def look_up(self, project_id: str, host: str) -> list[Address]:
        """Waits for a place first. Raises `OSError` and `UnicodeError` for a name that leads nowhere."""
        places = self._places.setdefault(project_id, asyncio.Semaphore(self._per_project))
        loop = asyncio.get_running_loop()

        def give_back(_looked: "Future[list[Address]]") -> None:
            with suppress(RuntimeError):  # the service has ended before
                loop.call_soon_threadsafe(places.release)

        await places.acquire()
        looking = self._threads.submit(_addresses, host)
        looking.add_done_callback(give_back)
        return await asyncio.wrap_future(looking)


def _addresses(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
