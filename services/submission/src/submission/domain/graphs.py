"""What becomes of a graph: plain functions from its record to the next, and the order in which its tasks can be made.

As with series, the record says what is intended before anything is done about it: which nodes are to be made, and
which tasks are not wanted any more. Whoever carries it out may die at any point; the next one does the rest.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any

from contracts.digests import digest_of_json
from contracts.errors import FieldProblem, InvalidRequest, NotFound, Problem
from contracts.graphs import Graph, Node
from contracts.tasks import Phase, Status, Task
from pydantic import JsonValue

FROM = "from"
Requests = Mapping[str, Mapping[str, JsonValue]]


def own_graph(graph: Graph | None, graph_id: str, project_id: str) -> Graph:
    """The graph, if it is the project's. Raises `NotFound`, for an unknown id and for another project's alike."""
    if graph is None or graph.project_id != project_id:
        raise NotFound(f"no graph {graph_id} in this project")
    return graph


def in_order(requests: Requests, most: int) -> list[str]:
    """The names, each behind those whose results it needs. Raises `InvalidRequest`."""
    if not 1 <= len(requests) <= most:
        wrong = FieldProblem(
            field="tasks", detail="is no number of tasks", allowed={"min": 1, "max": most}, given=len(requests)
        )
        raise InvalidRequest("the graph cannot be", [wrong])
    needs = {name: needed_by(request) for name, request in requests.items()}
    if unknown := [_unknown(name, slot, other, requests) for name, slot, other in _references(needs, requests)]:
        raise InvalidRequest(f"{len(unknown)} input(s) name no task of the graph", unknown)
    try:
        return list(TopologicalSorter({name: _sorted_values(of) for name, of in needs.items()}).static_order())
    except CycleError as error:
        circle: list[str] = error.args[1][::-1]
        wrong = FieldProblem(
            field=f"tasks.{circle[0]}.inputs",
            detail=f"would wait for itself: {' needs '.join(circle)}",
            allowed="inputs from tasks that do not need this one",
        )
        raise InvalidRequest("the graph goes round in a circle", [wrong]) from None


def needed_by(request: Mapping[str, JsonValue]) -> dict[str, str]:
    """Which inputs of the request are results of which nodes."""
    inputs = request.get("inputs")
    given = inputs.items() if isinstance(inputs, dict) else ()
    return {slot: other for slot, value in given if (other := _named(value)) is not None}


def _named(value: JsonValue) -> str | None:
    if not isinstance(value, dict) or set(value) != {FROM}:
        return None
    other = value[FROM]
    return other if isinstance(other, str) else None


def _sorted_values(needs: Mapping[str, str]) -> list[str]:
    return sorted(set(needs.values()))


def _references(needs: Mapping[str, Mapping[str, str]], requests: Requests) -> Iterable[tuple[str, str, str]]:
    return ((name, slot, other) for name, of in needs.items() for slot, other in of.items() if other not in requests)


def _unknown(name: str, slot: str, other: str, requests: Requests) -> FieldProblem:
    return FieldProblem(
        field=f"tasks.{name}.inputs.{slot}.{FROM}",
        detail="is no task of this graph",
        allowed=list(requests)[:50],
        given=other[:200],
    )


def resolved(request: Mapping[str, JsonValue], task_ids: Mapping[str, str]) -> dict[str, Any]:
    """The task request for a node, its inputs named by the ids of the tasks that make them."""
    inputs = request.get("inputs")
    if not isinstance(inputs, dict):
        return dict(request)
    found = {
        slot: value if (other := _named(value)) is None else {"from_task": task_ids[other]}
        for slot, value in inputs.items()
    }
    return {**request, "inputs": found}


def graph_digest(title: str | None, requests: Requests) -> str:
    """By which a repeated request is known."""
    return digest_of_json([title, requests], "graph")


def in_node(name: str, problem: FieldProblem) -> FieldProblem:
    """A problem of the task as one of the graph's."""
    return problem.model_copy(update={"field": f"tasks.{name}.{problem.field}"})


def node_digest(node: Node) -> str:
    """By which a node that is made again is known: whatever else has changed about its request, its result has not."""
    return hashlib.sha256(f"node {node.task_id}".encode()).hexdigest()


def names_of(graph: Graph, name: str | None) -> list[str]:
    """The node of that name, or all of them for None. Raises `InvalidRequest`."""
    names = [node.name for node in graph.nodes]
    if name is None:
        return names
    if name not in names:
        wrong = FieldProblem(field="task", detail="is no task of this graph", allowed=names[:50], given=name)
        raise InvalidRequest("there is no such task to retry", [wrong])
    return [name]


