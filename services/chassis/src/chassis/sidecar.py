"""The connection to this process's daprd, and what its errors mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import structlog
from contracts.errors import DependencyUnavailable
from dapr.aio.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError, DaprInternalError
from dapr.conf import settings as sdk_settings
from grpc import RpcError, StatusCode

from chassis.settings import SidecarSettings

log = structlog.get_logger(__name__)

CALL_TIMEOUT_SECONDS = 15
WAIT_FOR_SIDECAR_SECONDS = 60
SDK_ERRORS = (DaprInternalError, DaprGrpcError, RpcError)


class Sidecar:
    """One client for the whole process, made inside the event loop that uses it."""

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._client: DaprClient | None = None

    @property
    def client(self) -> DaprClient:
        if self._client is None:
            raise DependencyUnavailable("the connection to the Dapr sidecar is not open")
        return self._client

    @property
    def http_address(self) -> str:
        return f"http://127.0.0.1:{self._settings.dapr_http_port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"dapr-api-token": self._settings.dapr_api_token.get_secret_value()}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Waits until daprd can be called, and keeps the client for as long as the context lasts.

        Raises `DependencyUnavailable` when daprd does not come up.
        """
        await self._wait()
        self._configure_sdk()
        # The SDK's constructor makes a blocking HTTP request; after the wait above it is a short one.
        self._client = DaprClient(f"127.0.0.1:{self._settings.dapr_grpc_port}")
        try:
            yield
        finally:
            client, self._client = self._client, None
            await client.close()

    async def _wait(self) -> None:
        async with httpx.AsyncClient(base_url=self.http_address, timeout=5) as http:
            for waited in range(WAIT_FOR_SIDECAR_SECONDS * 10):
                try:
                    if (await http.get("/v1.0/healthz/outbound")).is_success:
                        return
                except httpx.TransportError:
                    if waited % 50 == 49:
                        log.warning(
                            "waiting for the Dapr sidecar", address=self.http_address, seconds=(waited + 1) / 10
                        )
                await asyncio.sleep(0.1)
        raise DependencyUnavailable(f"no Dapr sidecar answers at {self.http_address}")

    def _configure_sdk(self) -> None:
        sdk_settings.DAPR_HTTP_PORT = self._settings.dapr_http_port
        sdk_settings.DAPR_GRPC_PORT = self._settings.dapr_grpc_port
        sdk_settings.DAPR_API_TOKEN = self._settings.dapr_api_token.get_secret_value()
        # Without it the SDK waits for ever on a sidecar that stopped answering.
        sdk_settings.DAPR_API_TIMEOUT_SECONDS = CALL_TIMEOUT_SECONDS


def status_of(error: BaseException) -> StatusCode | None:
    """The gRPC status behind an SDK error; `save_state` hides it in the cause."""
    for candidate in (error, error.__cause__):
        code = getattr(candidate, "code", None)
        if callable(code):
            found = code()
            return found if isinstance(found, StatusCode) else None
    return None


def text_of(error: BaseException) -> str:
    details = getattr(error, "details", None)
    return str(details()) if callable(details) else str(error)


def unavailable(what: str, error: BaseException) -> DependencyUnavailable:
    status = status_of(error)
    return DependencyUnavailable(f"{what}: {status.name if status else 'error'}: {text_of(error)}", retry_after=1)
