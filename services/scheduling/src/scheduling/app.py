"""The composition root of scheduling."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis.alarm import LOOK_EVERY, Alarm
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.service import Service
from contracts.events import QueueGrew, TaskChanged, WorkerHeartbeat
from contracts.records import TaskRecords
from contracts.tasks import Backoff
from contracts.topics import QUEUE_UPDATES, TASK_EVENTS, WORKER_HEARTBEATS, App

from scheduling.adapters.leaderships import SqlLeaderships
from scheduling.adapters.ledger import SqlLedger
from scheduling.adapters.queue import SqlQueue
from scheduling.adapters.tables import Table
from scheduling.adapters.workers import HeardWorkers
from scheduling.domain.company import company
from scheduling.handlers.leading import Leading
from scheduling.handlers.listening import Listening
from scheduling.handlers.matching import Matching, Policy, Wishes
from scheduling.handlers.watching import Watchdog
from scheduling.settings import SchedulingSettings

"""For what a replica noted and did not live to wait for."""


def create(settings: SchedulingSettings, outside: Outside) -> Service:
    publisher = outside.publisher
    database = Database(settings.scheduling_database, Table.metadata)
    queue = SqlQueue(database, settings.usage_half_life, partial(company, catalog=outside.catalog))
    ledger = SqlLedger(database)
    workers = HeardWorkers(outside.clock, settings.lease)
    # What replicas write for each other, and into records, is by one clock.
    clock = leading = Leading(
        SqlLeaderships(database), outside.clock, settings.replica, settings.leader_lease, outside.check_bus
    )
    tasks = TaskRecords(outside.state, clock)
    alarm = Alarm(outside.jobs, clock, f"scheduling-watchdog-{settings.replica}", at_least_every=LOOK_EVERY)
    wishes, look_wanted = Wishes(), asyncio.Event()
    listening = Listening(queue, workers, alarm.at, look_wanted.set, wishes.add, leading.leads, clock, settings.lease)
    policy = Policy(settings.lease, settings.start_within, settings.ageing, settings.usage_half_life)
    matching = Matching(
        outside.catalog,
        tasks,
        queue,
        ledger,
        workers,
        publisher,
        listening.note,
        alarm.at,
        leading.leads,
        clock,
        policy,
        wishes,
    )
    backoff = Backoff(settings.first_retry, settings.longest_retry)
    watchdog = Watchdog(
        tasks, queue, publisher, wishes.add, leading.leads, clock, settings.lease, backoff,
        random.Random(), look_wanted,
    )  # fmt: skip
    ring = partial(alarm.ring, watchdog.look)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with database.opened():
            try:
                await leading.try_to_look(watchdog)
                async with background(
                    alarm.keep_set(watchdog.look),
                    leading.keep_looking(watchdog),
                    matching.keep_matching(),
                    watchdog.keep_looking(ring),
                ):
                    yield
            finally:
                await leading.resign()

    return Service(
        name=App.SCHEDULING,
        subscriptions=(
            Subscription(
                TASK_EVENTS,
                {TaskChanged: listening.on_task_changed},
                after={TaskChanged: listening.on_heard_by_all},
            ),
            Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: listening.on_heartbeat}),
            Subscription(QUEUE_UPDATES, {QueueGrew: listening.on_queue_grew}),
        ),
        jobs={"scheduling-watchdog-": ring},
        running=running,
        checks={"database": database.check},
    )
