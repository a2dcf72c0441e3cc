"""The world of the tiny audio model: tones, glides and beeps of a few waveforms, with the words for them."""

import hashlib
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np

SAMPLE_RATE = 16_000
FRAME = 2048
"""Samples to one latent frame of the autoencoder."""
FRAMES = 16
"""In a clip: 2.048 s, of which the pipeline gives what was asked for."""
LONGEST, SHORTEST = 2.0, 0.5
HELD_OUT_SHARE = 0.1
HELD_OUT_SALT = 30
"""Chosen for some of every kind to be among them."""
FADE = 96
"""Samples a sound takes to begin and to end, so that it does not click."""
HIGHEST = 7600.0
"""Harmonics above it are left out: half the sample rate, less a margin."""
BEAT = FRAME // 4
"""Samples from one moment at which something may begin or end to the next."""
STEP = SAMPLE_RATE / BEAT
"""Hz. All tones are multiples of it, also those that a glide goes through: every beat begins in the same phase,
which is what lets so small a model learn them."""

Array = np.ndarray[Any, Any]


class Waveform(StrEnum):
    SINE = "sine"
    SQUARE = "square"
    SAWTOOTH = "sawtooth"
    NOISE = "noise"


class Pitch(StrEnum):
    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class Motion(StrEnum):
    STEADY = "steady"
    RISING = "rising"
    FALLING = "falling"


class Length(StrEnum):
    SHORT = "short"
    LONG = "long"


NOTES = {Pitch.LOW: 8, Pitch.MIDDLE: 16, Pitch.HIGH: 32}
"""In steps: 250, 500 and 1000 Hz. What rises or falls spans the octave above its note."""
PARTS_OF_OCTAVE = 4
"""Through which it goes. The few notes this makes are shared by all pitches, and so learned soon."""
LOUDNESS = {Waveform.SINE: 0.6, Waveform.SQUARE: 0.4, Waveform.SAWTOOTH: 0.45, Waveform.NOISE: 0.15}
SHARE_OF_SLOT = {Length.SHORT: 0.25, Length.LONG: 0.7}


@dataclass(frozen=True)
class Sound:
    """What a prompt says of a sound; `None` is left to chance."""

    waveform: Waveform | None
    pitch: Pitch | None
    motion: Motion
    beeps: int
    """None means one tone from beginning to end."""
    length: Length | None
    """Of the beeps."""

    @property
    def kind(self) -> str:
        if self.waveform is Waveform.NOISE:
            return "noise"
        if self.beeps:
            return "beeps" if self.motion is Motion.STEADY else "beeps that climb or descend"
        return "tone" if self.motion is Motion.STEADY else "glide"

    @property
    def held_out(self) -> bool:
        """Whether it is kept from training. A sound of which less is said may be any of several, and never is."""
        said = "/".join(str(getattr(self, field.name)) for field in fields(self))
        return hashlib.sha256(f"{HELD_OUT_SALT}/{said}".encode()).digest()[0] < 256 * HELD_OUT_SHARE


def draw(rng: np.random.Generator) -> Sound:
    """A sound of which everything is said, any of them."""
    beeps = int(rng.choice([0, 2, 3, 4], p=[0.4, 0.2, 0.2, 0.2]))
    length = Length(rng.choice(list(Length))) if beeps else None
    if rng.random() < 0.06:
        return Sound(Waveform.NOISE, None, Motion.STEADY, beeps, length)
    return Sound(
        Waveform(rng.choice([Waveform.SINE, Waveform.SQUARE, Waveform.SAWTOOTH])),
        Pitch(rng.choice(list(Pitch))),
        Motion(rng.choice(list(Motion))),
        beeps,
        length,
    )


def draw_for_training(rng: np.random.Generator) -> Sound:
    while (sound := draw(rng)).held_out:
        pass
    return sound


def said_of(sound: Sound, rng: np.random.Generator) -> Sound:
    """The same sound with some of it left unsaid, never so that something held out is said."""
    if sound.waveform is Waveform.NOISE:
        return sound
    less = sound
    if rng.random() < 0.25:
        less = replace(less, waveform=None)
    if rng.random() < 0.25:
        less = replace(less, pitch=None)
    return sound if less.held_out else less


def every_sound() -> list[Sound]:
    """All that can be said, in a fixed order."""
    patterns: list[tuple[int, Length | None]] = [(0, None), *((n, length) for n in (2, 3, 4) for length in Length)]
    tones = (Waveform.SINE, Waveform.SQUARE, Waveform.SAWTOOTH, None)
    return [
        *(Sound(w, p, m, n, length) for w in tones for p in (*Pitch, None) for m in Motion for n, length in patterns),
        *(Sound(Waveform.NOISE, None, Motion.STEADY, n, length) for n, length in patterns),
    ]


def prompt(sound: Sound, rng: np.random.Generator) -> str:
    """One of several ways to say it."""
    words = _of_beeps(sound, rng) if sound.beeps else _of_a_tone(sound, rng)
    words = " ".join(words.split())
    if rng.random() < 0.3:
        words = f"{rng.choice(['the sound of', 'play', 'make'])} {words}"
    return words


