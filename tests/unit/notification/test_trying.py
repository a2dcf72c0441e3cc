"""One try and what follows, over real tables and a receiver that answers as it is told."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from chassis.database import Database
from contracts.testing import SettableClock
from contracts.testing.examples import NOON
from cryptography.fernet import Fernet
from notification.adapters.deliveries import SqlDeliveries
from notification.adapters.endpoints import SqlEndpoints
from notification.adapters.tables import Table
from notification.adapters.vault import FernetVault
from notification.domain.deliveries import RETRY_AFTER, Answer, DeliveryState
from notification.domain.health import HEALTHY, Health, Off
from notification.domain.secrets import Secret
from notification.handlers.trying import UNSIGNED, Trying
from notification.ports import Delivery, Endpoint

LATER = NOON + timedelta(days=9)
FAILS, TAKES = Answer(500, "Oops"), Answer(200, "OK")
DISABLED = Health(20, NOON, None, Off.FAILURES, NOON, "only failures")


@dataclass
class FakeSender:
    answer: Answer = TAKES
    sent: list[dict[str, str]] = field(default_factory=list)

    async def check(self, url: str) -> None:
        """Every address may be used."""

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        self.sent.append(headers)
        return self.answer


@dataclass
class Bench:
    trying: Trying
    sender: FakeSender
    vault: FernetVault
    probes: list[datetime]

    async def endpoint(self, health: Health, *, locked: bytes | None = None) -> Endpoint:
        secret = Secret("s", locked or self.vault.lock("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), NOON)
        made = Endpoint("e1", "p1", "https://example.org/", ("*",), (secret,), NOON, health)
        await self.trying.endpoints.add(made, 5)
        return made

    async def delivery(self, number: int, **changes: object) -> Delivery:
        made = Delivery(f"w{number}", "e1", "p1", "task.done.v1", "{}", DeliveryState.WAITING, 0, NOON, NOON)
        changed = replace(made, **changes)  # type: ignore[arg-type]
        await self.trying.deliveries.add([changed])
        return changed

    async def found(self, number: int) -> Delivery:
        delivery = await self.trying.deliveries.get("e1", f"w{number}")
        assert delivery is not None
        return delivery

    async def health(self) -> Health:
        endpoint = await self.trying.endpoints.get("e1")
        assert endpoint is not None
        return endpoint.health


@pytest.fixture
async def bench(database_url: Callable[[str], str]) -> AsyncIterator[Bench]:
    database, probes = Database(database_url("notification"), Table.metadata), list[datetime]()
    sender, vault, clock = FakeSender(), FernetVault(Fernet.generate_key().decode()), SettableClock()
    trying = Trying(
        endpoints=SqlEndpoints(database),
        deliveries=SqlDeliveries(database),
        sender=sender,
        vault=vault,
        clock=clock,
        randomness=random.Random(1),
        new_id=lambda: "1",
        disable_after=timedelta(days=5),
        hold=timedelta(seconds=30),
        deliver_at=lambda _due: None,
        probe_at=probes.append,
        delivering_wanted=asyncio.Event(),
    )
    async with database.opened():
        yield Bench(trying, sender, vault, probes)


async def test_a_ping_that_is_accepted_brings_back_who_was_given_up(bench: Bench) -> None:
    endpoint = await bench.endpoint(DISABLED)
    await bench.delivery(1, due=LATER)
    await bench.trying.ping(endpoint)
    assert await bench.health() == HEALTHY
    assert (await bench.found(1)).due == NOON
    assert bench.trying.delivering_wanted.is_set()


async def test_a_ping_to_who_was_switched_off_moves_nothing(bench: Bench) -> None:
    off = Health(off=Off.PROJECT, off_since=NOON, disabled_because="switched off by the project")
    endpoint = await bench.endpoint(off)
    await bench.delivery(1, due=LATER)
    await bench.trying.ping(endpoint)
    assert await bench.health() == off
    assert (await bench.found(1)).due == LATER


async def test_what_a_paused_receiver_refuses_is_not_given_up(bench: Bench) -> None:
    bench.sender.answer = FAILS
    endpoint = await bench.endpoint(Health(20, NOON, NOON))
    delivery = await bench.delivery(1, tries=50)
    await bench.trying.deliver(delivery, endpoint)
    found = await bench.found(1)
    assert (found.state, found.tries) == (DeliveryState.WAITING, 51)
    assert found.due >= NOON + RETRY_AFTER[-1]
    assert bench.probes == [(await bench.health()).probe_due]


async def test_what_alone_is_refused_of_many_is_given_up(bench: Bench) -> None:
    bench.sender.answer = FAILS
    endpoint = await bench.endpoint(HEALTHY)
    await bench.trying.deliver(await bench.delivery(1, tries=len(RETRY_AFTER)), endpoint)
    assert (await bench.found(1)).state is DeliveryState.FAILED


async def test_only_the_last_answers_are_kept(bench: Bench) -> None:
    endpoint, delivery = await bench.endpoint(HEALTHY), await bench.delivery(1)
    for number in range(15):
        bench.sender.answer = Answer(500, str(number), took=timedelta(milliseconds=number))
        await bench.trying.deliver(delivery, endpoint)
        delivery = await bench.found(1)
    assert [(one.detail, one.milliseconds) for one in delivery.answers] == [(str(n), n) for n in range(5, 15)]


async def test_without_a_secret_that_can_be_read_nothing_is_sent(bench: Bench) -> None:
    endpoint = await bench.endpoint(HEALTHY, locked=FernetVault(Fernet.generate_key().decode()).lock("whsec_x"))
    await bench.trying.deliver(await bench.delivery(1), endpoint)
    found = await bench.found(1)
    assert (found.state, found.answers[-1].detail) == (DeliveryState.WAITING, UNSIGNED)
    assert bench.sender.sent == []
    assert (await bench.health()).failures == 1
