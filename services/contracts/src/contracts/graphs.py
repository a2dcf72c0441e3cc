"""A graph: tasks that were asked for at once, some of which need the results of others. Its record is the only truth
about it; about each task its own record is."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from contracts.errors import Problem
from contracts.identifiers import GraphId, NodeName, ProjectId, TaskId


class Node(BaseModel):
    """One of the tasks of a graph. Its id follows from what its result is made of, so that it is another one whenever
    that changes, and only then."""

    model_config = ConfigDict(frozen=True)

    name: NodeName
    task_id: TaskId
    request: dict[str, JsonValue]
    """A task request, in which an input may be `{"from": …}` with the name of another node."""
    needs: dict[NodeName, TaskId] = {}
    """The tasks that are meant by the names in it."""
    revision: int = Field(ge=1)
    """The revision of the graph that asked for it first."""
    made: bool = False
    """False as long as the task is only intended: it may exist or not, and may have ended in vain before."""


class Graph(BaseModel):
    """The stored record. `submission.domain.graphs` makes new versions; tasks are made and cancelled as it says."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    id: GraphId
    project_id: ProjectId
    request_digest: str
    correlation_id: str
    title: str | None = None
    revision: int = Field(default=1, ge=1)
    """Rises with every change of what is asked for."""
    nodes: tuple[Node, ...]
    """Each behind those whose results it needs."""
    withdrawing: tuple[Node, ...] = ()
    """Are not wanted any more: to be cancelled, unless they have ended."""
    cancelled: bool = False
    problem: Problem | None = None
    """Why a node cannot be made."""
    created_at: AwareDatetime
    updated_at: AwareDatetime
