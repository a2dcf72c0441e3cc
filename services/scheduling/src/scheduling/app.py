"""The composition root of scheduling."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis.alarm import Alarm
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.service import Service
from contracts.events import TaskChanged, WorkerHeartbeat
from contracts.records import TaskRecords
from contracts.tasks import Backoff
from contracts.topics import TASK_EVENTS, WORKER_HEARTBEATS, App

from scheduling.adapters.queue import SqlLedger, SqlQueue
from scheduling.adapters.tables import Table
from scheduling.adapters.workers import HeardWorkers
from scheduling.handlers.listening import Listening
from scheduling.handlers.matching import Matching, Policy, Wishes
from scheduling.handlers.watching import Watchdog
from scheduling.settings import SchedulingSettings


def create(settings: SchedulingSettings, outside: Outside) -> Service:
    clock, publisher = outside.clock, outside.publisher
    database = Database(settings.scheduling_database, Table.metadata)
    queue, ledger = SqlQueue(database), SqlLedger(database, settings.usage_half_life)
    workers = HeardWorkers(clock, settings.lease)
    tasks = TaskRecords(outside.state, clock)
    alarm = Alarm(outside.jobs, clock, f"scheduling-watchdog-{settings.replica}")
    wishes = Wishes()
    listening = Listening(queue, ledger, workers, alarm.at, wishes.add, clock, settings.lease)
    policy = Policy(settings.lease, settings.start_within, settings.ageing, settings.usage_half_life)
    matching = Matching(
        outside.catalog, tasks, queue, ledger, workers, publisher, listening.note, clock, policy, wishes
    )
    backoff = Backoff(settings.first_retry, settings.longest_retry)
    watchdog = Watchdog(
        tasks, queue, publisher, listening.note, wishes.add, clock, settings.lease, backoff, random.Random()
    )

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with database.opened():
            # While scheduling was away nobody's heartbeat could renew a lease.
            await queue.renew_all(clock.now() + settings.lease)
            async with background(alarm.keep_set(watchdog.look), matching.keep_matching()):
                alarm.at(clock.now())
                yield

    return Service(
        name=App.SCHEDULING,
        subscriptions=(
            Subscription(
                TASK_EVENTS,
                {TaskChanged: listening.on_task_changed},
                after={TaskChanged: listening.on_heard_by_all},
            ),
            Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: listening.on_heartbeat}),
        ),
        jobs={"scheduling-watchdog-": partial(alarm.ring, watchdog.look)},
        running=running,
        checks={"database": database.check},
    )
