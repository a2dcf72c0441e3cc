"""FLAC files made by hand: what an encoder would never write."""

from collections.abc import Sequence

RATE_IN_HZ = 0b1101
SAMPLES_IN_16_BITS = 0b0111
SAMPLE = b"\x40\x00"


def flac(rate: int, *, channels: int = 1, samples: int = 64, frames: Sequence[int | None] = (None,)) -> bytes:
    """A file of frames that hold one loud value each; a number is the sample rate that the frame's own header says."""
    properties = (rate << 44 | (channels - 1) << 41 | 15 << 36 | samples * len(frames)).to_bytes(8, "big")
    info = samples.to_bytes(2, "big") * 2 + bytes(6) + properties + bytes(16)
    made = b"".join(_frame(number, said, channels, samples) for number, said in enumerate(frames))
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info + made


def _frame(number: int, rate: int | None, channels: int, samples: int) -> bytes:
    head = bytes(
        [0xFF, 0xF8, SAMPLES_IN_16_BITS << 4 | (0 if rate is None else RATE_IN_HZ), channels - 1 << 4 | 0b1000, number]
    )
    head += (samples - 1).to_bytes(2, "big") + (b"" if rate is None else rate.to_bytes(2, "big"))
    head += _remainder(head, 8, 0x07)
    body = head + (b"\x00" + SAMPLE) * channels
    return body + _remainder(body, 16, 0x8005)


def _remainder(content: bytes, bits: int, polynomial: int) -> bytes:
    """The check sum that a decoder expects after it."""
    found, highest, all_of_them = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in content:
        found ^= byte << bits - 8
        for _ in range(8):
            found = (found << 1 ^ polynomial if found & highest else found << 1) & all_of_them
    return found.to_bytes(bits // 8, "big")
