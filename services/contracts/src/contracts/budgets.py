"""How much of the GPUs a project may use, and what it has been charged."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

MOST_GPU_SECONDS = 1e10
"""Four thousand GPUs for a month."""


class Per(StrEnum):
    MONTH = "month"
    """Each calendar month in UTC, anew."""
    TOTAL = "total"
    """Once, with all that was ever charged."""


class Budget(BaseModel):
    """So many GPU-seconds per month, or in all. On a CPU, the engine's seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpu_seconds: Annotated[float, Field(gt=0, le=MOST_GPU_SECONDS, strict=True, allow_inf_nan=False)]
    per: Per

    def ends_at(self, now: datetime) -> datetime | None:
        """When it begins anew by itself."""
        return month_after(now) if self.per is Per.MONTH else None


class BudgetReport(BaseModel):
    """A project's budget, what is left of it, and what waits for more."""

    model_config = ConfigDict(frozen=True)

    gpu_seconds: float
    per: Per
    spent_gpu_seconds: float
    """What was charged in the month, or in all."""
    running_gpu_seconds: float
    """What is expected of running tasks beyond that."""
    left_gpu_seconds: float
    """What may still be started."""
    begins_anew_at: AwareDatetime | None
    waiting: int
    """Tasks that would use more than is left."""
    in_words: str


class Spending(BaseModel):
    """GPU-seconds that a project has been charged: in all, and in the month that begins at `month`.

    The stored document, which scheduling writes from its ledger for all who show it.
    """

    model_config = ConfigDict(frozen=True)

    month: AwareDatetime
    in_month: float = 0.0
    in_all: float = 0.0

    def of(self, budget: Budget, now: datetime) -> float:
        """What counts against the budget."""
        if budget.per is Per.TOTAL:
            return self.in_all
        return self.in_month if self.month == month_of(now) else 0.0


def left_of(budget: Budget, spending: Spending, expected: Iterable[float], now: datetime) -> float:
    """What may still be started. `expected` are the seconds that running tasks have not been charged yet.

    Below zero where runs took longer than was thought, or where the budget was lowered under them.
    """
    return budget.gpu_seconds - spending.of(budget, now) - sum(expected)


def month_of(moment: datetime) -> datetime:
    """The first moment of its calendar month in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(moment: datetime) -> datetime:
    month = month_of(moment)
    years, months = divmod(month.month, 12)
    return month.replace(year=month.year + years, month=months + 1)
