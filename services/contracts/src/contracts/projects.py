"""Projects and the API keys bound to them."""

import hashlib
import hmac
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, field_validator

from contracts.budgets import Budget, Per, month_of
from contracts.identifiers import ProjectId
from contracts.media import Sha256


class Project(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: ProjectId
    name: str
    active: bool = True
    created_at: AwareDatetime
    budget: Budget | None = None
    budget_since: AwareDatetime | None = None
    """When the budget was last set, changed or taken away."""

    @field_validator("budget", mode="before")
    @classmethod
    def _without_what_a_newer_version_knows(cls, budget: Any) -> Any:
        """What people send is refused for a field too many; what was kept is read all the same."""
        if isinstance(budget, dict):
            return {name: value for name, value in budget.items() if name in Budget.model_fields}
        return budget

    def budget_began(self, now: datetime) -> datetime | None:
        """When tasks that had waited for the budget could start again: with the month, or with a change of it."""
        monthly = self.budget is not None and self.budget.per is Per.MONTH
        began = (month_of(now) if monthly else None, self.budget_since)
        return max((moment for moment in began if moment is not None), default=None)


class ApiKey(BaseModel):
    """What is kept of a key. The key itself, `mt_<id>_<secret>`, is shown once and never stored.

    A plain SHA-256 is enough here: the secret is 256 random bits, so there is nothing to guess.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    project_id: ProjectId
    label: str
    digest: Sha256
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def opens_with(self, secret: str) -> bool:
        return hmac.compare_digest(self.digest, digest_of(secret))

    def valid_at(self, now: AwareDatetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_text(key_id: str, secret: str) -> str:
    return f"mt_{key_id}_{secret}"


def split_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a presented key, or None when it cannot be one."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != "mt" or not key_id.isalnum() or not key_id.isascii() or not secret or len(text) > 128:
        return None
    return key_id, secret
