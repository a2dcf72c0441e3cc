"""Writes down what operators do."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.events import CloudEvent, OperatorActed
from contracts.operators import Operator
from contracts.ports import Clock
from pydantic import BaseModel, JsonValue

from submission.ports import AdminAction, Directory

Shown = BaseModel | Mapping[str, JsonValue] | None


@dataclass(frozen=True)
class Audit:
    directory: Directory
    clock: Clock

    async def note(self, action: str, target: str, before: Shown, after: Shown, operator: Operator) -> None:
        await self.directory.note(
            AdminAction(
                at=self.clock.now(),
                action=action,
                target=target,
                before=_shown(before),
                after=_shown(after),
                operator=operator.name,
                address=operator.address,
                correlation_id=operator.correlation_id,
            )
        )

    async def on_operator_acted(self, acted: OperatorActed, envelope: CloudEvent) -> None:
        """Keeps what is done in a service that has no audit, once however often it is heard."""
        await self.directory.note(AdminAction(**dict(acted), event_id=envelope.id))


def _shown(document: Shown) -> JsonValue:
    """The document without what could help to guess a key."""
    if isinstance(document, BaseModel):
        shown: JsonValue = document.model_dump(mode="json", exclude={"digest"})
        return shown
    return dict(document) if document is not None else None
