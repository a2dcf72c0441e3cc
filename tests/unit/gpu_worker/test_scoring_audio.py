"""The judge of sounds, on sounds of which it is known what they are."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from training import sounds
from training.scoring.audio import faults
from training.sounds import Length, Motion, Pitch, Sound, Waveform

BEEPS = Sound(Waveform.SQUARE, Pitch.MIDDLE, Motion.STEADY, 3, Length.SHORT)
TONE = Sound(Waveform.SINE, Pitch.LOW, Motion.STEADY, 0, None)


def heard(sound: Sound, seconds: float = 2.0, seed: int = 0) -> np.ndarray[Any, Any]:
    samples = sounds.synthesise(sound, seconds, np.random.default_rng(seed))
    return samples[: int(seconds * sounds.SAMPLE_RATE)]


@pytest.mark.parametrize("seconds", [2.0, 1.3, 0.75])
def test_everything_that_can_be_said_is_recognised(seconds: float) -> None:
    wrong = {sound: found for sound in sounds.every_sound() if (found := faults(heard(sound, seconds), sound))}
    assert not wrong


def test_recognised_through_noise_and_at_another_loudness() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        sound = sounds.draw(rng)
        samples = 0.4 * heard(sound, seed=int(rng.integers(1000)))
        assert not faults(samples + 0.004 * rng.standard_normal(samples.shape), sound), sound


@pytest.mark.parametrize(
    ("asked", "change", "fault"),
    [
        (TONE, {"waveform": Waveform.SQUARE}, "a square wave"),
        (TONE, {"waveform": Waveform.SAWTOOTH}, "a sawtooth wave"),
        (TONE, {"waveform": Waveform.NOISE}, "noise instead of a tone"),
        (TONE, {"pitch": Pitch.HIGH}, "high pitched"),
        (TONE, {"motion": Motion.RISING}, "rising"),
        (TONE, {"beeps": 2, "length": Length.LONG}, "2 sounds instead of 1"),
        (BEEPS, {"beeps": 4}, "4 sounds instead of 3"),
        (BEEPS, {"length": Length.LONG}, "long"),
        (BEEPS, {"motion": Motion.FALLING}, "falling"),
        (BEEPS, {"pitch": Pitch.LOW}, "low pitched"),
        (BEEPS, {"waveform": Waveform.SINE}, "a sine wave"),
        (BEEPS, {"beeps": 0, "length": None}, "1 sounds instead of 3"),
    ],
)
def test_says_what_is_wrong(asked: Sound, change: dict[str, Any], fault: str) -> None:
    assert faults(heard(replace(asked, **change)), asked) == [fault]


def test_silence_and_a_tone_that_ends_early() -> None:
    assert faults(np.zeros(32_000), TONE) == ["silence"]
    samples = heard(TONE)
    samples[16_000:] = 0
    assert faults(samples, TONE) == ["too short"]


def test_no_two_different_sounds_pass_for_each_other() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        one, other = sounds.draw(rng), sounds.draw(rng)
        if one != other:
            assert faults(heard(one), other), (one, other)


def test_held_out_sounds_are_never_trained_on() -> None:
    rng = np.random.default_rng(5)
    for _ in range(2000):
        sound = sounds.draw_for_training(rng)
        assert not sound.held_out
        assert not sounds.said_of(sound, rng).held_out
    share = np.mean([sound.held_out for sound in sounds.every_sound()])
    assert 0.05 < share < 0.15
