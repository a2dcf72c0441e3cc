"""Tokens in addresses, as somebody tries them who has none."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from chassis.sealed import Seal
from contracts.errors import Unauthenticated
from contracts.testing.examples import NOON
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()
UNTIL = NOON + timedelta(seconds=60)
CLAIMS = {"project": "p1", "media": "m1"}


def test_what_was_sealed_is_opened_until_it_runs_out() -> None:
    seal = Seal(KEY, "links")
    token = seal.seal(CLAIMS, UNTIL)
    assert seal.open(token, UNTIL - timedelta(seconds=1)) == CLAIMS
    with pytest.raises(Unauthenticated):
        seal.open(token, UNTIL)


def test_a_token_of_another_purpose_or_another_key_is_none() -> None:
    token = Seal(KEY, "tickets").seal(CLAIMS, UNTIL)
    for seal in (Seal(KEY, "links"), Seal(NEW_KEY, "tickets")):
        with pytest.raises(Unauthenticated):
            seal.open(token, NOON)


def test_tokens_outlive_a_new_key_while_the_old_one_is_named() -> None:
    token = Seal(KEY, "links").seal(CLAIMS, UNTIL)
    assert Seal(f"{NEW_KEY}, {KEY}", "links").open(token, NOON) == CLAIMS


def test_what_the_same_key_encrypts_for_other_reasons_is_no_token() -> None:
    for secret in ("whsec_abc", '{"until": 9e9, "claims": {"project": "p1", "media": "m1"}}'):
        locked = Fernet(KEY).encrypt(secret.encode()).decode()
        with pytest.raises(Unauthenticated):
            Seal(KEY, "links").open(locked, NOON)


def test_a_token_needs_no_escaping_in_an_address() -> None:
    for length in range(8):
        token = Seal(KEY, "links").seal({"media": "m" * length}, UNTIL)
        assert quote(token, safe="") == token
        assert Seal(KEY, "links").open(token, NOON) == {"media": "m" * length}


@given(st.text(max_size=200))
def test_whatever_is_sent_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        Seal(KEY, "links").open(text, NOON)


@given(st.integers(0, 120), st.integers(1, 255))
def test_a_changed_token_is_refused(place: int, change: int) -> None:
    token = bytearray(Seal(KEY, "links").seal(CLAIMS, UNTIL).encode())
    token[place] = (token[place] ^ change) & 0x7F or 0x41
    try:
        opened = Seal(KEY, "links").open(token.decode(), NOON)
    except Unauthenticated:
        return
    # Bits of the last letter count for nothing.
    assert opened == CLAIMS
