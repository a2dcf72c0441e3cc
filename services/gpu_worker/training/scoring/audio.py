"""Listens to a sound: its envelope gives the beeps, its spectra pitch, motion and waveform."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.sounds import SAMPLE_RATE, Length, Motion, Pitch, Sound, Waveform

Array = np.ndarray[Any, Any]

ENVELOPE_WINDOW = 128
SHORTEST_BEEP, SHORTEST_GAP = 0.02, 0.015
"""In seconds; anything shorter is no beep and no gap."""
AUDIBLE = 0.3
"""Of the loudness of the sound's loud parts."""
PITCH_WINDOW, SPECTRUM = 1024, 8192
LOW_BELOW, HIGH_ABOVE = 330.0, 790.0
"""Hz, of the lowest note: halfway between the bands, by ear."""
STEADY_WITHIN, MOVED_BY = 1.1, 1.35
GLIDE_PARTS = 6
"""Of a single tone, by the pitches of which it is told where it goes."""
SAME_NOTE = 0.03
"""Of the logarithm: what goes up may rest, but never go down by more."""
LONG_ABOVE = 0.47
"""Of the time from one beep to the next."""
NOISE_ABOVE = 0.1
"""Spectral flatness: 1 when all frequencies are as loud, near 0 for a tone."""
THIRD_HARMONIC_WITHIN = 6900.0


@dataclass(frozen=True)
class Slice:
    """What one short window of the sound is like: Hz, and its second and third harmonic beside the first."""

    pitch: float
    second: float
    third: float


def faults(samples: Array, sound: Sound) -> list[str]:
    """What is wrong with `samples`, `(count,)` from -1 to 1, as a rendering of `sound`; nothing when it is right."""
    spans = _spans(samples)
    if not spans:
        return ["silence"]
    noisy = _flatness(samples, spans) > NOISE_ABOVE
    if noisy != (sound.waveform is Waveform.NOISE):
        return ["noise instead of a tone" if noisy else "a tone instead of noise"]
    found = _faults_of_pattern(spans, len(samples), sound)
    if noisy:
        return found
    beeps = [_slices(samples[begin:end]) for begin, end in spans]
    return [*found, *_faults_of_pitch(beeps, sound), *_faults_of_waveform(beeps, sound)]


def _spans(samples: Array) -> list[tuple[int, int]]:
    """First and last sample of every stretch that can be heard."""
    usable = len(samples) // ENVELOPE_WINDOW * ENVELOPE_WINDOW
    power = np.square(samples[:usable].astype(np.float64)).reshape(-1, ENVELOPE_WINDOW).mean(1)
    # A period of the lowest note is as long as a window: smoothed, its loudness does not flutter.
    loudness = np.sqrt(np.convolve(power, np.full(3, 1 / 3), "same"))
    loud = np.quantile(loudness, 0.9)
    if loud < 0.01:
        return []
    audible = np.concatenate([[False], loudness > AUDIBLE * loud, [False]])
    edges = np.flatnonzero(audible[1:] != audible[:-1]) * ENVELOPE_WINDOW
    spans: list[tuple[int, int]] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if spans and begin - spans[-1][1] < SHORTEST_GAP * SAMPLE_RATE:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return [(begin, end) for begin, end in spans if end - begin >= SHORTEST_BEEP * SAMPLE_RATE]


def _flatness(samples: Array, spans: list[tuple[int, int]]) -> float:
    """Of the median window of all that is heard: its spectrum's geometric mean beside its arithmetic mean."""
    powers = [
        np.abs(np.fft.rfft(window * np.hanning(len(window)), 512)[8:-8]) ** 2 + 1e-12
        for begin, end in spans
        for window in _windows(samples[begin:end], 512)
    ]
    return float(np.median([np.exp(np.log(power).mean()) / power.mean() for power in powers]))


def _windows(samples: Array, size: int) -> list[Array]:
    """Overlapping by half; one of all samples when there are fewer than `size`."""
    starts = range(0, max(1, len(samples) - size + 1), size // 2)
    return [samples[start : start + size] for start in starts]


def _faults_of_pattern(spans: list[tuple[int, int]], count: int, sound: Sound) -> list[str]:
    if len(spans) != max(1, sound.beeps):
        return [f"{len(spans)} sounds instead of {max(1, sound.beeps)}"]
    heard = sum(end - begin for begin, end in spans) / count
    if not sound.beeps:
        return [] if heard > 0.85 else ["too short"]
    long = heard > LONG_ABOVE
    return [] if long == (sound.length is Length.LONG) else ["long" if long else "short"]


def _slices(samples: Array) -> list[Slice]:
    return [_slice(window) for window in _windows(samples, PITCH_WINDOW)]


def _slice(window: Array) -> Slice:
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window)), SPECTRUM))
    first = int(np.argmax(spectrum[40:])) + 40

    def loudest_near(harmonic: int) -> float:
        near = spectrum[round(first * harmonic * 0.95) : round(first * harmonic * 1.05) + 1]
        return float(near.max(initial=0) / spectrum[first])

    return Slice(first * SAMPLE_RATE / SPECTRUM, loudest_near(2), loudest_near(3))


def _faults_of_pitch(beeps: list[list[Slice]], sound: Sound) -> list[str]:
    pitches = [float(np.median([part.pitch for part in beep])) for beep in beeps]
    if len(beeps) == 1:
        track = [part.pitch for part in beeps[0]]
        pitches = [float(np.median(part)) for part in np.array_split(track, min(GLIDE_PARTS, len(track)))]
    found = []
    motion = _motion(pitches)
    if motion is not sound.motion:
        found.append(motion or "neither steady, rising nor falling")
    lowest = min(pitches)
    pitch = Pitch.LOW if lowest < LOW_BELOW else Pitch.HIGH if lowest > HIGH_ABOVE else Pitch.MIDDLE
    if sound.pitch not in (None, pitch):
        found.append(f"{pitch} pitched")
    return found


def _motion(pitches: list[float]) -> Motion | None:
    if max(pitches) < STEADY_WITHIN * min(pitches):
        return Motion.STEADY
    steps = np.diff(np.log(pitches))
    if (steps > -SAME_NOTE).all() and pitches[-1] > MOVED_BY * pitches[0]:
        return Motion.RISING
    if (steps < SAME_NOTE).all() and pitches[0] > MOVED_BY * pitches[-1]:
        return Motion.FALLING
    return None


def _faults_of_waveform(beeps: list[list[Slice]], sound: Sound) -> list[str]:
    parts = [part for beep in beeps for part in beep if 3 * part.pitch < THIRD_HARMONIC_WITHIN]
    if sound.waveform is None or not parts:
        return []
    second, third = (float(np.median([getattr(part, name) for part in parts])) for name in ("second", "third"))
    with_odd_harmonics = Waveform.SQUARE if third > 0.15 else Waveform.SINE
    waveform = Waveform.SAWTOOTH if second > 0.25 else with_odd_harmonics
    return [] if waveform is sound.waveform else [f"a {waveform} wave"]
