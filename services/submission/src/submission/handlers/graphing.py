"""What people do with graphs: ask for, look at, change, cancel and retry them. Tasks are made in the background."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from contracts.catalog import RequestValidator
from contracts.errors import AlreadyExists, FieldProblem, IdempotencyMismatch, InvalidRequest
from contracts.graphs import Graph, Node
from contracts.identifiers import node_task_id_for
from contracts.ports import Clock
from contracts.records import Records
from contracts.tasks import Task

from submission.domain import Cursor, Origin
from submission.domain.graphs import (
    Requests,
    cancelled,
    changed,
    graph_digest,
    in_node,
    in_order,
    names_of,
    needed_by,
    own_graph,
    resolved,
    retried,
)
from submission.handlers.accepting import Acceptance
from submission.ports import ReadModel, Watched

TAKEN_UP_WITHIN = timedelta(seconds=5)
"""When somebody looks at a graph that was about to be changed, should who changes it die."""


@dataclass(frozen=True)
class Graphing:
    records: Records[Graph]
    listed: Watched
    read_model: ReadModel
    validator: RequestValidator
    acceptance: Acceptance
    tend_soon: Callable[[], None]
    clock: Clock
    most_nodes: int

    async def create(
        self, title: str | None, requests: Requests, graph_id: str, project_id: str, correlation_id: str
    ) -> Graph:
        """The graph the request has become, now or when it was first sent.

        Raises `InvalidRequest`, `IdempotencyMismatch`, and what submitting a task raises.
        """
        digest = graph_digest(title, requests)
        graph = await self.records.get(graph_id)
        if graph is None:
            nodes = await self._nodes(requests, graph_id, project_id, ())
            graph = await self._create(title, nodes, digest, graph_id, project_id, correlation_id)
        if graph.request_digest != digest or graph.project_id != project_id:
            raise IdempotencyMismatch(
                f"graph {graph.id} was made with this key from another request; send a new key, or the same request"
            )
        # The record goes first: without its row nothing comes of it, and nobody was told that it exists.
        await self.listed.add(graph.id, project_id, graph.created_at, self.clock.now())
        self.tend_soon()
        return graph

    async def _create(
        self,
        title: str | None,
        nodes: Sequence[Node],
        digest: str,
        graph_id: str,
        project_id: str,
        correlation_id: str,
    ) -> Graph:
        now = self.clock.now()
        graph = Graph(
            id=graph_id,
            project_id=project_id,
            request_digest=digest,
            correlation_id=correlation_id,
            title=title,
            nodes=tuple(nodes),
            created_at=now,
            updated_at=now,
        )
        try:
            await self.records.create(graph_id, graph)
        except AlreadyExists:
            return await self.records.get(graph_id) or graph
        return graph

    async def look(self, graph_id: str, project_id: str) -> Graph:
        """Raises `NotFound`, for an unknown id and for another project's alike."""
        return own_graph(await self.records.get(graph_id), graph_id, project_id)

    async def tasks_of(self, graph: Graph) -> Mapping[str, Task]:
        """Those of which something was heard, by their ids."""
        return await self.read_model.of_ids([node.task_id for node in graph.nodes])

    async def page(self, project_id: str, limit: int, after: Cursor | None) -> tuple[Sequence[Graph], Cursor | None]:
        """The newest first."""
        ids, following = await self.listed.page(project_id, limit, after)
        found = [await self.records.get(graph_id) for graph_id in ids]
        return [graph for graph in found if graph is not None], following

    async def change(self, graph_id: str, project_id: str, title: str | None, requests: Requests) -> Graph:
        """Asks for these tasks instead. Those that make the same as before are kept. Raises what `create` raises."""
        graph = await self.look(graph_id, project_id)
        kept = {node.task_id for node in graph.nodes}
        nodes = await self._nodes(requests, graph_id, project_id, kept)
        return await self._save(graph_id, lambda found: changed(found, title, nodes, self.clock.now()))

    async def cancel(self, graph_id: str, project_id: str) -> Graph:
        """Cancels all tasks that have not ended. Raises `NotFound`."""
        await self.look(graph_id, project_id)
        return await self._save(graph_id, lambda found: cancelled(found, self.clock.now()))

    async def retry(self, graph_id: str, project_id: str, node: str | None) -> Graph:
        """Makes again what has ended in vain: of the node and all that need it, or of the whole graph.

        Raises `NotFound`, `InvalidRequest` and `ProjectInactive`.
        """
        graph = await self.look(graph_id, project_id)
        await self.acceptance.check_project(project_id)
        names = names_of(graph, node)
        return await self._save(graph_id, lambda found: retried(found, names, self.clock.now()))

    async def _save(self, graph_id: str, decide: Callable[[Graph], Graph]) -> Graph:
        """The look at it goes first: should this process die after the save, it is carried out all the same."""
        await self.listed.wake(graph_id, self.clock.now() + TAKEN_UP_WITHIN)
        graph = await self.records.change(graph_id, decide)
        await self.listed.wake(graph_id, self.clock.now())
        self.tend_soon()
        return graph

    async def _nodes(self, requests: Requests, graph_id: str, project_id: str, kept: Collection[str]) -> list[Node]:
        """Checked as if each were submitted by itself; what needs a node that is refused is not looked at."""
        await self.acceptance.check_project(project_id)
        task_ids: dict[str, str] = {}
        planned: dict[str, Task] = {}
        wrong: list[FieldProblem] = []
        for name in in_order(requests, self.most_nodes):
            if not task_ids.keys() >= set(needed_by(requests[name]).values()):
                continue
            raw = resolved(requests[name], task_ids)
            try:
                task_id = node_task_id_for(graph_id, name, self.validator.content(raw))
                origin = Origin(project_id, task_id, graph_id)
                planned[task_id] = await self.acceptance.check_node(raw, origin, planned, kept=task_id in kept)
            except InvalidRequest as error:
                wrong += [in_node(name, problem) for problem in error.errors]
            else:
                task_ids[name] = task_id
        if wrong:
            raise InvalidRequest(f"{len(wrong)} field(s) of the graph's tasks cannot be", wrong)
        return [
            Node(
                name=name,
                task_id=task_id,
                request=dict(requests[name]),
                needs={other: task_ids[other] for other in needed_by(requests[name]).values()},
                revision=1,
            )
            for name, task_id in task_ids.items()
        ]
