"""People and their content systems: what they ask for, when, and how they take an answer.

Also the receivers of their webhooks.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from contracts.errors import PermanentError, RetryableError
from contracts.events import CloudEvent, Message
from contracts.identifiers import task_id_for
from contracts.media import Medium
from contracts.tasks import Task
from contracts.topics import TASK_REQUESTS
from notification.domain.deliveries import Answer
from submission.domain import Origin

from tests.simulation.bus import Died, SimulatedBus
from tests.simulation.composition import CATALOG, Doors
from tests.simulation.invariants import Invariants, Wishes
from tests.simulation.network import BEGIN, Network

PATIENCE_SECONDS = 30.0
FROM_PICTURE = "tiny-image-edit"
PICTURES = ("tiny-image", FROM_PICTURE)
MODELS = {medium: [m.key for m in CATALOG.models if m.medium is medium and not m.inputs] for medium in Medium}

Result = TypeVar("Result")


class Asked(Protocol):
    """A replica that answers people."""

    @property
    def up(self) -> bool: ...

    doors: Doors

    async def ask(self, work: Any) -> Any: ...


@dataclass(frozen=True)
class Wish:
    """One task that somebody will want."""

    at: float
    project_id: str
    key: str
    request: dict[str, Any]
    by_event: bool

    @property
    def task_id(self) -> str:
        return task_id_for(self.project_id, self.key)


def drawn_wishes(
    randomness: random.Random, how_many: range, projects: Sequence[str], media: Sequence[Medium], until: float
) -> list[Wish]:
    wishes = []
    for number in range(randomness.choice(how_many)):
        at = randomness.choice((0.0, randomness.uniform(0.0, until * 0.8)))
        request: dict[str, Any] = {
            "model": randomness.choice(MODELS[randomness.choice(media)]),
            "params": {"prompt": f"wish {number}", "steps": randomness.randint(2, 8)},
            "priority": randomness.choice(("low", "medium", "medium", "high")),
        }
        if randomness.random() < 0.1:
            expires = BEGIN + timedelta(seconds=at + randomness.uniform(1.0, 200.0))
            request["expires_at"] = expires.isoformat()
        project_id = randomness.choice(projects)
        wishes.append(Wish(at, project_id, f"key-{number}", request, randomness.random() < 0.3))
    return wishes


def needing_others(randomness: random.Random, wishes: Sequence[Wish]) -> list[Wish]:
    """Some of them again, from the picture that an earlier one makes; now and then in a row."""
    found: list[Wish] = []
    for number in range(randomness.randint(0, 3)):
        pictures = [wish for wish in (*wishes, *found) if wish.request["model"] in PICTURES]
        if not pictures:
            break
        needed = randomness.choice(pictures)
        request = {
            "model": FROM_PICTURE,
            "params": {"prompt": f"from {number}", "steps": randomness.randint(2, 8)},
            "inputs": {"image": {"from_task": needed.task_id}},
        }
        at = needed.at + randomness.choice((0.5, randomness.uniform(1.0, 60.0)))
        found.append(Wish(at, needed.project_id, f"needing-{number}", request, randomness.random() < 0.3))
    return found


def a_crowd(randomness: random.Random, projects: Sequence[str]) -> list[Wish]:
    """Many alike tasks at once, most of them of one project."""
    request = {"model": MODELS[Medium.IMAGE][0], "params": {"prompt": "one of many", "steps": 4}}
    owners = [projects[0]] * randomness.randint(6, 10) + [
        p for p in projects[1:] for _ in range(randomness.randint(2, 4))
    ]
    return [
        Wish(randomness.uniform(0.0, 5.0), project_id, f"key-{number}", request, by_event=False)
        for number, project_id in enumerate(owners)
    ]


@dataclass
class People:
    network: Network
    bus: SimulatedBus
    replicas: Sequence[Asked]
    wishes: Wishes
    promised: list[Wish] = field(default_factory=list)
    """Those that were answered with a task, and must never be forgotten."""

    async def want(self, wish: Wish) -> None:
        await asyncio.sleep(wish.at)
        if wish.by_event:
            data = {"project_id": wish.project_id, **wish.request}
            event = CloudEvent(id=wish.key, source="/cms", type="task.requested.v1", data=data)
            self.network.note(f"a content system asks for {wish.task_id[:4]}")
            self.bus.accept(Message(TASK_REQUESTS, wish.project_id, event), "cms")
            return
        origin = Origin(wish.project_id, wish.task_id, wish.key)
        task = await self._until_answered(lambda doors: _door(doors.acceptance).submit(wish.request, origin))
        if task is not None:
            self.network.note(f"somebody has {wish.task_id[:4]}")
            self.promised.append(wish)
        if task is not None and self.network.randomness.random() < 0.2:
            # Somebody's connection broke: the same request again, with the same key.
            await asyncio.sleep(self.network.randomness.uniform(0.0, 60.0))
            await self._until_answered(lambda doors: _door(doors.acceptance).submit(wish.request, origin))

    async def cancel(self, at: float, wish: Wish) -> None:
        await asyncio.sleep(at)
        self.wishes.cancelled.add(wish.task_id)
        self.network.note(f"somebody cancels {wish.task_id[:4]}")
        await self._until_answered(lambda doors: _door(doors.changes).cancel(wish.task_id, wish.project_id))

    async def retry(self, at: float, wish: Wish) -> None:
        await asyncio.sleep(at)
        self.wishes.retried.add(wish.task_id)
        self.network.note(f"somebody retries {wish.task_id[:4]}")
        await self._until_answered(lambda doors: _door(doors.changes).retry(wish.task_id, wish.project_id))

    async def send_rubbish(self, at: float) -> None:
        """No event at all, and one that nobody can make a task of."""
        await asyncio.sleep(at)
        self.wishes.bad_requests += 1
        event = CloudEvent(id="bad", source="/cms", type="task.requested.v9", data={"say": "not an event"})
        self.bus.accept(Message(TASK_REQUESTS, "p0", event), "cms")
        unfit = CloudEvent(id="unfit", source="/cms", type="task.requested.v1", data={"project_id": "p0", "model": "?"})
        self.bus.accept(Message(TASK_REQUESTS, "p0", unfit), "cms")

    async def _until_answered(self, act: Callable[[Doors], Awaitable[Task]]) -> Task | None:
        """As a good client does it: again with the same key, until there is an answer."""
        while True:
            replica = self.network.randomness.choice(self.replicas)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    found: Task = await replica.ask(_asking(act, replica))
                    return found
            except (RetryableError, Died, TimeoutError):
                await asyncio.sleep(self.network.randomness.uniform(0.5, 5.0))
            except PermanentError as error:
                self.network.note(f"somebody hears {error.code}")
                return None


async def _asking(act: Callable[[Doors], Awaitable[Task]], replica: Asked) -> Task:
    return await act(replica.doors)


def _door(found: Result | None) -> Result:
    assert found is not None, "the service is up, so its handlers are there"
    return found


class SimulatedReceivers:
    """Where webhooks go: `https://{project}/`. Each project's receiver drops repetitions by `webhook-id`."""

    def __init__(self, network: Network, invariants: Invariants) -> None:
        self._network = network
        self._invariants = invariants

    async def check(self, url: str) -> None:
        """Every address may be used."""

    async def aclose(self) -> None:
        """There is no connection to close."""

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        faults, now = self._network.faults, self._network.loop.time()
        await asyncio.sleep(self._network.quick())
        if faults.happens("receiver refuses", now):
            return Answer(500, "as the seed says")
        if faults.happens("receiver hangs", now):
            await asyncio.sleep(15.0)
            return Answer(None, "no answer within 15 s")
        project_id = url.removeprefix("https://").rstrip("/")
        type_ = json.loads(body)["type"]
        self._invariants.heard_by_receiver(project_id, headers["webhook-id"], type_)
        self._network.note(f"webhook {type_} to {project_id}")
        if faults.happens("receiver hears and fails", now):
            return Answer(502, "as the seed says")
        return Answer(200, "OK")
