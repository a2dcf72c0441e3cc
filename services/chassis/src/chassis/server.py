"""uvicorn as the platform runs it: bounded, and as part of a program that handles signals itself."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

SHUT_DOWN_WITHIN_SECONDS = 5
LARGEST_MESSAGE = 64 * 1024
"""That a WebSocket may send."""
TAKES_NOTHING_SECONDS = 20
"""How long a peer may take nothing of what is sent to it. Whoever takes a little may take long."""


class GuestServer(uvicorn.Server):
    """A server inside somebody else's program, which keeps its signals to itself."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Keeps no more for a client than it is sent, whatever the client does."""

    def handle_ping(self) -> None:
        """Answers to a client that takes none would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        """A message may have any number of empty parts, which add nothing to its size."""
        if event.data or event.fin:
            super().handle_cont(event)


def served(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        ws=BoundedWebSocket,
        ws_max_size=LARGEST_MESSAGE,
        timeout_graceful_shutdown=SHUT_DOWN_WITHIN_SECONDS,
    )


def listen(config: uvicorn.Config) -> socket.socket:
    """A socket whose connections the kernel ends when the peer takes nothing, closed by us or not.

    Closing alone does not: what was written waits for the peer to read it, and one that never does holds the connection
    for ever.
    """
    listening = config.bind_socket()
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING_SECONDS * 1000)
    return listening
