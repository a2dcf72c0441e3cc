"""What notification's handlers need of their private tables, of the network and of live watchers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.projects import ApiKey

from notification.domain import Answer, DeliveryState, Happening, Scope


@dataclass(frozen=True)
class Endpoint:
    """Where a project wants to be told. `secret` is encrypted."""

    id: str
    project_id: str
    url: str
    events: tuple[str, ...]
    secret: bytes
    enabled: bool
    created_at: datetime
    disabled_because: str | None = None


@dataclass(frozen=True)
class Delivery:
    """One message to one endpoint, with how it went so far."""

    webhook_id: str
    endpoint_id: str
    project_id: str
    type: str
    body: str
    state: DeliveryState
    tries: int
    due: datetime
    created_at: datetime
    correlation_id: str | None = None
    last_status: int | None = None
    last_detail: str | None = None


@dataclass(frozen=True)
class Share:
    """How many deliveries may be taken at once for one endpoint, and for one project."""

    per_endpoint: int
    per_project: int


@dataclass(frozen=True)
class Full:
    """Endpoints and projects that have their share under way already."""

    endpoints: Sequence[str]
    projects: Sequence[str]


class Endpoints(Protocol):
    async def add(self, endpoint: Endpoint, most: int) -> bool:
        """Whether it was added: a project has `most` at most."""

    async def get(self, endpoint_id: str) -> Endpoint | None: ...

    async def of_project(self, project_id: str) -> Sequence[Endpoint]: ...

    async def remembered(self, project_id: str) -> Sequence[Endpoint]:
        """The same, as it was at most a few seconds ago."""

    async def set_enabled(self, endpoint_id: str, enabled: bool, because: str | None) -> None: ...

    async def remove(self, endpoint_id: str) -> None:
        """With everything that waits to be delivered to it."""


class Deliveries(Protocol):
    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Keeps each once, by webhook and endpoint."""

    async def take(self, now: datetime, until: datetime, share: Share, full: Full, limit: int) -> Sequence[Delivery]:
        """What is due at enabled endpoints, longest due first, and put off to `until` for everybody else."""

    async def settle(self, delivery: Delivery) -> None:
        """Keeps how the try went."""

    async def of_endpoint(self, endpoint_id: str, limit: int) -> Sequence[Delivery]:
        """The newest first."""

    async def next_due(self) -> datetime | None: ...


class Feed(Protocol):
    """What happened, in one order, for as long as live watchers may want to resume from it."""

    async def add(self, happening: Happening) -> int | None:
        """Its position, or None when it is there already. Nothing is ever found before what was found already."""

    async def newest(self) -> int:
        """The last position that was given out, 0 if none was."""

    async def oldest(self) -> int:
        """The first position that is kept, with all that follow it; the next one when nothing is."""

    async def since(self, position: int, limit: int) -> Sequence[tuple[int, Happening]]:
        """What happened after `position` in all projects."""

    async def after(self, position: int, scope: Scope, limit: int) -> Sequence[tuple[int, Happening]]: ...

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None: ...

    async def prune(self, before: datetime) -> None:
        """Forgets everything up to the first happening that is not older."""


class Keys(Protocol):
    """The projects' API keys. Raises `Unauthenticated` for what is none, or is none any more."""

    async def key_of(self, presented: str | None) -> ApiKey: ...

    async def by_id(self, key_id: str) -> ApiKey: ...


class Sender(Protocol):
    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Posts once and never raises for what a receiver does."""

    async def check(self, url: str) -> None:
        """Raises `InvalidRequest` for an address that webhooks may not go to."""


class Vault(Protocol):
    """Secrets at rest."""

    def lock(self, secret: str) -> bytes: ...

    def unlock(self, locked: bytes) -> str: ...
