"""Says dead letters again, once what kept them from being handled has been put right."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import CannotRedrive, NotFound, RetryableError
from contracts.operators import Operator
from contracts.ports import Clock, Publisher
from pydantic import JsonValue

from submission.domain.redriving import message_of
from submission.handlers.auditing import Audit
from submission.ports import Directory, KeptLetter, LetterFilter


@dataclass(frozen=True)
class Redriving:
    directory: Directory
    publisher: Publisher
    audit: Audit
    clock: Clock

    async def letters(self, wanted: LetterFilter, limit: int) -> Sequence[KeptLetter]:
        return await self.directory.letters(limit, wanted)

    async def letter(self, letter_id: str) -> KeptLetter:
        """Raises `NotFound`."""
        letter = await self.directory.letter(letter_id)
        if letter is None:
            raise NotFound(f"no dead letter {letter_id[:200]}")
        return letter

    async def redrive(self, letter_id: str, force: bool, operator: Operator) -> KeptLetter:
        """Publishes it to its topic, once unless `force` says again.

        Who dies after the mark and before the publication leaves a letter that says it was redriven and was not: force
        does it again, and who hears an event twice takes it for one. Raises `NotFound`, `CannotRedrive` and
        `DependencyUnavailable`.
        """
        before = await self.letter(letter_id)
        message = message_of(before.topic, before.event)
        if not await self.directory.mark_redriven(letter_id, self.clock.now(), operator.name, force):
            raise CannotRedrive(f"letter {letter_id[:200]} was redriven already; force does it again")
        try:
            await self.publisher.publish(message)
        except RetryableError:
            await self.directory.unmark_redriven(before)
            raise
        after = await self.letter(letter_id)
        await self.audit.note("dead-letter.redrive", letter_id, _shown(before), _shown(after), operator)
        return after


def _shown(letter: KeptLetter) -> dict[str, JsonValue]:
    """Not what the event says, which may be anything."""
    at = letter.redriven_at.isoformat() if letter.redriven_at else None
    return {"app": letter.app, "topic": letter.topic, "redriven_at": at, "redriven_by": letter.redriven_by}
