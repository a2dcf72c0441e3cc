"""uvicorn as part of a program that handles signals itself."""

from collections.abc import Generator
from contextlib import contextmanager

import uvicorn


class GuestServer(uvicorn.Server):
    """A server inside somebody else's program, which keeps its signals to itself."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
