"""One try and what follows, over real tables and a receiver that answers as it is told."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from chassis.database import Database
from contracts.testing import RecordingTracer, SettableClock
from contracts.testing.examples import NOON
from contracts.tracing import TraceContext
from contracts.webhooks import DeliveryState
from cryptography.fernet import Fernet
from notification.adapters.deliveries import SqlDeliveries
from notification.adapters.endpoints import SqlEndpoints
from notification.adapters.metrics import WebhookMetrics
from notification.adapters.tables import Table
from notification.adapters.vault import FernetVault
from notification.domain.deliveries import RETRY_AFTER, Answer
from notification.domain.health import HEALTHY, Health, Off
from notification.domain.secrets import Secret
from notification.handlers.trying import UNSIGNED, Trying
from notification.ports import Delivery, Endpoint
from prometheus_client import CollectorRegistry, generate_latest

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
    told: list[tuple[Answer, DeliveryState]]
    waited: list[timedelta]

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
    told, waited = list[tuple[Answer, DeliveryState]](), list[timedelta]()
    sender, vault, clock = FakeSender(), FernetVault(Fernet.generate_key().decode()), SettableClock()
    trying = Trying(
        endpoints=SqlEndpoints(database),
        deliveries=SqlDeliveries(database),
        sender_of=lambda _project_id: sender,
        vault=vault,
        clock=clock,
        randomness=random.Random(1),
        new_id=lambda: "1",
        disable_after=timedelta(days=5),
        hold=timedelta(seconds=30),
        deliver_at=lambda _due: None,
        probe_at=probes.append,
        delivering_wanted=asyncio.Event(),
        on_tried=lambda answer, state: told.append((answer, state)),
        on_first_try=waited.append,
    )
    async with database.opened():
        yield Bench(trying, sender, vault, probes, told, waited)


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


@pytest.mark.parametrize(
    ("answer", "error"), [(TAKES, None), (FAILS, "500"), (Answer(None, "refused: a-secret"), "no-answer")]
)
async def test_a_try_is_a_span_of_what_it_tells_and_the_receiver_gets_it(
    bench: Bench, answer: Answer, error: str | None
) -> None:
    about, tracer = TraceContext("a" * 32, "b" * 16, sampled=True), RecordingTracer()
    bench.sender.answer = answer
    delivery = await bench.delivery(1, traceparent=str(about), correlation_id="a-secret", body='"a-secret"')
    endpoint, trying = await bench.endpoint(HEALTHY), replace(bench.trying, tracer=tracer)
    await trying.deliver(delivery, endpoint)
    [span] = tracer.spans
    assert (span.name, span.parent, span.error) == ("webhook", about, error)
    assert [headers["traceparent"] for headers in bench.sender.sent] == [str(span.context)]
    assert "a-secret" not in repr(span) and "example.org" not in repr(span)
    await trying.deliver(replace(delivery, tries=1), endpoint)
    assert tracer.spans[1].context != span.context


@pytest.mark.parametrize("traceparent", [None, "nonsense"])
async def test_a_try_of_what_has_no_trace_brings_none(bench: Bench, traceparent: str | None) -> None:
    await bench.trying.deliver(await bench.delivery(1, traceparent=traceparent), await bench.endpoint(HEALTHY))
    assert ["traceparent" in headers for headers in bench.sender.sent] == [False]


async def test_what_came_of_a_try_is_told_once_although_another_replica_has_it_by_now(bench: Bench) -> None:
    endpoint, delivery = await bench.endpoint(HEALTHY), await bench.delivery(1)
    clock = bench.trying.clock
    assert isinstance(clock, SettableClock)
    for _replica in range(2):
        clock.advance(seconds=1)
        await bench.trying.deliver(delivery, endpoint)
    assert bench.told == [(TAKES, DeliveryState.DELIVERED)]


async def test_how_long_a_first_try_took_is_told_of_receivers_that_are_well(bench: Bench) -> None:
    clock = bench.trying.clock
    assert isinstance(clock, SettableClock)
    clock.advance(seconds=7)
    bench.sender.answer = FAILS
    well = await bench.endpoint(HEALTHY)
    await bench.trying.deliver(await bench.delivery(1), well)
    await bench.trying.deliver(await bench.found(1), well)
    await bench.trying.deliver(await bench.delivery(2), replace(well, health=Health(20, NOON, NOON)))
    assert bench.waited == [timedelta(seconds=7)]


def test_prometheus_is_told_the_same() -> None:
    registry, metrics = CollectorRegistry(), WebhookMetrics()
    for collector in metrics.collectors:
        registry.register(collector)
    for answer, state in ((TAKES, DeliveryState.DELIVERED), (FAILS, DeliveryState.WAITING)):
        metrics.tried(answer, state)
    metrics.tried(Answer(None, "no answer"), DeliveryState.FAILED)
    metrics.first_tried(timedelta(seconds=7))
    told = generate_latest(registry).decode()
    for name in ("accepted", "refused", "silent"):
        assert f'movie_tasks_webhook_tries_total{{answer="{name}"}} 1.0' in told
    for ended in ("delivered", "failed"):
        assert f'movie_tasks_webhook_deliveries_ended_total{{state="{ended}"}} 1.0' in told
    assert 'movie_tasks_webhook_first_try_seconds_bucket{le="5.0"} 0.0' in told
    assert 'movie_tasks_webhook_first_try_seconds_bucket{le="10.0"} 1.0' in told
