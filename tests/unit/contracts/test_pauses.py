"""What is paused, decided over plain values."""

from datetime import timedelta

import pytest
from contracts.media import Medium
from contracts.pauses import REMEMBERED, Pause, PauseKind, Pauses
from contracts.testing.examples import NOON

IMAGES = Pause(kind=PauseKind.MEDIUM, target="image", since=NOON, by="ada")
HOUR = timedelta(hours=1)


def over(pauses: Pauses, project: str = "p1", medium: Medium = Medium.IMAGE, model: str = "tiny-image") -> bool:
    return pauses.over(project, medium, model) is not None


@pytest.mark.parametrize(
    ("kind", "target"),
    [(PauseKind.MEDIUM, "image"), (PauseKind.MODEL, "tiny-image"), (PauseKind.PROJECT, "p1")],
)
def test_a_pause_covers_its_own_and_nothing_else(kind: PauseKind, target: str) -> None:
    pauses = Pauses().paused(Pause(kind=kind, target=target, since=NOON, by="ada"))
    assert over(pauses)
    assert not over(pauses, "p2", Medium.VIDEO, "tiny-video")
    assert not over(Pauses())


def test_a_project_that_is_called_as_a_medium_is_none() -> None:
    pauses = Pauses().paused(Pause(kind=PauseKind.PROJECT, target="image", since=NOON, by="ada"))
    assert not over(pauses)
    assert over(pauses, "image")


def test_pausing_and_resuming_twice_change_nothing() -> None:
    once = Pauses().paused(IMAGES)
    assert once.paused(IMAGES.model_copy(update={"by": "bob", "since": NOON + HOUR})) is once
    ended = once.resumed(PauseKind.MEDIUM, "image", NOON + HOUR)
    assert not over(ended)
    assert ended.resumed(PauseKind.MEDIUM, "image", NOON + 2 * HOUR) is ended
    assert over(ended.paused(IMAGES))


def test_two_pauses_hold_until_both_are_resumed() -> None:
    both = Pauses().paused(IMAGES).paused(Pause(kind=PauseKind.PROJECT, target="p1", since=NOON, by="bob"))
    one = both.resumed(PauseKind.MEDIUM, "image", NOON + HOUR)
    assert over(one)
    assert not over(one, "p2")


def test_ageing_begins_when_it_was_resumed() -> None:
    ended = Pauses().paused(IMAGES).resumed(PauseKind.MEDIUM, "image", NOON + HOUR)
    assert ended.ages_from("p1", Medium.IMAGE, "tiny-image") == NOON + HOUR
    assert ended.ages_from("p1", Medium.VIDEO, "tiny-video") is None


def test_who_may_have_been_held_up_is_known() -> None:
    paused = Pauses().paused(IMAGES)
    ended = paused.resumed(PauseKind.MEDIUM, "image", NOON + HOUR)
    images = ("p1", Medium.IMAGE, "tiny-image")
    assert paused.held_up(*images, NOON)
    assert ended.held_up(*images, NOON + HOUR / 2)
    assert not ended.held_up(*images, NOON + HOUR)
    assert not ended.held_up("p1", Medium.VIDEO, "tiny-video", NOON)


def test_what_was_resumed_long_ago_is_forgotten() -> None:
    ended = Pauses().paused(IMAGES).resumed(PauseKind.MEDIUM, "image", NOON)
    later = NOON + REMEMBERED
    assert len(ended.paused(IMAGES.model_copy(update={"since": later})).pauses) == 1


def test_is_told_in_words() -> None:
    assert IMAGES.model_copy(update={"reason": "a new driver"}).in_words == (
        "Medium image has been paused since 2026-01-01 12:00 UTC by ada: a new driver. What runs goes on; "
        "what waits keeps its place."
    )
