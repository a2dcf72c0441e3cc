"""Graphs are tended in the background: what their records intend is done.

Every step can be repeated by anybody, as with series: a task's id follows from what its result is made of, and what
was done is noted by compare-and-swap. Once all is made, who needs whose result is scheduling's matter.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from contracts.errors import IllegalTransition, PermanentError, Problem
from contracts.graphs import Graph, Node
from contracts.ports import Clock
from contracts.records import Records
from contracts.tasks import GraphPart, Phase, Task

from submission.domain import Origin
from submission.domain.graphs import carried_out, made, node_digest, resolved, withdrawn
from submission.handlers.accepting import Acceptance
from submission.handlers.changing import TaskChanges
from submission.handlers.rounds import look_at_due
from submission.ports import Watched

log = structlog.get_logger(__name__)

LOOK_AFTER = timedelta(minutes=15)
"""When to try again what was refused."""


@dataclass(frozen=True)
class GraphTending:
    records: Records[Graph]
    listed: Watched
    acceptance: Acceptance
    changes: TaskChanges
    clock: Clock
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by who wants a look before the alarm rings."""

    async def tend_due(self, now: datetime) -> datetime | None:
        """Tends all graphs that are due; says when the next one is."""
        return await look_at_due(self.listed, self.tend, self._rest, "graph", now)

    async def _rest(self, graph_id: str, taken_until: datetime) -> None:
        await self.listed.put_off(graph_id, taken_until, None)

    async def tend(self, graph_id: str) -> datetime | None:
        """Does what the graph intends; says when to look at it next, or None when all is done."""
        graph = await self.records.get(graph_id)
        if graph is None:
            return None
        if graph.withdrawing:
            for node in graph.withdrawing:
                await self._withdraw(graph, node)
            gone = {node.task_id for node in graph.withdrawing}
            graph = await self.records.change(graph_id, lambda found: withdrawn(found, gone))
        if not graph.cancelled:
            graph = await self._make(graph)
        return None if carried_out(graph) else self.clock.now() + LOOK_AFTER

    async def _make(self, graph: Graph) -> Graph:
        """Makes what is intended, up to the first that is refused: what follows may need it."""
        there: set[str] = set()
        problem: Problem | None = None
        for node in graph.nodes:
            if node.made:
                continue
            try:
                task = await self._make_node(graph, node)
                if task.phase.terminal and task.phase is not Phase.DONE:
                    await self._revive(graph, node)
            except PermanentError as error:
                problem = error.problem()
                log.warning("a node cannot be made", graph_id=graph.id, node=node.name, reason=error.detail)
                break
            there.add(node.task_id)
        return await self.records.change(graph.id, lambda found: made(found, there, problem))

    async def _make_node(self, graph: Graph, node: Node) -> Task:
        raw = resolved(node.request, node.needs)
        origin = Origin(graph.project_id, node.task_id, graph.correlation_id)
        part = GraphPart(id=graph.id, node=node.name)
        return await self.acceptance.make_node(raw, origin, part, node_digest(node))

    async def _revive(self, graph: Graph, node: Node) -> None:
        with suppress(IllegalTransition):  # somebody else was quicker
            await self.changes.retry(node.task_id, graph.project_id)
        # Somebody may have cancelled it because the graph was changed since it was read here.
        latest = await self.records.get(graph.id)
        if latest is None or latest.cancelled or node.task_id not in {one.task_id for one in latest.nodes}:
            await self.changes.cancel(node.task_id, graph.project_id)

    async def _withdraw(self, graph: Graph, node: Node) -> None:
        try:
            if not node.made:
                # Somebody may be about to make it. Once it exists and is cancelled, nobody can.
                await self._make_node(graph, node)
            await self.changes.cancel(node.task_id, graph.project_id)
        except PermanentError as error:
            log.info("nothing to withdraw", graph_id=graph.id, node=node.name, reason=error.detail)
