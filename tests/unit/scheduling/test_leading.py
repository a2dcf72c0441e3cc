"""Who leads: the decision, and two replicas over one table, each with its own clock."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from chassis.database import Database
from contracts.errors import DependencyUnavailable
from contracts.testing import SettableClock
from contracts.testing.examples import NOON
from hypothesis import given
from hypothesis import strategies as st
from scheduling.adapters.leaderships import SqlLeaderships
from scheduling.adapters.tables import Table
from scheduling.domain.leading import NOBODY, Leadership, Seen, claim, must_beat, see, still_leads
from scheduling.handlers.leading import Leading

LEASE = timedelta(seconds=5)


def beat(holder: str, number: int) -> Leadership:
    return Leadership(holder, number, NOON)


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("found", "claimed"),
    [
        (None, beat("me", 1)),
        (beat("me", 7), beat("me", 8)),
        (beat(NOBODY, 7), beat("me", 8)),
        (beat("other", 7), None),
    ],
    ids=["nobody yet", "me before", "given up", "somebody else"],
)
def test_what_is_claimed_at_once(found: Leadership | None, claimed: Leadership | None) -> None:
    assert claim("me", Seen(found, NOON), NOON, NOON, LEASE) == claimed


def test_another_is_waited_for_the_whole_lease_since_its_newest_beat() -> None:
    seen = see(None, beat("other", 1), NOON)
    seen = see(seen, beat("other", 2), NOON + after(4))
    seen = see(seen, beat("other", 2), NOON + after(8.9))
    assert claim("me", seen, NOON + after(8.9), NOON, LEASE) is None
    assert claim("me", seen, NOON + after(9), NOON, LEASE) == beat("me", 3)


def test_a_clock_set_back_begins_to_wait_anew() -> None:
    seen = see(see(None, beat("other", 1), NOON), beat("other", 1), NOON - after(3600))
    assert claim("me", seen, NOON - after(3600) + LEASE, NOON, LEASE) == beat("me", 2)


def test_a_leader_beats_thrice_in_a_lease_and_stops_before_anybody_can_take_over() -> None:
    assert [must_beat(NOON, NOON + after(seconds), LEASE) for seconds in (1, 2, -3600)] == [False, True, True]
    assert [still_leads(NOON, NOON + after(seconds), LEASE) for seconds in (3, 3.4, -3600)] == [True, False, False]


@given(st.floats(0, 5), st.floats(-3600, 3600))
def test_no_two_lead_however_their_clocks_differ(since_beat: float, skew: float) -> None:
    """The other has seen the beat after it was asked for, and waited by its own clock."""
    waited_since = NOON + after(skew)
    taken = claim("other", Seen(beat("me", 1), waited_since), waited_since + after(since_beat), NOON, LEASE)
    assert not (taken and still_leads(NOON, NOON + after(since_beat), LEASE))


class Replica:
    """A part in who leads, that counts what falls to it."""

    def __init__(self, name: str, leaderships: SqlLeaderships, skew: timedelta = timedelta()) -> None:
        self.clock = SettableClock(NOON + skew)
        self.leading = Leading(leaderships, self.clock, name, LEASE, self.check_bus)
        self.bus_is_away = False
        self.taken_over = 0
        self.led_while_preparing = False

    async def check_bus(self) -> None:
        if self.bus_is_away:
            raise DependencyUnavailable("the sidecar does not answer")

    async def prepare(self) -> None:
        self.led_while_preparing = self.leading.leads()

    def begin(self) -> None:
        self.taken_over += 1

    async def look(self) -> bool:
        await self.leading.look(self)
        return self.leading.leads()


@pytest.fixture
async def leaderships(database_url: Callable[[str], str]) -> AsyncIterator[SqlLeaderships]:
    database = Database(database_url("leading"), Table.metadata)
    async with database.opened():
        yield SqlLeaderships(database)


async def test_the_only_replica_leads_at_once_and_goes_on_leading(leaderships: SqlLeaderships) -> None:
    only = Replica("a", leaderships)
    for _ in range(20):
        assert await only.look()
        only.clock.advance(seconds=2)
    assert (only.taken_over, only.led_while_preparing) == (1, False)
    found = await leaderships.read()
    assert found is not None and (found.holder, found.beat) == ("a", 20)


@pytest.mark.parametrize("skew", [-60, 0, 60])
async def test_a_second_takes_over_within_the_lease_of_the_last_beat(leaderships: SqlLeaderships, skew: float) -> None:
    first, second = Replica("a", leaderships), Replica("b", leaderships, after(skew))
    assert await first.look()
    for _ in range(10):
        assert not await second.look()
        for replica in (first, second):
            replica.clock.advance(seconds=2)
        assert await first.look()
    taken = [await second.look()]
    for _ in range(5):
        second.clock.advance(seconds=1)
        taken.append(await second.look())
    assert taken == [False] * 5 + [True]
    first.clock.advance(seconds=4)
    assert not first.leading.leads(), "stopped by itself"
    assert not await first.look(), "and does not take back what another has"


async def test_who_cannot_reach_the_bus_lets_another_lead(leaderships: SqlLeaderships) -> None:
    first, second = Replica("a", leaderships), Replica("b", leaderships)
    assert await first.look()
    assert not await second.look()
    first.bus_is_away = True
    for replica in (first, second):
        replica.clock.advance(seconds=5)
    with pytest.raises(DependencyUnavailable):
        await first.look()
    assert not first.leading.leads()
    assert await second.look()


async def test_a_restarted_replica_takes_back_what_it_held_at_once(leaderships: SqlLeaderships) -> None:
    assert await Replica("a", leaderships).look()
    assert await Replica("a", leaderships).look()


async def test_who_goes_lets_another_take_over_at_once(leaderships: SqlLeaderships) -> None:
    first, second = Replica("a", leaderships), Replica("b", leaderships)
    assert await first.look()
    assert not await second.look()
    await first.leading.resign()
    assert not first.leading.leads()
    assert await second.look()


async def test_who_no_longer_leads_gives_nothing_up(leaderships: SqlLeaderships) -> None:
    first, second = Replica("a", leaderships), Replica("b", leaderships)
    await first.look()
    await second.look()
    second.clock.advance(seconds=5)
    assert await second.look()
    await first.leading.resign()
    found = await leaderships.read()
    assert found is not None and (found.holder, found.beat) == ("b", 2)


async def test_of_two_who_claim_the_same_one_leads(leaderships: SqlLeaderships) -> None:
    gone = beat("gone", 3)
    assert await leaderships.swap(None, gone)
    assert not await leaderships.swap(None, beat("late", 1))
    assert await leaderships.swap(gone, beat("a", 4))
    assert not await leaderships.swap(gone, beat("b", 4))


async def test_a_leader_that_missed_its_beats_prepares_anew(leaderships: SqlLeaderships) -> None:
    only = Replica("a", leaderships)
    await only.look()
    only.clock.advance(seconds=60)
    assert not only.leading.leads()
    assert await only.look()
    assert only.taken_over == 2


async def test_a_database_that_is_away_stops_a_leader_and_it_leads_again_by_itself(
    leaderships: SqlLeaderships, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = Replica("a", leaderships)
    await only.look()

    async def away() -> Leadership | None:
        raise DependencyUnavailable("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(leaderships, "read", away)
        only.clock.advance(seconds=2)
        with pytest.raises(DependencyUnavailable):
            await only.look()
        assert only.leading.leads(), "its lease has not run out"
        only.clock.advance(seconds=2)
        assert not only.leading.leads()
    assert await only.look()


@pytest.mark.parametrize("skew", [-60, 60])
async def test_replicas_share_the_leaders_time_and_go_on_with_it(leaderships: SqlLeaderships, skew: float) -> None:
    first, second = Replica("a", leaderships), Replica("b", leaderships, after(skew))
    for _ in range(2):
        await first.look()
        await second.look()
        for replica in (first, second):
            replica.clock.advance(seconds=2)
    assert second.leading.now() == first.leading.now() == first.clock.now()
    second.clock.advance(seconds=5)
    assert await second.look()
    assert second.leading.now() == first.clock.now() + after(5), "its own clock would have jumped by a minute"


async def test_clocks_that_nearly_agree_are_left_alone(leaderships: SqlLeaderships) -> None:
    first, second = Replica("a", leaderships), Replica("b", leaderships, after(1))
    for _ in range(2):
        await first.look()
        await second.look()
        first.clock.advance(seconds=2)
    assert second.leading.now() == second.clock.now()


async def test_the_time_of_a_leader_long_gone_is_not_taken_over(leaderships: SqlLeaderships) -> None:
    await Replica("a", leaderships).look()
    second = Replica("b", leaderships, timedelta(days=3))
    assert not await second.look()
    second.clock.advance(seconds=5)
    assert await second.look()
    assert second.leading.now() == second.clock.now()
