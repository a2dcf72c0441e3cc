"""The connection to this process's daprd, and what its errors mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
from contracts.errors import DependencyUnavailable
from dapr.aio.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError, DaprInternalError
from dapr.conf import settings as sdk_settings
from grpc import ChannelConnectivity, RpcError, StatusCode

from chassis.background import background, keep_trying
from chassis.settings import SidecarSettings

CALL_TIMEOUT_SECONDS = 15
ANSWER_WITHIN_SECONDS = 2
SDK_ERRORS = (DaprInternalError, DaprGrpcError, RpcError)


class Sidecar:
    """One client for the whole process, made inside the event loop that uses it."""

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._client: DaprClient | None = None
        self._health: httpx.AsyncClient | None = None

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
        """Waits until daprd can be called, and keeps the client for as long as the context lasts."""
        async with httpx.AsyncClient(base_url=self.http_address, timeout=ANSWER_WITHIN_SECONDS) as http:
            await keep_trying(partial(self._look, http), f"the Dapr sidecar at {self.http_address}", pause=0.1)
            self._configure_sdk()
            self._client, self._health = self._new_client(), http
            try:
                async with background(self._keep_client_fresh(http)):
                    yield
            finally:
                client, self._client, self._health = self._client, None, None
                await client.close()

    async def _keep_client_fresh(self, http: httpx.AsyncClient) -> None:
        """Takes a new client when daprd is back: the old one waits for up to two minutes before it looks again."""
        while True:
            channel = self.client._channel
            state = channel.get_state()
            if state is not ChannelConnectivity.TRANSIENT_FAILURE:
                await channel.wait_for_state_change(state)
                continue
            await keep_trying(partial(self._look, http), f"the Dapr sidecar at {self.http_address}", pause=0.2)
            if channel.get_state() is not ChannelConnectivity.READY:
                self._client = self._new_client()
                # The client's own close would cancel the calls that are under way, and whoever waits for them.
                await channel.close(grace=CALL_TIMEOUT_SECONDS)

    def _new_client(self) -> DaprClient:
        # The SDK's constructor makes a blocking HTTP request; with a daprd that has just answered it is a short one.
        return DaprClient(f"127.0.0.1:{self._settings.dapr_grpc_port}")

    async def check_hearing(self) -> None:
        """Raises `DependencyUnavailable` unless daprd answers soon, and has begun to deliver to this process.

        It asks for subscriptions only once the process serves. What a broker in memory is given before is lost.
        """
        if not await self.subscriptions():
            raise DependencyUnavailable("the Dapr sidecar delivers nothing yet")

    async def subscriptions(self) -> set[tuple[str, str]]:
        """Component and topic of all that daprd delivers from. Raises `DependencyUnavailable`."""
        try:
            answer = await self._http.get("/v1.0/metadata", headers=self.headers)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise DependencyUnavailable(f"the Dapr sidecar does not answer: {reason}") from error
        return {(found["pubsubname"], found["topic"]) for found in answer.json().get("subscriptions", [])}

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._health is None:
            raise DependencyUnavailable("the connection to the Dapr sidecar is not open")
        return self._health

    async def _look(self, http: httpx.AsyncClient) -> None:
        try:
            answer = await http.get("/v1.0/healthz/outbound")
        except httpx.TransportError as error:
            raise DependencyUnavailable(f"nothing answers: {error or type(error).__name__}") from error
        if not answer.is_success:
            raise DependencyUnavailable(f"it is not ready: HTTP {answer.status_code}")

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
