"""Tickets for the live feed, by Fernet: every replica has the keys, and none keeps anything."""

import base64
import json
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from notification.domain import Admission, Scope

PURPOSE = b"movie-tasks live ticket"
LONGEST = 2000


class FernetTickets:
    """Sealed by keys derived from the service's own, which encrypt other things: nothing of those is a ticket."""

    def __init__(self, keys: str) -> None:
        self._fernet = MultiFernet([_derived(key.strip()) for key in keys.split(",")])

    def seal(self, admission: Admission, now: datetime) -> str:
        scope = admission.scope
        content = json.dumps([admission.key_id, scope.project_id, scope.task_id, scope.tag]).encode()
        return self._fernet.encrypt_at_time(content, int(now.timestamp())).decode().rstrip("=")

    def unseal(self, ticket: str, now: datetime, within: timedelta) -> Admission | None:
        if len(ticket) > LONGEST or not ticket.isascii():
            return None
        padded = ticket + "=" * (-len(ticket) % 4)
        try:
            content = self._fernet.decrypt_at_time(padded, int(within.total_seconds()), int(now.timestamp()))
        except InvalidToken:
            return None
        key_id, project_id, task_id, tag = json.loads(content)
        return Admission(key_id, Scope(project_id, task_id, tag))


def _derived(key: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(base64.urlsafe_b64decode(key))
    return Fernet(base64.urlsafe_b64encode(derived))
