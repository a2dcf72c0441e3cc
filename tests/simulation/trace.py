"""What happened, in order, with virtual times: for people to read, and as a digest to compare runs by."""

import hashlib
from collections import deque

KEPT = 4000


class Trace:
    def __init__(self, kept: int | None = KEPT) -> None:
        self._lines: deque[str] = deque(maxlen=kept)
        self._digest = hashlib.sha256()

    def add(self, at: float, who: str, what: str) -> None:
        line = f"{at:10.3f}  {who:<20} {what}"
        self._lines.append(line)
        self._digest.update(line.encode())

    def tail(self, lines: int) -> list[str]:
        return list(self._lines)[-lines:]

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()
