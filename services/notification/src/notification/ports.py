"""What notification's handlers need of their private tables, of the network and of live watchers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.projects import ApiKey, Project
from contracts.webhooks import DeliveryState

from notification.domain.deliveries import Answer
from notification.domain.happenings import Happening
from notification.domain.health import HEALTHY, Health
from notification.domain.live import Scope
from notification.domain.places import Place
from notification.domain.secrets import Secret


@dataclass(frozen=True)
class Endpoint:
    """Where a project wants to be told."""

    id: str
    project_id: str
    url: str
    events: tuple[str, ...]
    secrets: tuple[Secret, ...]
    """The newest first."""
    created_at: datetime
    health: Health = HEALTHY
    pinged_at: datetime | None = None
    """When somebody last asked for a ping."""


@dataclass(frozen=True)
class Tried:
    """What one try was answered."""

    at: datetime
    status: int | None
    detail: str
    milliseconds: int


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
    """When it is tried next, or when it ended."""
    created_at: datetime
    correlation_id: str | None = None
    traceparent: str | None = None
    """Of the span that the message is about."""
    in_bulk: bool = False
    """Replayed with many others: goes after what is fresh."""
    answers: tuple[Tried, ...] = ()
    """The last ones, the newest at the end."""


@dataclass(frozen=True)
class Wanted:
    """Which deliveries are to be replayed: those that came `since`, before `until`, and ended so."""

    since: datetime
    until: datetime
    states: Sequence[DeliveryState]


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

    async def change(self, endpoint_id: str, decide: Callable[[Endpoint], Endpoint]) -> Endpoint | None:
        """Saves what `decide` makes of it, and decides again when somebody else was quicker. None when it is gone."""

    async def remove(self, endpoint_id: str) -> None:
        """With everything that waits to be delivered to it."""

    async def take_probes(self, now: datetime, until: datetime, limit: int) -> Sequence[Endpoint]:
        """Those whose probe is due, put off to `until` for everybody else."""

    async def next_probe(self) -> datetime | None: ...

    async def page(self, after: str, limit: int) -> Sequence[Endpoint]:
        """Of all projects, by id."""


class Deliveries(Protocol):
    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Keeps each once, by webhook and endpoint."""

    async def take(self, now: datetime, until: datetime, share: Share, full: Full, limit: int) -> Sequence[Delivery]:
        """What is due at endpoints that are neither off nor paused, put off to `until` for everybody else.

        What is fresh comes before what is replayed in bulk, then the longest due.
        """

    async def take_one(self, endpoint_id: str, until: datetime) -> Delivery | None:
        """What has waited longest for its next try, due or not, put off likewise."""

    async def settle(self, held: Delivery, settled: Delivery) -> bool:
        """Keeps how the try went; False when somebody else has it by now, or it is gone."""

    async def release(self, endpoint_id: str, now: datetime, later_than: datetime) -> None:
        """Everything waiting that is due `later_than` is due now."""

    async def get(self, endpoint_id: str, webhook_id: str) -> Delivery | None: ...

    async def page(
        self, endpoint_id: str, state: DeliveryState | None, before: Place | None, limit: int
    ) -> Sequence[Delivery]:
        """The newest first."""

    async def replay(self, endpoint_id: str, webhook_id: str, now: datetime) -> None:
        """It waits again and is due, with all tries before it."""

    async def replay_next(self, endpoint_id: str, wanted: Wanted, after: Place | None) -> tuple[int, Place | None]:
        """So do the next few that are wanted, in bulk, oldest first: how many, and where they end, None at the end."""

    async def count(self, endpoint_id: str, wanted: Wanted) -> Mapping[DeliveryState, int]:
        """How many are wanted, by the states of which there are some."""

    async def prune(self, before: datetime) -> None:
        """Forgets what ended before, and what has waited since then at endpoints that are off."""

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

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None:
        """The last change of the task. A reminder changes nothing, and does not show how a task is."""

    async def prune(self, before: datetime) -> None:
        """Forgets everything up to the first happening that is not older."""


class Keys(Protocol):
    """The projects' API keys. Raises `Unauthenticated` for what is none, or is none any more."""

    async def key_of(self, presented: str | None) -> ApiKey: ...

    async def by_id(self, key_id: str) -> ApiKey: ...


class Projects(Protocol):
    """What operators say of projects, as it was at most a few seconds ago."""

    async def get(self, id: str) -> Project | None: ...


class Sender(Protocol):
    """Of one project, which has its share of what sending takes."""

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Posts once and never raises for what a receiver does."""

    async def check(self, url: str) -> None:
        """Raises `InvalidRequest` for an address that webhooks may not go to, and `LimitReached`."""


SenderOf = Callable[[str], Sender]
"""By the project's id."""


class Vault(Protocol):
    """Secrets at rest."""

    def lock(self, secret: str) -> bytes: ...

    def unlock(self, locked: bytes) -> str | None:
        """None when no key opens it."""

    def relock(self, locked: bytes) -> bytes | None:
        """The same secret under the first key: what was given if it is so already. None when no key opens it."""
