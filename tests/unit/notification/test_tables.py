"""Endpoints and deliveries as replicas share them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database
from contracts.testing.examples import NOON
from contracts.webhooks import DeliveryState
from cryptography.fernet import Fernet
from notification.adapters.deliveries import SqlDeliveries
from notification.adapters.endpoints import SqlEndpoints
from notification.adapters.tables import Table
from notification.adapters.vault import FernetVault
from notification.domain.health import Health, Off
from notification.domain.places import Place
from notification.domain.secrets import Secret
from notification.handlers.keeping import Keeping
from notification.ports import Delivery, Endpoint, Full, Share, Tried, Wanted

Urls = Callable[[str], str]
LATER = NOON + timedelta(hours=1)
HOLD = timedelta(seconds=30)
NOBODY = Full([], [])


@dataclass
class Replica:
    endpoints: SqlEndpoints
    deliveries: SqlDeliveries

    async def take(
        self, now: datetime = LATER, full: Full = NOBODY, per_project: int = 10, limit: int = 50
    ) -> list[str]:
        taken = await self.deliveries.take(now, now + HOLD, Share(4, per_project), full, limit)
        return [delivery.webhook_id for delivery in taken]


@asynccontextmanager
async def replica(url: str) -> AsyncIterator[Replica]:
    database = Database(url, Table.metadata)
    async with database.opened():
        yield Replica(SqlEndpoints(database), SqlDeliveries(database))


def endpoint(name: str, project_id: str = "p1", **more: Any) -> Endpoint:
    secrets = (Secret("new", b"n", NOON), Secret("old", b"o", NOON, LATER))
    return Endpoint(name, project_id, "https://example.org/", ("*",), secrets, NOON, **more)


def delivery(number: int, endpoint_id: str = "e1", **more: Any) -> Delivery:
    at = NOON + timedelta(seconds=number)
    given = {"project_id": "p1", "state": DeliveryState.WAITING, "due": at, "created_at": at, **more}
    return Delivery(f"w{number:04}", endpoint_id, type="task.done.v1", body="{}", tries=0, **given)


async def test_an_endpoint_is_found_as_it_was_saved(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        whole = endpoint("e1", health=Health(7, NOON, LATER, Off.FAILURES, NOON, "because"), pinged_at=NOON)
        assert await one.endpoints.add(whole, 5)
        assert await one.endpoints.get("e1") == whole
        changed = await one.endpoints.change("e1", lambda found: replace(found, url="https://example.com/"))
        assert changed == replace(whole, url="https://example.com/")
        assert await one.endpoints.of_project("p1") == [changed]
        assert await one.endpoints.change("none", lambda found: found) is None


async def test_a_delivery_is_found_as_it_was_saved(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        tried = (Tried(NOON, None, "no \N{GREEK SMALL LETTER MU} answer", 15000), Tried(LATER, 204, "No Content", 3))
        whole = delivery(1, answers=tried, correlation_id="c", in_bulk=True)
        await one.deliveries.add([whole, delivery(2)])
        await one.deliveries.add([replace(whole, body="another")])
        assert await one.deliveries.get("e1", "w0001") == whole
        assert await one.deliveries.get("e2", "w0001") is None


async def test_no_change_is_lost_however_many_change_at_once(database_url: Urls) -> None:
    url = database_url("notification")
    async with replica(url) as first, replica(url) as second:
        await first.endpoints.add(endpoint("e1"), 5)

        def failed_once_more(found: Endpoint) -> Endpoint:
            return replace(found, health=replace(found.health, failures=found.health.failures + 1))

        both = [first.endpoints, second.endpoints] * 15
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.change("e1", failed_once_more) for each in both))
        found = await first.endpoints.get("e1")
        assert found is not None
        assert found.health.failures == 30


async def test_no_project_gets_more_endpoints_than_it_may_have(database_url: Urls) -> None:
    url = database_url("notification")
    async with replica(url) as first, replica(url) as second:
        both = [first.endpoints, second.endpoints]
        added = await asyncio.gather(*(both[number % 2].add(endpoint(f"e{number}"), 5) for number in range(12)))
        assert Counter(added) == {True: 5, False: 7}
        made = await both[0].of_project("p1")
        assert len(made) == 5
        await both[1].remove(made[2].id)
        assert await both[0].add(endpoint("e100"), 5)


async def test_nothing_is_taken_twice_and_no_more_than_a_share(database_url: Urls) -> None:
    url = database_url("notification")
    async with replica(url) as first, replica(url) as second:
        for name, project_id in (("e1", "p1"), ("e2", "p1"), ("e3", "p1"), ("e4", "p2")):
            await first.endpoints.add(endpoint(name, project_id), 5)
            await first.deliveries.add([delivery(n, name, project_id=project_id) for n in range(20)])
        taken = await first.deliveries.take(LATER, LATER + HOLD, Share(4, 10), NOBODY, 50)
        assert Counter(one.project_id for one in taken) == {"p1": 10, "p2": 4}
        assert max(Counter(one.endpoint_id for one in taken).values()) == 4
        assert {one.due for one in taken} == {LATER + HOLD}
        others = await second.deliveries.take(LATER, LATER + HOLD, Share(4, 10), NOBODY, 50)
        keys = [{(one.endpoint_id, one.webhook_id) for one in some} for some in (taken, others)]
        assert keys[0] & keys[1] == set()
        rest = await first.deliveries.take(LATER, LATER + HOLD, Share(4, 10), Full(["e1", "e2"], ["p2"]), 3)
        assert [one.endpoint_id for one in rest] == ["e3"] * 3


async def test_who_is_paused_or_off_is_left_alone(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.endpoints.add(endpoint("e1", health=Health(5, NOON, LATER)), 5)
        await one.endpoints.add(endpoint("e2", health=Health(off=Off.PROJECT)), 5)
        await one.deliveries.add([delivery(1, "e1"), delivery(2, "e2"), delivery(3, "gone")])
        assert await one.take() == []
        assert await one.deliveries.next_due() is None
        assert [each.id for each in await one.endpoints.take_probes(LATER, LATER + HOLD, 5)] == ["e1"]
        assert await one.endpoints.take_probes(LATER, LATER + HOLD, 5) == []
        assert await one.endpoints.next_probe() == LATER + HOLD


async def test_a_probe_takes_what_has_waited_longest_due_or_not(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.deliveries.add([delivery(n, due=LATER + timedelta(minutes=n)) for n in (3, 1, 2)])
        taken = [await one.deliveries.take_one("e1", LATER + timedelta(days=1)) for _ in range(2)]
        assert [each.webhook_id for each in taken if each] == ["w0001", "w0002"]
        assert await one.deliveries.take_one("e2", LATER) is None


async def test_fresh_deliveries_go_before_those_replayed_in_bulk(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.endpoints.add(endpoint("e1"), 5)
        ended = [delivery(n, state=DeliveryState.FAILED) for n in range(1200)]
        await one.deliveries.add(ended)
        wanted = Wanted(NOON, LATER, [DeliveryState.FAILED])
        places, replayed, place = 0, 0, None
        while places == 0 or place is not None:
            count, place = await one.deliveries.replay_next("e1", wanted, place)
            places, replayed = places + 1, replayed + count
        assert (places, replayed) == (3, 1200)
        await one.deliveries.add([delivery(3000), delivery(3001)])
        assert await one.take() == ["w3000", "w3001", "w0000", "w0001"]
        assert await one.deliveries.next_due() == NOON + timedelta(seconds=2)


async def test_what_is_wanted_is_counted_by_state(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.endpoints.add(endpoint("e1"), 5)
        await one.endpoints.add(endpoint("e2"), 5)
        states = [DeliveryState.FAILED, DeliveryState.FAILED, DeliveryState.DELIVERED, DeliveryState.WAITING]
        await one.deliveries.add([delivery(n, state=state) for n, state in enumerate(states)])
        ended = [DeliveryState.FAILED, DeliveryState.DELIVERED]
        wanted = Wanted(NOON, LATER, ended)
        counted = await one.deliveries.count("e1", wanted)
        assert counted == {DeliveryState.FAILED: 2, DeliveryState.DELIVERED: 1}
        assert await one.deliveries.count("e2", wanted) == {}
        assert await one.deliveries.count("e1", Wanted(NOON - HOLD, NOON, ended)) == {}


async def test_who_settles_what_somebody_else_has_by_now_changes_nothing(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.endpoints.add(endpoint("e1"), 5)
        await one.deliveries.add([delivery(1)])
        [held] = await one.deliveries.take(LATER, LATER + HOLD, Share(4, 10), NOBODY, 1)
        await one.deliveries.replay("e1", held.webhook_id, LATER + timedelta(seconds=1))
        failed = replace(held, state=DeliveryState.FAILED, due=LATER)
        assert not await one.deliveries.settle(held, failed)
        found = await one.deliveries.get("e1", held.webhook_id)
        assert found is not None
        assert (found.state, found.due) == (DeliveryState.WAITING, LATER + timedelta(seconds=1))


async def test_what_is_released_is_due_and_what_is_held_stays_held(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.endpoints.add(endpoint("e1"), 5)
        await one.deliveries.add([delivery(1), *(delivery(n, due=LATER + timedelta(hours=n)) for n in (2, 3))])
        assert await one.take() == ["w0001"]
        await one.deliveries.release("e1", LATER, LATER + HOLD)
        assert await one.take() == ["w0002", "w0003"]


async def test_pages_go_from_the_newest_on_also_among_equals(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        await one.deliveries.add([delivery(n, created_at=NOON) for n in range(7)])
        read, place = [], None
        while page := await one.deliveries.page("e1", None, place, 2):
            read += [found.webhook_id for found in page]
            place = Place(page[-1].created_at, page[-1].webhook_id)
        assert read == [f"w{n:04}" for n in range(6, -1, -1)]


async def test_old_ones_are_forgotten_unless_they_may_still_go_out(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        for name, health in (("on", Health()), ("paused", Health(5, NOON, NOON)), ("off", Health(off=Off.RECEIVER))):
            await one.endpoints.add(endpoint(name, health=health), 5)
            states = [(1, DeliveryState.WAITING), (2, DeliveryState.DELIVERED), (3, DeliveryState.FAILED)]
            await one.deliveries.add([delivery(n, name, state=state) for n, state in states])
            await one.deliveries.add([delivery(4, name, state=DeliveryState.DELIVERED, due=LATER)])
        await one.deliveries.prune(LATER)
        left = {name: [found.webhook_id for found in await one.deliveries.page(name, None, None, 9)]
                for name in ("on", "paused", "off")}  # fmt: skip
        assert left == {"on": ["w0004", "w0001"], "paused": ["w0004", "w0001"], "off": ["w0004"]}


async def test_secrets_are_locked_again_by_replicas_at_once_while_others_are_made(database_url: Urls) -> None:
    url, old, new = database_url("notification"), Fernet.generate_key().decode(), Fernet.generate_key().decode()
    before = FernetVault(old)
    async with replica(url) as first, replica(url) as second:
        names = [f"e{number}" for number in range(150)]
        for name in names:
            secrets = tuple(Secret(f"{name}-{n}", before.lock(f"whsec_{name}-{n}"), NOON) for n in range(2))
            await first.endpoints.add(replace(endpoint(name, project_id=name), secrets=secrets), 1)
        keeping = [
            Keeping(each.endpoints, each.deliveries, FernetVault(f"{new},{old}"), timedelta(days=1))
            for each in (first, second)
        ]

        async def rotate(name: str) -> None:
            third = Secret(f"{name}-2", before.lock(f"whsec_{name}-2"), NOON)
            await first.endpoints.change(name, lambda found: replace(found, secrets=(*found.secrets, third)))

        async with asyncio.timeout(100):
            await asyncio.gather(*(each.tidy(LATER) for each in keeping), *(rotate(name) for name in names[::10]))
            await keeping[1].tidy(LATER)
        alone = FernetVault(new)
        for number, name in enumerate(names):
            found = await second.endpoints.get(name)
            assert found is not None
            expected = [f"whsec_{name}-{n}" for n in range(2 if number % 10 else 3)]
            assert [alone.unlock(secret.locked) for secret in found.secrets] == expected


async def test_a_secret_that_no_key_opens_holds_nobody_else_up(database_url: Urls) -> None:
    async with replica(database_url("notification")) as one:
        old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
        locked = Secret("x", FernetVault(old).lock("whsec_x"), NOON)
        await one.endpoints.add(endpoint("e1"), 5)
        await one.endpoints.add(replace(endpoint("e2"), secrets=(locked,)), 5)
        vault = FernetVault(f"{new},{old}")
        await Keeping(one.endpoints, one.deliveries, vault, timedelta(days=1)).tidy(LATER)
        lost, found = await one.endpoints.get("e1"), await one.endpoints.get("e2")
        assert lost == endpoint("e1")
        assert found is not None
        assert FernetVault(new).unlock(found.secrets[0].locked) == "whsec_x"
