"""Links to previews of running tasks: made where progress is told, opened where files are served."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from contracts.errors import Unauthenticated
from contracts.views import API

from chassis.sealed import Seal

PURPOSE = "preview link"
PREVIEWS = f"{API}/media/previews"
OPENS_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True)
class Previewed:
    """What a link shows: the newest preview of one attempt of a project's task."""

    project_id: str
    task_id: str
    attempt: str


class PreviewLinks:
    """`keys` are Fernet keys, comma separated, which the service that makes links and the one that opens them share."""

    def __init__(self, keys: str) -> None:
        self._seal = Seal(keys, PURPOSE)

    def url(self, previewed: Previewed, now: datetime) -> str:
        """A path with query, which opens for a minute."""
        token = self._seal.seal(vars(previewed), now + OPENS_WITHIN)
        return f"{PREVIEWS}/{quote(previewed.task_id)}?link={token}"

    def open(self, token: str, task_id: str, now: datetime) -> Previewed:
        """Raises `Unauthenticated`, also for a link to another task."""
        claims = self._seal.open(token, now)
        if claims["task_id"] != task_id:
            raise Unauthenticated("this link is for another task")
        return Previewed(claims["project_id"] or "", task_id, claims["attempt"] or "")