def changed(graph: Graph, title: str | None, nodes: Sequence[Node], now: datetime) -> Graph:
    """With other nodes from now on. Those that make the same as before stay, and go on or are done already; what is
    not wanted any more is withdrawn. Whatever has ended in vain is made again."""
    before = {node.task_id: node for node in graph.nodes}
    ids = {node.task_id for node in nodes}
    revision = graph.revision + (ids != set(before))
    wanted = tuple(
        node.model_copy(update={"revision": before[node.task_id].revision if node.task_id in before else revision})
        for node in nodes
    )
    old = [node for node in (*graph.withdrawing, *graph.nodes) if node.task_id not in ids]
    return graph.model_copy(
        update={
            "title": title,
            "revision": revision,
            "nodes": wanted,
            "withdrawing": tuple({node.task_id: node for node in old}.values()),
            "cancelled": False,
            "problem": None,
            "updated_at": now,
        }
    )


def cancelled(graph: Graph, now: datetime) -> Graph:
    """Nothing of it is wanted any more; what is done stays."""
    if graph.cancelled:
        return graph
    all_of_it = {node.task_id: node for node in (*graph.withdrawing, *graph.nodes)}
    return graph.model_copy(
        update={"cancelled": True, "withdrawing": tuple(all_of_it.values()), "problem": None, "updated_at": now}
    )


def retried(graph: Graph, names: Collection[str], now: datetime) -> Graph:
    """Has these nodes, and all that need them, made again if they have ended in vain."""
    again = set(names)
    for node in graph.nodes:
        if again.intersection(needed_by(node.request).values()):
            again.add(node.name)
    nodes = tuple(node.model_copy(update={"made": False}) if node.name in again else node for node in graph.nodes)
    wanted = {node.task_id for node in nodes if node.name in again}
    withdrawing = tuple(node for node in graph.withdrawing if node.task_id not in wanted)
    return graph.model_copy(
        update={
            "nodes": nodes, "withdrawing": withdrawing, "cancelled": False, "problem": None, "updated_at": now,
        }
    )  # fmt: skip


def withdrawn(graph: Graph, task_ids: Collection[str]) -> Graph:
    """Notes what has been cancelled. Somebody may want it again since: then it is to be made again."""
    nodes = graph.nodes
    if not graph.cancelled:
        nodes = tuple(
            node.model_copy(update={"made": False}) if node.task_id in task_ids else node for node in graph.nodes
        )
    left = tuple(node for node in graph.withdrawing if node.task_id not in task_ids)
    if (nodes, left) == (graph.nodes, graph.withdrawing):
        return graph
    return graph.model_copy(update={"nodes": nodes, "withdrawing": left})


def made(graph: Graph, task_ids: Collection[str], problem: Problem | None) -> Graph:
    """Notes which of the intended nodes exist, and why others cannot be made."""
    nodes = tuple(
        node.model_copy(update={"made": True}) if node.task_id in task_ids and not node.made else node
        for node in graph.nodes
    )
    if nodes == graph.nodes and problem == graph.problem:
        return graph
    return graph.model_copy(update={"nodes": nodes, "problem": problem})


def carried_out(graph: Graph) -> bool:
    """Whether all that is intended has been done."""
    return not graph.withdrawing and (graph.cancelled or all(node.made for node in graph.nodes))


def status_of(graph: Graph, tasks: Mapping[str, Task]) -> Status:
    """The graph as a whole, by its tasks."""
    found = [tasks.get(node.task_id) for node in graph.nodes]
    phases = Counter(task.phase if task is not None else None for task in found)
    if not graph.cancelled and any(phase is None or not phase.terminal for phase in phases):
        begun = any(phase is not None and phase.status is not Status.PENDING for phase in phases)
        return Status.PROCESSING if begun else Status.PENDING
    if graph.cancelled:
        going_on = any(phase is not None and not phase.terminal for phase in phases)
        return Status.PROCESSING if going_on else Status.CANCELLED
    return Status.DONE if set(phases) == {Phase.DONE} else Status.FAILED


def outlook_of(tasks: Iterable[Task]) -> tuple[datetime, datetime] | None:
    """When it will be done, as likely as not and nine times in ten, by what was thought of its open tasks."""
    open_ones = [task.estimate for task in tasks if task.estimate and not task.phase.terminal]
    if not open_ones:
        return None
    return max(one.p50_at for one in open_ones), max(one.p90_at for one in open_ones)
