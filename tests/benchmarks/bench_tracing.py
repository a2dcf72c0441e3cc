"""What tracing costs a process, on and off: microseconds of each thing that is done most, and the ratio of the two.

make bench-tracing
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from chassis.deliveries import Deliveries, Subscriber, Subscription
from chassis.logs import configure_logs
from chassis.otlp import OtlpTracing
from chassis.service import Service, Surroundings, build_app
from chassis.tracing import NOWHERE, Tracing
from contracts.events import CloudEvent, TaskChanged, TaskRequested, task_changed
from contracts.records import TaskRecords
from contracts.tasks import Assign, TakeBack, Task
from contracts.testing import InMemoryBus, InMemoryState, SettableClock
from contracts.testing.examples import LATER, a_task
from contracts.topics import TASK_EVENTS, TASK_REQUESTS
from contracts.tracing import TraceContext
from fastapi import APIRouter
from rich.console import Console
from rich.table import Table

from tests.collector import collector

ROUNDS = 15
EACH = 300
CLICK = TraceContext("a" * 32, "b" * 16, sampled=True)

Work = Callable[[], Awaitable[object]]


async def _nothing(_event: object, _envelope: CloudEvent) -> None:
    return


def a_delivery_of_a_task_event(tracing: Tracing, task: Task) -> Work:
    body = task_changed(task, "test").event.model_dump_json(exclude_none=True).encode()
    subscriber = Subscriber("storage", Subscription(TASK_EVENTS, {TaskChanged: _nothing}))
    deliveries = Deliveries(TASK_EVENTS, [subscriber], InMemoryBus(), SettableClock(), tracing)
    return lambda: deliveries.deliver(body)


def a_delivery_of_a_request(tracing: Tracing, _task: Task) -> Work:
    event = CloudEvent(
        id="e", source="/cms", type="task.requested.v1", traceparent=str(CLICK), data={"project_id": "p"}
    )
    body = event.model_dump_json(exclude_none=True).encode()
    subscriber = Subscriber("submission", Subscription(TASK_REQUESTS, {TaskRequested: _nothing}))
    deliveries = Deliveries(TASK_REQUESTS, [subscriber], InMemoryBus(), SettableClock(), tracing)
    return lambda: deliveries.deliver(body)


def two_changes_of_a_record(tracing: Tracing, task: Task) -> Work:
    """The end of one phase, and of the next."""
    state = InMemoryState()
    records = TaskRecords(state, SettableClock(), tracing.of("scheduling"))

    async def change() -> None:
        if await records.get(task.id) is None:
            await records.create(task)
        assigned = await records.change(task.id, lambda _found: Assign("worker-1", LATER))
        await records.change(task.id, lambda _found: TakeBack(assigned.attempt))

    return change


@asynccontextmanager
async def a_request(tracing: Tracing) -> AsyncIterator[Work]:
    router = APIRouter()

    @router.get("/api/v1/things/{thing}")
    async def show(thing: str) -> str:
        return thing

    app = build_app(
        [Service("shop", [router])], Surroundings(InMemoryBus(), SettableClock(), "t" * 16, tracing=tracing)
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://movie-tasks") as http,
    ):
        yield lambda: http.get("/api/v1/things/1", headers={"traceparent": str(CLICK)})


async def microseconds(work: Work) -> float:
    started = time.perf_counter()
    for _ in range(EACH):
        await work()
    taken = (time.perf_counter() - started) / EACH * 1e6
    await asyncio.sleep(0.05)  # for the collector, which shares the event loop
    return taken


async def compared(off: Work, on: Work) -> tuple[float, float, float]:
    """Medians of both and of their ratios, measured in turns: what slows the machine down slows both."""
    await microseconds(off), await microseconds(on)
    rounds = [(await microseconds(off), await microseconds(on)) for _ in range(ROUNDS)]
    offs, ons = zip(*rounds, strict=True)
    return statistics.median(offs), statistics.median(ons), statistics.median(b / a for a, b in rounds)


async def measure(table: Table) -> None:
    untraced, traced = a_task(), a_task(traceparent=str(CLICK))
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(collector())
        tracing = OtlpTracing(found.endpoint, "", 1, "r-1")
        await stack.enter_async_context(tracing.sending())
        request_off = await stack.enter_async_context(a_request(NOWHERE))
        request_on = await stack.enter_async_context(a_request(tracing))
        for what, make in (
            ("a delivery of a task's event", a_delivery_of_a_task_event),
            ("a delivery of a request for a task", a_delivery_of_a_request),
            ("two changes of a record", two_changes_of_a_record),
        ):
            add_row(table, what, await compared(make(NOWHERE, untraced), make(tracing, traced)))
        add_row(table, "a request of the API", await compared(request_off, request_on))


def add_row(table: Table, what: str, found: tuple[float, float, float]) -> None:
    off, on, ratio = found
    table.add_row(what, f"{off:.0f} µs", f"{on:.0f} µs", f"{ratio:.2f}")


def main() -> None:
    configure_logs("WARNING")
    table = Table(title=f"Tracing, {ROUNDS} rounds of {EACH}", title_justify="left")
    for column in ("what", "off", "on", "on : off"):
        table.add_column(column)
    asyncio.run(measure(table))
    Console().print(table)


if __name__ == "__main__":
    main()
