"""Rounds over records that intend something: each that is due is looked at by one replica, and put off meanwhile."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError

from submission.ports import Watched

log = structlog.get_logger(__name__)

LOOKED_AT_WITHIN = timedelta(seconds=15)
"""After so long, somebody else takes up what was not finished. Two who are at the same do nothing twice."""
AGAIN_AFTER = timedelta(seconds=2)
"""How long what could not be done waits, because something did not answer."""
AT_ONCE = 50


async def look_at_due(
    watched: Watched,
    look: Callable[[str], Awaitable[datetime | None]],
    over: Callable[[str, datetime], Awaitable[None]],
    what: str,
    now: datetime,
) -> datetime | None:
    """Looks at all that are due; says when the next one is.

    `look` says when to look at a record again; what becomes of one that is not to be looked at again, `over` decides,
    which is told until when it was taken. `what` is for the log.
    """
    until = now + LOOKED_AT_WITHIN
    while taken := await watched.take(now, until, AT_ONCE):
        for record_id in taken:
            try:
                following = await look(record_id)
            except RetryableError as error:
                log.warning(f"a {what} is put off", id=record_id, reason=error.detail)
                await watched.put_off(record_id, until, now + AGAIN_AFTER)
            except Exception:
                # Its turn comes again when its time has run out; the others do not wait for it.
                log.exception(f"looking at a {what} met a bug", id=record_id)
            else:
                if following is None:
                    await over(record_id, until)
                else:
                    await watched.put_off(record_id, until, following)
    return await watched.next_due()