def _of_a_tone(sound: Sound, rng: np.random.Generator) -> str:
    if sound.waveform is Waveform.NOISE:
        return str(rng.choice(["white noise", "noise", "a steady noise", "hissing noise"]))
    pitch, motion, tail = _pitch(sound.pitch, rng), "", ""
    if sound.motion is not Motion.STEADY:
        if rng.random() < 0.5:
            motion = sound.motion
        else:
            tail = {Motion.RISING: "going up", Motion.FALLING: "going down"}[sound.motion]
    elif rng.random() < 0.3:
        motion = "steady"
    adjectives = [pitch, motion] if rng.random() < 0.6 else [motion, pitch]
    return _with_article(f"{' '.join(adjectives)} {_tone_noun(sound.waveform, rng)} {tail}")


def _tone_noun(waveform: Waveform | None, rng: np.random.Generator) -> str:
    if waveform is None:
        return str(rng.choice(["tone", "sound"]))
    return f"{waveform} {rng.choice(['wave', 'tone'])}" if rng.random() < 0.7 else waveform


def _of_beeps(sound: Sound, rng: np.random.Generator) -> str:
    number = rng.choice([("two", "three", "four")[sound.beeps - 2], str(sound.beeps)], p=[0.8, 0.2])
    if sound.waveform is Waveform.NOISE:
        return f"{number} {sound.length} {rng.choice(['bursts of noise', 'noise bursts'])}"
    waveform = sound.waveform or ""
    noun = rng.choice([f"{waveform} beeps", f"{waveform} wave beeps" if waveform else "tones"], p=[0.75, 0.25])
    motion, tail = "", ""
    if sound.motion is not Motion.STEADY:
        if rng.random() < 0.5:
            motion = sound.motion
        else:
            tail = {Motion.RISING: "going up", Motion.FALLING: "going down"}[sound.motion]
    adjectives = [str(sound.length), _pitch(sound.pitch, rng), motion]
    rng.shuffle(adjectives)
    return f"{number} {' '.join(adjectives)} {noun} {tail}"


def _pitch(pitch: Pitch | None, rng: np.random.Generator) -> str:
    if pitch is None:
        return ""
    return f"{pitch} pitched" if rng.random() < 0.15 else pitch


def _with_article(words: str) -> str:
    words = words.strip()
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def synthesise(sound: Sound, seconds: float, rng: np.random.Generator) -> Array:
    """`FRAMES * FRAME` samples from -1 to 1: the sound in the first `seconds`, silence after it."""
    waveform = sound.waveform or Waveform(rng.choice([Waveform.SINE, Waveform.SQUARE, Waveform.SAWTOOTH]))
    pitch = sound.pitch or Pitch(rng.choice(list(Pitch)))
    samples = np.zeros(FRAMES * FRAME, np.float32)
    spans = _spans(sound, int(seconds * SAMPLE_RATE / BEAT))
    octaves = _octaves(sound, spans)
    for (begin, end), rise in zip(spans, octaves, strict=True):
        count = (end - begin) * BEAT
        notes = STEP * NOTES[pitch] * (1 + np.round(PARTS_OF_OCTAVE * rise) / PARTS_OF_OCTAVE)
        wave = rng.standard_normal(count) if waveform is Waveform.NOISE else _wave(waveform, np.repeat(notes, BEAT))
        samples[begin * BEAT : end * BEAT] = LOUDNESS[waveform] * wave * _envelope(count)
    return samples


def _spans(sound: Sound, beats: int) -> list[tuple[int, int]]:
    """The beats each tone or beep begins and ends with."""
    if not sound.beeps or sound.length is None:
        return [(0, beats)]
    slot = beats / sound.beeps
    on = max(1, round(SHARE_OF_SLOT[sound.length] * slot))
    starts = [round((n + 0.5) * slot - on / 2) for n in range(sound.beeps)]
    return [(start, start + on) for start in starts]


def _octaves(sound: Sound, spans: list[tuple[int, int]]) -> list[Array]:
    """How far above its note each tone or beep is, beat by beat; a glide changes from frame to frame."""
    beats = [end - begin for begin, end in spans]
    if sound.motion is Motion.STEADY:
        return [np.zeros(count) for count in beats]
    each = FRAME // BEAT
    climb = np.linspace(0, 1, sound.beeps or -(-beats[0] // each))
    if sound.motion is Motion.FALLING:
        climb = climb[::-1]
    if sound.beeps:
        return [np.full(count, rise) for count, rise in zip(beats, climb, strict=True)]
    return [np.repeat(climb, each)[: beats[0]]]


def _wave(waveform: Waveform, frequency: Array) -> Array:
    """Of harmonics, so that nothing is folded back from above half the sample rate."""
    phase = 2 * np.pi * (np.cumsum(frequency) - frequency[0]) / SAMPLE_RATE
    sine: Array = np.sin(phase)
    if waveform is Waveform.SINE:
        return sine
    total: Array = np.zeros_like(phase)
    # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x) saves a sine for every harmonic.
    before, now, twice = np.zeros_like(phase), sine, 2 * np.cos(phase)
    for harmonic in range(1, int(HIGHEST / frequency.min()) + 1):
        if waveform is Waveform.SAWTOOTH or harmonic % 2:
            total += now / harmonic * np.clip((HIGHEST - harmonic * frequency) / 200, 0, 1)
        before, now = now, twice * now - before
    total *= 2 / np.pi if waveform is Waveform.SAWTOOTH else 4 / np.pi
    return total


def _envelope(count: int) -> Array:
    envelope: Array = np.ones(count)
    ramp = np.sin(np.linspace(0, np.pi / 2, FADE)) ** 2
    envelope[:FADE], envelope[-FADE:] = ramp, ramp[::-1]
    return envelope
