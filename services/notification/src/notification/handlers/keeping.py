"""What is kept of webhooks, for how long, and under which key."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from notification.domain.secrets import Secret
from notification.ports import Deliveries, Endpoint, Endpoints, Vault

log = structlog.get_logger(__name__)

AT_ONCE = 100


@dataclass(frozen=True)
class Keeping:
    endpoints: Endpoints
    deliveries: Deliveries
    vault: Vault
    deliveries_kept: timedelta

    async def tidy(self, now: datetime) -> None:
        await self.deliveries.prune(now - self.deliveries_kept)
        await self._lock_again()

    async def _lock_again(self) -> None:
        """Every secret lies under the first key, so that the others can be taken away."""
        after, locked_again, unreadable = "", 0, 0
        while page := await self.endpoints.page(after, AT_ONCE):
            for endpoint in page:
                found = [self.vault.relock(secret.locked) for secret in endpoint.secrets]
                unreadable += found.count(None)
                if any(new not in (None, secret.locked) for new, secret in zip(found, endpoint.secrets, strict=True)):
                    await self.endpoints.change(endpoint.id, self._locked_again)
                    locked_again += 1
            after = page[-1].id
        if locked_again or unreadable:
            log.warning(
                "webhook secrets were locked again with the first key", endpoints=locked_again, unreadable=unreadable
            )

    def _locked_again(self, endpoint: Endpoint) -> Endpoint:
        def under_first_key(secret: Secret) -> Secret:
            return replace(secret, locked=self.vault.relock(secret.locked) or secret.locked)

        return replace(endpoint, secrets=tuple(under_first_key(secret) for secret in endpoint.secrets))
