"""What operators do with the webhooks of any project: each act is said, for the audit, before it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.errors import NotFound
from contracts.events import OperatorActed, operator_acted
from contracts.operators import Operator
from contracts.ports import Clock, Publisher
from contracts.topics import App
from contracts.webhooks import BulkReplay, DeliveryState, EndpointState, ReplayReport
from pydantic import JsonValue

from notification.domain.health import HEALTHY
from notification.domain.places import Place
from notification.handlers.registering import Registering
from notification.handlers.replaying import Replaying
from notification.ports import Delivery, Endpoint, Projects, Wanted

Shown = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Operating:
    """Raises `NotFound` for an unknown project, an endpoint of another one and a delivery to another endpoint.

    An act that cannot be said is not done: then it raises `DependencyUnavailable`. Who dies after it was said leaves
    word in the audit of what was begun. All of it can be repeated, and a receiver knows again what it has.
    """

    projects: Projects
    registering: Registering
    replaying: Replaying
    publisher: Publisher
    clock: Clock

    async def endpoints(self, project_id: str) -> Sequence[Endpoint]:
        if await self.projects.get(project_id) is None:
            raise NotFound(f"no project {project_id}")
        return await self.registering.list(project_id)

    async def log(
        self, project_id: str, endpoint_id: str, state: DeliveryState | None, before: Place | None, limit: int
    ) -> tuple[Sequence[Delivery], Place | None]:
        """A page, the newest first, and where the next one begins."""
        return await self.replaying.log(project_id, endpoint_id, state, before, limit)

    async def delivery(self, project_id: str, endpoint_id: str, webhook_id: str) -> Delivery:
        return await self.replaying.delivery(project_id, endpoint_id, webhook_id)

    async def replay(self, project_id: str, endpoint_id: str, webhook_id: str, operator: Operator) -> Delivery:
        """It goes out again under its own id. Raises `EndpointDisabled`, too."""
        await self.replaying.enabled(project_id, endpoint_id)
        found = await self.delivery(project_id, endpoint_id, webhook_id)
        await self._say(
            "webhook.replay",
            (project_id, endpoint_id, webhook_id),
            {"state": found.state.value, "tries": found.tries},
            {"state": DeliveryState.WAITING.value, "tries": 0},
            operator,
        )
        return await self.replaying.replay(project_id, endpoint_id, webhook_id)

    async def replay_all(
        self, project_id: str, endpoint_id: str, request: BulkReplay, operator: Operator
    ) -> ReplayReport:
        """Each goes out after what is fresh. Raises `InvalidRequest` and `EndpointDisabled`, too."""
        wanted = self.replaying.wanted(request.since, request.until, request.states)
        await self.replaying.enabled(project_id, endpoint_id)
        counted = await self.replaying.deliveries.count(endpoint_id, wanted)
        replayed = 0
        if counted and not request.dry_run:
            await self._say("webhooks.replay", (project_id, endpoint_id), *_change(wanted, counted), operator)
            replayed = await self.replaying.replay_all(project_id, endpoint_id, wanted)
        return ReplayReport(
            dry_run=request.dry_run, matched=sum(counted.values()), by_state=dict(counted), replayed=replayed
        )

    async def enable(self, project_id: str, endpoint_id: str, operator: Operator) -> Endpoint:
        """What waits for it goes out, whoever has switched it off and for what."""
        found = await self.registering.own(project_id, endpoint_id)
        if found.health == HEALTHY:
            return found
        before = {"state": found.health.state.value, "disabled_because": found.health.disabled_because}
        after = {"state": EndpointState.HEALTHY.value, "disabled_because": None}
        await self._say("webhooks.enable", (project_id, endpoint_id), before, after, operator)
        return await self.registering.change(project_id, endpoint_id, enabled=True)

    async def _say(self, action: str, target: tuple[str, ...], before: Shown, after: Shown, operator: Operator) -> None:
        acted = OperatorActed(
            at=self.clock.now(),
            action=action,
            target="/".join(target),
            before=dict(before),
            after=dict(after),
            operator=operator.name,
            address=operator.address,
            correlation_id=operator.correlation_id,
        )
        await self.publisher.publish(operator_acted(acted, App.NOTIFICATION))


def _change(wanted: Wanted, counted: Mapping[DeliveryState, int]) -> tuple[Shown, Shown]:
    """How many there are of what state, before and after."""
    before: dict[str, JsonValue] = {state.value: count for state, count in counted.items()}
    which: dict[str, JsonValue] = {"since": wanted.since.isoformat(), "until": wanted.until.isoformat()}
    return before, dict.fromkeys(before, 0) | {DeliveryState.WAITING.value: sum(counted.values())} | which
