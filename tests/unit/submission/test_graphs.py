"""What becomes of graphs, as plain functions."""

from datetime import timedelta
from typing import Any

import pytest
from contracts.errors import InvalidRequest, NotFound
from contracts.graphs import Graph, Node
from contracts.identifiers import graph_id_for, node_task_id_for, task_id_for
from contracts.tasks import Phase, Status, Task
from contracts.testing.examples import NOON, a_problem, a_task_in
from hypothesis import given
from hypothesis import strategies as st
from submission.domain.graphs import (
    cancelled,
    carried_out,
    changed,
    graph_digest,
    in_order,
    made,
    needed_by,
    own_graph,
    resolved,
    retried,
    status_of,
    withdrawn,
)

GRAPH = graph_id_for("p1", "a")
LATER = NOON + timedelta(minutes=1)


def needing(*names: str) -> dict[str, Any]:
    return {"model": "m", "inputs": {f"clip_{number}": {"from": name} for number, name in enumerate(names)}}


def a_node(name: str, *needs: str, content: str = "1", **fields: Any) -> Node:
    task_id = node_task_id_for(GRAPH, name, content)
    return Node.model_validate({"name": name, "task_id": task_id, "request": needing(*needs), "revision": 1} | fields)


def a_graph(*nodes: Node, **fields: Any) -> Graph:
    known = {"id": GRAPH, "project_id": "p1", "request_digest": "d", "correlation_id": "c"}
    return Graph.model_validate(known | {"nodes": nodes, "created_at": NOON, "updated_at": NOON} | fields)


SHOT = (a_node("frame", made=True), a_node("clip", "frame", made=True), a_node("film", "clip", made=True))


class TestOrder:
    @given(st.permutations(["a", "b", "c", "d"]))
    def test_each_comes_behind_those_it_needs(self, names: list[str]) -> None:
        needs = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
        order = in_order({name: needing(*needs[name]) for name in names}, 10)
        assert sorted(order) == sorted(names)
        assert all(order.index(other) < order.index(name) for name in names for other in needs[name])

    def test_a_circle_is_told_whole(self) -> None:
        with pytest.raises(InvalidRequest) as raised:
            in_order({"a": needing("c"), "b": needing("a"), "c": needing("b"), "d": needing()}, 10)
        [problem] = raised.value.errors
        assert {"a", "b", "c"} < set(problem.detail.split())

    def test_it_cannot_need_itself(self) -> None:
        with pytest.raises(InvalidRequest, match="circle"):
            in_order({"a": needing("a")}, 10)

    def test_names_that_are_not_there_are_each_told(self) -> None:
        with pytest.raises(InvalidRequest) as raised:
            in_order({"a": needing("x", "y"), "b": needing("a", "z")}, 10)
        assert {one.field: one.given for one in raised.value.errors} == {
            "tasks.a.inputs.clip_0.from": "x",
            "tasks.a.inputs.clip_1.from": "y",
            "tasks.b.inputs.clip_1.from": "z",
        }

    @pytest.mark.parametrize("count", [0, 11, 10_000])
    def test_too_few_and_too_many(self, count: int) -> None:
        with pytest.raises(InvalidRequest) as raised:
            in_order({str(number): needing() for number in range(count)}, 10)
        assert raised.value.errors[0].allowed == {"min": 1, "max": 10}

    def test_a_long_chain_is_no_recursion(self) -> None:
        chain = {f"n{number}": needing(f"n{number + 1}") for number in range(5000)} | {"n5000": needing()}
        assert in_order(chain, 10_000)[0] == "n5000"


@pytest.mark.parametrize(
    "inputs", [None, [], "x", {"a": {"from": 1}}, {"a": {"from": "b", "c": 1}}, {"a": {"from_task": "b"}}, {"a": "id"}]
)
def test_what_names_no_node_is_left_as_it_is(inputs: Any) -> None:
    request = {"model": "m", "inputs": inputs}
    assert needed_by(request) == {}
    assert resolved(request, {}) == request


def test_names_become_the_ids_of_tasks() -> None:
    request: dict[str, Any] = {"model": "m", "inputs": {"a": {"from": "frame"}, "b": "media"}}
    task_id = task_id_for("p1", "frame")
    assert resolved(request, {"frame": task_id})["inputs"] == {"a": {"from_task": task_id}, "b": "media"}


def test_another_project_has_no_such_graph() -> None:
    for found in (None, a_graph(*SHOT, project_id="p2")):
        with pytest.raises(NotFound, match="in this project"):
            own_graph(found, GRAPH, "p1")


def test_the_digest_tells_graphs_apart() -> None:
    digests = {graph_digest(title, {"a": needing(name)}) for title in (None, "x") for name in ("b", "c")}
    assert len(digests) == 4


