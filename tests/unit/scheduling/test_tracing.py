"""What scheduling tells of its passes."""

from collections.abc import Callable

from contracts.identifiers import task_id_for
from contracts.tasks import context_of
from contracts.tracing import TraceContext
from scheduling.app import create

from tests.conftest import Serve, World
from tests.tracing import Recording
from tests.unit.scheduling.driving import Scheduling, settings_of

CLICKS = [TraceContext(digit * 32, "f" * 16, sampled=True) for digit in "ab"]


async def test_a_pass_is_a_trace_of_its_own_that_names_whom_it_served(
    world: World, serve: Serve, database_url: Callable[[str], str]
) -> None:
    world.tracing = tracing = Recording()
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        scheduling = Scheduling(running, world)
        tasks = [
            await scheduling.accept(id=task_id_for("p1", click.trace_id), traceparent=str(click)) for click in CLICKS
        ]
        untraced = await scheduling.accept(id=task_id_for("p1", "untraced"))
        for name in ("a", "b", "c"):
            await scheduling.heartbeat(worker_id=name)
        assert {one.task_id for one in scheduling.assignments} == {task.id for task in (*tasks, untraced)}
    passes = tracing.named("match")
    assert {link for span in passes for link in span.links} == {context_of(task) for task in tasks}
    for span in passes:
        assert span.parent is None
        assert span.context.trace_id not in {click.trace_id for click in CLICKS}
    assert [span.context.trace_id for span in tracing.named("queued")] == [span.trace_id for span in CLICKS]
