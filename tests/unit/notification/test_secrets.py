from datetime import timedelta

import pytest
from contracts.errors import InvalidRequest
from contracts.testing.examples import NOON
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from notification.adapters.vault import FernetVault
from notification.domain.secrets import MOST_SECRETS, Secret, rotated, valid

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))


def secret(name: str, at: timedelta = timedelta()) -> Secret:
    return Secret(name, name.encode(), NOON + at)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=30))
def test_the_newest_never_expires_and_no_rotation_prolongs_another(steps: list[tuple[int, int]]) -> None:
    found: tuple[Secret, ...] = (secret("0"),)
    now = timedelta()
    for number, (later, grace) in enumerate(steps, start=1):
        now += timedelta(seconds=later)
        ends = {one.id: one.expires_at for one in found}
        new = secret(str(number), now)
        try:
            after = rotated(found, new, timedelta(seconds=grace))
        except InvalidRequest:
            assert len(valid(found, NOON + now)) == MOST_SECRETS
            continue
        assert after[0] == new
        assert len(after) <= MOST_SECRETS
        assert valid(after, NOON + now) == after
        for one in after[1:]:
            assert one.expires_at is not None
            assert one.expires_at <= NOON + now + timedelta(seconds=grace)
            before = ends[one.id]
            assert before is None or one.expires_at <= before
        found = after


def test_expired_is_expired_to_the_moment() -> None:
    one = Secret("x", b"", NOON, NOON + timedelta(seconds=1))
    assert valid([one], NOON + timedelta(seconds=0.9)) == (one,)
    assert valid([one], NOON + timedelta(seconds=1)) == ()


def test_what_an_older_key_has_locked_is_locked_again_with_the_first() -> None:
    locked = FernetVault(OLD).lock("whsec_x")
    again = FernetVault(f"{NEW},{OLD}").relock(locked)
    assert again is not None
    assert FernetVault(NEW).unlock(again) == "whsec_x"
    assert FernetVault(OLD).unlock(again) is None


def test_what_the_first_key_has_locked_stays_as_it_is() -> None:
    vault = FernetVault(f"{NEW}, {OLD}")
    locked = vault.lock("whsec_x")
    assert vault.relock(locked) == locked


@pytest.mark.parametrize(
    "locked", [FernetVault(LOST).lock("whsec_x"), b"", b"not a token"], ids=["another key's", "empty", "no token"]
)
def test_what_no_key_opens_is_said_to_be_unreadable(locked: bytes) -> None:
    vault = FernetVault(f"{NEW},{OLD}")
    assert vault.unlock(locked) is None
    assert vault.relock(locked) is None