class TestChanging:
    def test_what_makes_the_same_stays_and_the_rest_is_made(self) -> None:
        nodes = [a_node("frame"), a_node("clip", "frame", content="2"), a_node("film", "clip", content="2")]
        after = changed(a_graph(*SHOT), "new", nodes, LATER)
        assert (after.title, after.revision, after.updated_at) == ("new", 2, LATER)
        assert [node.revision for node in after.nodes] == [1, 2, 2]
        assert [node.made for node in after.nodes] == [False] * 3, "what has ended in vain is looked for"
        assert [node.name for node in after.withdrawing] == ["clip", "film"]

    def test_the_same_again_is_no_new_revision(self) -> None:
        after = changed(a_graph(*SHOT), "new", [node.model_copy(update={"made": False}) for node in SHOT], LATER)
        assert (after.revision, after.title, after.withdrawing) == (1, "new", ())

    def test_what_is_wanted_again_is_withdrawn_no_more(self) -> None:
        other = changed(a_graph(*SHOT), None, [a_node("frame", content="2")], LATER)
        back = changed(other, None, [node.model_copy(update={"made": False}) for node in SHOT], LATER)
        assert [node.task_id for node in back.withdrawing] == [node_task_id_for(GRAPH, "frame", "2")]

    def test_what_was_cancelled_meanwhile_although_it_is_wanted_again_is_made_again(self) -> None:
        graph = withdrawn(a_graph(*SHOT), {SHOT[1].task_id})
        assert [node.made for node in graph.nodes] == [True, False, True]
        assert not carried_out(graph)


class TestCancellingAndRetrying:
    def test_all_of_it_is_withdrawn_and_nothing_is_made(self) -> None:
        graph = cancelled(a_graph(*SHOT), LATER)
        assert [node.name for node in graph.withdrawing] == ["frame", "clip", "film"]
        over = withdrawn(graph, {node.task_id for node in SHOT})
        assert carried_out(over)
        assert [node.made for node in over.nodes] == [True] * 3
        assert cancelled(over, LATER) is over

    def test_a_subtree_is_made_again(self) -> None:
        side = a_node("sound", made=True)
        graph = retried(cancelled(a_graph(*SHOT, side), LATER), ["clip"], LATER)
        assert {node.name: node.made for node in graph.nodes} == {
            "frame": True, "clip": False, "film": False, "sound": True,
        }  # fmt: skip
        assert [node.name for node in graph.withdrawing] == ["frame", "sound"]

    def test_a_problem_is_kept_until_it_is_mended(self) -> None:
        graph = a_graph(a_node("frame"), a_node("clip", "frame"))
        refused = made(graph, {graph.nodes[0].task_id}, a_problem())
        assert [node.made for node in refused.nodes] == [True, False]
        assert not carried_out(refused)
        mended = made(refused, {node.task_id for node in graph.nodes}, None)
        assert (mended.problem, carried_out(mended)) == (None, True)
        assert made(mended, set(), None) is mended


def tasks_in(*phases: Phase | None) -> dict[str, Task]:
    named = zip(SHOT, phases, strict=True)
    return {node.task_id: a_task_in(phase, id=node.task_id) for node, phase in named if phase is not None}


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ((None, None, None), Status.PENDING),
        ((Phase.QUEUED, Phase.BLOCKED, Phase.BLOCKED), Status.PENDING),
        ((Phase.GENERATING, Phase.BLOCKED, Phase.BLOCKED), Status.PROCESSING),
        ((Phase.DONE, Phase.BLOCKED, Phase.BLOCKED), Status.PROCESSING),
        ((Phase.FAILED, Phase.BLOCKED, None), Status.PROCESSING),
        ((Phase.DONE, Phase.DONE, Phase.DONE), Status.DONE),
        ((Phase.DONE, Phase.FAILED, Phase.SKIPPED), Status.FAILED),
        ((Phase.DONE, Phase.CANCELLED, Phase.SKIPPED), Status.FAILED),
    ],
)
def test_the_whole_is_what_its_tasks_are(phases: tuple[Phase | None, ...], expected: Status) -> None:
    assert status_of(a_graph(*SHOT), tasks_in(*phases)) is expected


def test_a_cancelled_one_is_so_once_nothing_runs() -> None:
    graph = cancelled(a_graph(*SHOT), LATER)
    assert status_of(graph, tasks_in(Phase.DONE, Phase.GENERATING, None)) is Status.PROCESSING
    assert status_of(graph, tasks_in(Phase.DONE, Phase.CANCELLED, Phase.SKIPPED)) is Status.CANCELLED
