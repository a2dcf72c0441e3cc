"""What is watched live by somebody, as far as this worker has heard."""

from collections.abc import Iterable
from datetime import datetime

from contracts.events import WatchedPart


class Interest:
    """Lasts until a moment, which being shown again puts off."""

    def __init__(self) -> None:
        self._until: dict[WatchedPart, datetime] = {}

    def shown(self, parts: Iterable[WatchedPart], until: datetime, now: datetime) -> None:
        self._until = {part: end for part, end in self._until.items() if end > now}
        for part in parts:
            self._until[part] = max(until, self._until.get(part, until))

    def covers(self, project_id: str, task_id: str, tags: Iterable[str], now: datetime) -> bool:
        asked = [
            WatchedPart(project_id=project_id),
            WatchedPart(project_id=project_id, task_id=task_id),
            *(WatchedPart(project_id=project_id, tag=tag) for tag in tags),
        ]
        return any(self._until.get(part, now) > now for part in asked)
