"""Where a page of an endpoint's deliveries ends, and the cursor that says so."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import FieldProblem, InvalidRequest


@dataclass(frozen=True)
class Place:
    """Of a delivery among those of its endpoint."""

    created_at: datetime
    webhook_id: str

    @property
    def cursor(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.created_at.isoformat(), self.webhook_id]).encode()).decode()


def read_place(cursor: str) -> Place:
    """Raises `InvalidRequest` for what is no cursor."""
    try:
        at, webhook_id = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
        return Place(_moment(at), str(webhook_id))
    except (ValueError, TypeError, OverflowError, RecursionError):
        problem = FieldProblem(field="cursor", detail="is not one that this API has given out", given=cursor[:200])
        raise InvalidRequest("the cursor cannot be used", [problem]) from None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no moment")
    return moment.astimezone(UTC)
