"""Who may watch what: by an API key, or by a ticket that was made with one.

A browser can send no header with `EventSource` or `WebSocket`, and an address is written down in many
places. So what stands in it is a ticket that opens one feed, soon, and nothing else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.sealed import Claims, Seal
from contracts.errors import InvalidRequest, NotFound, Unauthenticated
from contracts.ports import Clock

from notification.domain.live import Admission, Scope
from notification.handlers.watching import Watching
from notification.ports import Keys

PURPOSE = "live ticket"
OPENS_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True)
class Wanted:
    """What somebody asks to watch; the project is the key's where none is named."""

    project_id: str | None = None
    task_id: str | None = None
    tag: str | None = None

    def is_of(self, scope: Scope) -> bool:
        same_project = self.project_id in (None, scope.project_id)
        return same_project and (self.task_id, self.tag) == (scope.task_id, scope.tag)


@dataclass(frozen=True)
class Admitting:
    keys: Keys
    seal: Seal
    watching: Watching
    clock: Clock

    async def with_key(self, presented: str | None, wanted: Wanted) -> Admission:
        """Raises `Unauthenticated`, `NotFound`, `InvalidRequest` and `DependencyUnavailable`."""
        key = await self.keys.key_of(presented)
        if wanted.project_id not in (None, key.project_id):
            raise NotFound(f"no project {wanted.project_id}")
        if wanted.task_id is not None and wanted.tag is not None:
            raise InvalidRequest("a live feed is of one task or of one tag, not of both")
        scope = Scope(key.project_id, wanted.task_id, wanted.tag)
        await self.watching.check(scope)
        return Admission(key.id, scope)

    async def with_ticket(self, ticket: str, wanted: Wanted | None) -> Admission:
        """For what the ticket was made for, whatever that is when nothing in particular is wanted.

        Raises `Unauthenticated`, the same for every reason, and `DependencyUnavailable`.
        """
        admission = _admission(self.seal.open(ticket, self.clock.now()))
        if wanted is not None and not wanted.is_of(admission.scope):
            raise Unauthenticated("this takes a ticket that was made for it within the last minute")
        await self.confirm(admission)
        await self.watching.check(admission.scope)
        return admission

    async def ticket(self, presented: str | None, wanted: Wanted) -> tuple[str, datetime, Scope]:
        """A ticket, until when it opens, and what. Raises the same as `with_key`."""
        admission = await self.with_key(presented, wanted)
        until = self.clock.now() + OPENS_WITHIN
        return self.seal.seal(_claims(admission), until), until, admission.scope

    async def confirm(self, admission: Admission) -> None:
        """Raises `Unauthenticated` once the key is valid no more, and `DependencyUnavailable`."""
        key = await self.keys.by_id(admission.key_id)
        if key.project_id != admission.scope.project_id:
            raise Unauthenticated("the key is another project's")


def _claims(admission: Admission) -> Claims:
    return {"key": admission.key_id, **vars(admission.scope)}


def _admission(claims: Claims) -> Admission:
    return Admission(claims["key"] or "", Scope(claims["project_id"] or "", claims["task_id"], claims["tag"]))
