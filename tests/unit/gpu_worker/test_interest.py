from datetime import timedelta

from contracts.events import WatchedPart
from contracts.testing.examples import NOON
from gpu_worker.domain.interest import Interest

HERO = WatchedPart(project_id="p1", tag="hero")
TASK = "00000000-0000-4000-8000-000000000000"


def after(seconds: float) -> dict[str, object]:
    return {"project_id": "p1", "task_id": TASK, "tags": ["hero"], "now": NOON + timedelta(seconds=seconds)}


def test_lasts_as_long_as_it_was_said_to() -> None:
    interest = Interest()
    assert not interest.covers(**after(0))  # type: ignore[arg-type]
    interest.shown([HERO], NOON + timedelta(seconds=15), NOON)
    assert interest.covers(**after(14.9))  # type: ignore[arg-type]
    assert not interest.covers(**after(15))  # type: ignore[arg-type]


def test_another_replica_s_older_word_does_not_shorten_it() -> None:
    interest = Interest()
    interest.shown([HERO], NOON + timedelta(seconds=15), NOON)
    interest.shown([HERO], NOON + timedelta(seconds=5), NOON)
    assert interest.covers(**after(10))  # type: ignore[arg-type]


def test_what_is_over_is_forgotten() -> None:
    interest = Interest()
    for second in range(100):
        now = NOON + timedelta(seconds=second)
        interest.shown([WatchedPart(project_id=f"p{second}")], now + timedelta(seconds=2), now)
    assert len(interest._until) <= 2
