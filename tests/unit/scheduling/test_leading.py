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


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("found", "claimed"),
    [
        (None, Leadership("me", 1)),
        (Leadership("me", 7), Leadership("me", 8)),
        (Leadership(NOBODY, 7), Leadership("me", 8)),
        (Leadership("other", 7), None),
    ],
    ids=["nobody yet", "me before", "given up", "somebody else"],
)
def test_what_is_claimed_at_once(found: Leadership | None, claimed: Leadership | None) -> None:
    assert claim("me", Seen(found, NOON), NOON, LEASE) == claimed


def test_another_is_waited_for_the_whole_lease_since_its_newest_beat() -> None:
    seen = see(None, Leadership("other", 1), NOON)
    seen = see(seen, Leadership("other", 2), NOON + after(4))
    seen = see(seen, Leadership("other", 2), NOON + after(8.9))
    assert claim("me", seen, NOON + after(8.9), LEASE) is None
    assert claim("me", seen, NOON + after(9), LEASE) == Leadership("me", 3)


def test_a_clock_set_back_begins_to_wait_anew() -> None:
    seen = see(see(None, Leadership("other", 1), NOON), Leadership("other", 1), NOON - after(3600))
    assert claim("me", seen, NOON - after(3600) + LEASE, LEASE) == Leadership("me", 2)


def test_a_leader_beats_thrice_in_a_lease_and_stops_before_anybody_can_take_over() -> None:
    assert [must_beat(NOON, NOON + after(seconds), LEASE) for seconds in (1, 2, -3600)] == [False, True, True]
    assert [still_leads(NOON, NOON + after(seconds), LEASE) for seconds in (3, 3.4, -3600)] == [True, False, False]


@given(st.floats(0, 5), st.floats(-3600, 3600))
def test_no_two_lead_however_their_clocks_differ(since_beat: float, skew: float) -> None:
    """The other has seen the beat after it was asked for, and waited by its own clock."""
    waited_since = NOON + after(skew)
    taken = claim("other", Seen(Leadership("me", 1), waited_since), waited_since + after(since_beat), LEASE)
    assert not (taken and still_leads(NOON, NOON + after(since_beat), LEASE))


class Replica:
    """A part in who leads, that counts what falls to it."""

    def __init__(self, name: str, leaderships: SqlLeaderships, skew: timedelta = timedelta()) -> None:
        self.clock = SettableClock(NOON + skew)
        self.leading = Leading(leaderships, self.clock, name, LEASE)
        self.taken_over = 0
        self.led_while_preparing = False

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
    assert await leaderships.read() == Leadership("a", 20)


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
    assert await leaderships.read() == Leadership("b", 2)


async def test_of_two_who_claim_the_same_one_leads(leaderships: SqlLeaderships) -> None:
    gone = Leadership("gone", 3)
    assert await leaderships.swap(None, gone)
    assert not await leaderships.swap(None, Leadership("late", 1))
    assert await leaderships.swap(gone, Leadership("a", 4))
    assert not await leaderships.swap(gone, Leadership("b", 4))


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
