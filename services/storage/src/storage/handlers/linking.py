"""Links that open one file for a while, for whoever has them: what a page shows to a person needs no key."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.sealed import Seal
from contracts.errors import Unauthenticated
from contracts.ports import Clock

PURPOSE = "media-link"


@dataclass(frozen=True)
class Linking:
    seal: Seal
    clock: Clock

    def link(self, media_id: str, project_id: str, lasting: timedelta) -> tuple[str, datetime]:
        """The token of a link to a file of the project, and until when it is good."""
        until = self.clock.now() + lasting
        return self.seal.seal({"project": project_id, "media": media_id}, until), until

    def project_of(self, token: str, media_id: str) -> str:
        """Whose file the link opens. Raises `Unauthenticated`, also for a link to another file."""
        claims = self.seal.open(token, self.clock.now())
        project_id = claims["project"]
        if claims["media"] != media_id or project_id is None:
            raise Unauthenticated("this link is for another file")
        return project_id
