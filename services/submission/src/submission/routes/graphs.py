"""A project's graphs: tasks that are asked for at once, some of which need the results of others."""

from collections.abc import Callable, Mapping
from typing import Annotated, Self

from asgi_correlation_id import correlation_id
from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.errors import Problem
from contracts.graphs import Graph, Node
from contracts.identifiers import GraphId, ModelKey, NodeName, PlainText, ProjectId, TaskId, graph_id_for
from contracts.tasks import Phase, ProcessingProgress, Status, Task, gpu_seconds
from contracts.views import API, MediaView
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from submission.domain import LONGEST_PAGE, Sort, read_cursor
from submission.domain.graphs import needed_by, outlook_of, status_of
from submission.handlers.graphing import Graphing
from submission.routes.callers import idempotency_header, own_project

IdempotencyKey = Annotated[str | None, idempotency_header("graph")]


class GraphRequest(BaseModel):
    """Tasks by names of your own."""

    model_config = ConfigDict(extra="forbid")

    title: PlainText | None = Field(default=None, max_length=200)
    tasks: dict[NodeName, dict[str, JsonValue]] = Field(
        description='Task requests as for `POST /tasks/submit`; an input may be `{"from": …}` with the name of '
        "another task of the graph: its result, once it is done."
    )


class GraphRetry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: NodeName | None = Field(default=None, description="This one and all that need it; everything if left out.")


class NodeView(BaseModel):
    """A task of a graph. `phase` and what follows are None until something was heard of it."""

    model_config = ConfigDict(frozen=True)

    name: NodeName
    task_id: TaskId
    revision: int
    """The revision of the graph that asked for it first: a lower one than the graph's was kept at the last change."""
    model: ModelKey
    needs: list[NodeName]
    status: Status
    phase: Phase | None
    progress: ProcessingProgress | None
    attempt: int
    error: Problem | None
    result: MediaView | None
    task: str
    """Where it can be looked at."""

    @classmethod
    def of(cls, node: Node, task: Task | None) -> Self:
        return cls(
            name=node.name,
            task_id=node.task_id,
            revision=node.revision,
            model=str(node.request["model"]),
            needs=sorted(set(needed_by(node.request).values())),
            status=task.status if task else Status.PENDING,
            phase=task.phase if task else None,
            progress=task.progress if task else None,
            attempt=task.attempt if task else 0,
            error=task.error if task else None,
            result=MediaView.of(task.result) if task and task.result else None,
            task=f"{API}/tasks/{node.task_id}/status",
        )


class ListedGraph(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: GraphId
    project_id: ProjectId
    title: str | None
    revision: int
    """Rises with every change of what is asked for."""
    size: int
    cancelled: bool
    problem: Problem | None
    """Why one of its tasks cannot be made; tried again every quarter of an hour, and after a change."""
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @classmethod
    def of(cls, graph: Graph, **more: object) -> Self:
        shown = graph.model_dump(include=set(ListedGraph.model_fields) - {"size"})
        return cls(**shown, size=len(graph.nodes), **more)


class GraphView(ListedGraph):
    """A graph with its tasks, each behind those whose results it needs."""

    status: Status
    """`failed` once nothing goes on and not everything is done."""
    by_status: dict[Status, int]
    gpu_seconds: float
    p50_at: AwareDatetime | None
    """As likely as not it is done by then, by what was thought of its tasks when they were accepted."""
    p90_at: AwareDatetime | None
    tasks: list[NodeView]

    @classmethod
    def whole(cls, graph: Graph, tasks: Mapping[str, Task]) -> Self:
        nodes = [NodeView.of(node, tasks.get(node.task_id)) for node in graph.nodes]
        outlook = outlook_of(tasks.values())
        statuses = [node.status for node in nodes]
        return cls.of(
            graph,
            status=status_of(graph, tasks),
            by_status={status: statuses.count(status) for status in Status if status in statuses},
            gpu_seconds=sum(gpu_seconds(task) for task in tasks.values()),
            p50_at=outlook[0] if outlook else None,
            p90_at=outlook[1] if outlook else None,
            tasks=nodes,
        )


class GraphPage(BaseModel):
    """Graphs, and the cursor of the next page, if there is one."""

    model_config = ConfigDict(frozen=True)

    items: list[ListedGraph]
    next_cursor: str | None


def graph_routes(graphing: Graphing, project_of: ProjectOf, new_graph_id: Callable[[], str]) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/projects/{{project_id}}/graphs", tags=["graphs"], responses=answers(401, 404, 422, 503)
    )
    Own = Annotated[str, Depends(own_project(project_of))]  # noqa: N806 - a type, made of this service's own dependency

    async def shown(graph: Graph) -> GraphView:
        return GraphView.whole(graph, await graphing.tasks_of(graph))

    @router.post(
        "", status_code=202, summary="Ask for tasks that need each other's results", responses=answers(400, 403, 413)
    )
    async def create(project: Own, asked: GraphRequest, idempotency_key: IdempotencyKey = None) -> GraphView:
        graph_id = graph_id_for(project, idempotency_key) if idempotency_key else new_graph_id()
        correlation = correlation_id.get() or graph_id
        return await shown(await graphing.create(asked.title, asked.tasks, graph_id, project, correlation))

    @router.get("", summary="A project's graphs, the newest first")
    async def page(
        project: Own,
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> GraphPage:
        found, following = await graphing.page(project, limit, read_cursor(cursor, Sort.NEWEST) if cursor else None)
        items = [ListedGraph.of(graph) for graph in found]
        return GraphPage(items=items, next_cursor=str(following) if following else None)

    @router.get("/{graph_id}", summary="A graph and how its tasks are doing")
    async def look(graph_id: str, project: Own) -> GraphView:
        return await shown(await graphing.look(graph_id, project))

    @router.put(
        "/{graph_id}",
        status_code=202,
        summary="Ask for other tasks instead: only what its change makes stale is made again",
        responses=answers(400, 403, 413),
    )
    async def change(graph_id: str, asked: GraphRequest, project: Own) -> GraphView:
        return await shown(await graphing.change(graph_id, project, asked.title, asked.tasks))

    @router.delete("/{graph_id}", summary="Cancel all tasks of a graph that have not ended")
    async def cancel(graph_id: str, project: Own) -> GraphView:
        return await shown(await graphing.cancel(graph_id, project))

    @router.post(
        "/{graph_id}/retry",
        status_code=202,
        summary="Make again what failed, was cancelled or was skipped",
        responses=answers(400, 413),
    )
    async def retry(graph_id: str, project: Own, asked: GraphRetry | None = None) -> GraphView:
        return await shown(await graphing.retry(graph_id, project, asked.task if asked else None))

    return router
