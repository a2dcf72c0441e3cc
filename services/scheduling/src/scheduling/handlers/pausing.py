"""What operators have paused, which the matching leaves out."""

from dataclasses import dataclass

from contracts.pauses import EVERYTHING, Pauses

from scheduling.ports import RememberedPauses

NOTHING = Pauses()


@dataclass(frozen=True)
class Pausing:
    remembered: RememberedPauses

    async def now(self) -> Pauses:
        """Raises `DependencyUnavailable`: who cannot tell starts nothing."""
        return await self.remembered.get(EVERYTHING) or NOTHING
