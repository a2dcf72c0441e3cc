"""The composition root of scheduling."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from chassis.alarm import LOOK_EVERY, Alarm, Chore
from chassis.background import background, keep_ringing
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.remembering import Remembered
from chassis.service import Service
from contracts.events import QueueGrew, TaskChanged, TaskReminder, WorkerHeartbeat
from contracts.ports import Clock
from contracts.records import TaskRecords, pauses_records, project_records
from contracts.tasks import Backoff
from contracts.topics import QUEUE_UPDATES, REMINDERS, TASK_EVENTS, WORKER_HEARTBEATS, App

from scheduling.adapters import migrations
from scheduling.adapters.backlog_metrics import BacklogMetrics
from scheduling.adapters.depths import SqlDepths
from scheduling.adapters.leaderships import SqlLeaderships
from scheduling.adapters.ledger import SqlLedger
from scheduling.adapters.queue import SqlQueue
from scheduling.adapters.queue_metrics import QueueMetrics
from scheduling.adapters.reminders import SqlReminders
from scheduling.adapters.tables import Table
from scheduling.adapters.task_metrics import TaskMetrics
from scheduling.adapters.workers import HeardWorkers
from scheduling.domain.company import company
from scheduling.handlers.budgeting import Accounting, Budgeting
from scheduling.handlers.leading import Leading
from scheduling.handlers.listening import Listening
from scheduling.handlers.matching import Matching, Policy, Wishes
from scheduling.handlers.pausing import Pausing
from scheduling.handlers.reminding import Reminding
from scheduling.handlers.watching import Watchdog
from scheduling.ports import News
from scheduling.settings import SchedulingSettings

REMINDERS_OVERDUE = timedelta(seconds=0.5)
"""How long the scheduler's ring is waited for. A reminder is to be exact without it, too."""
LOOK_FOR_REMINDERS_EVERY = timedelta(seconds=15)
"""What a replica took and did not live to say is said by another before it counts as late."""


def create(settings: SchedulingSettings, outside: Outside) -> Service:
    publisher = outside.publisher
    database = Database(settings.scheduling_database, Table.metadata, migrations.FOLDER)
    workers = HeardWorkers(outside.clock, settings.lease)
    # What replicas write for each other, and into records, is by one clock.
    clock = leading = Leading(
        SqlLeaderships(database), outside.clock, settings.replica, settings.leader_lease, outside.check_bus
    )
    tracer = outside.tracing.of(App.SCHEDULING)
    tasks = TaskRecords(outside.state, clock, tracer)
    ledger, task_metrics = SqlLedger(database), TaskMetrics()
    accounting = Accounting(outside.state, ledger, clock)
    queue = _queue(settings, outside, database, accounting, task_metrics)
    projects = Remembered(project_records(outside.state), outside.clock)
    alarm = Alarm(outside.jobs, clock, f"scheduling-watchdog-{settings.replica}", at_least_every=LOOK_EVERY)
    wishes, look_wanted = Wishes(), asyncio.Event()
    reminding, saying_due = _reminding(settings, outside, database, tasks, clock, task_metrics)
    listening = Listening(
        queue, workers, alarm.at, look_wanted.set, wishes.add, leading.leads, clock, settings.lease,
        reminding.keep, reminding.forget,
    )  # fmt: skip
    policy = Policy(settings.lease, settings.start_within, settings.ageing, settings.usage_half_life)
    pausing = Pausing(Remembered(pauses_records(outside.state), outside.clock))
    budgeting = Budgeting(outside.catalog, projects, queue, ledger, clock)
    matching = Matching(
        outside.catalog, tasks, queue, ledger, budgeting, pausing, workers, publisher, listening.note, alarm.at,
        leading.leads, clock, policy, wishes, tracer,
    )  # fmt: skip
    backoff = Backoff(settings.first_retry, settings.longest_retry)
    watchdog = Watchdog(
        tasks, queue, publisher, wishes.add, leading.leads, clock, settings.lease, backoff,
        random.Random(), look_wanted,
    )  # fmt: skip
    looking = Chore(alarm, watchdog.look)
    backlog = BacklogMetrics(queue, budgeting.terms, pausing.now, outside.catalog, clock)
    queue_metrics = QueueMetrics(SqlDepths(database), ledger, leading.leads, clock)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with database.opened():
            try:
                await leading.try_to_look(watchdog)
                await accounting.take_stock()
                saying_due.alarm.at(clock.now())
                async with background(
                    looking.keep_set(),
                    leading.keep_looking(watchdog),
                    matching.keep_matching(),
                    accounting.keep_telling(),
                    keep_ringing(look_wanted, looking.ring, "the watchdog"),
                    saying_due.keep_set(),
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
            Subscription(REMINDERS, after={TaskReminder: reminding.on_heard_by_all}),
            Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: listening.on_heartbeat}),
            Subscription(QUEUE_UPDATES, {QueueGrew: listening.on_queue_grew}),
        ),
        jobs={"scheduling-watchdog-": looking.ring, "scheduling-reminders-": saying_due.ring},
        running=running,
        checks={"database": database.check},
        collectors=(backlog, queue_metrics, *task_metrics.collectors),
        measures=(backlog.measure, queue_metrics.measure),
    )


def _queue(
    settings: SchedulingSettings, outside: Outside, database: Database, accounting: Accounting, metrics: TaskMetrics
) -> SqlQueue:
    """What is new in it is charged and counted."""

    def on_news(news: News) -> None:
        if news.charged_seconds > 0:
            accounting.charged(news.task.project_id)
        metrics.count(news)

    return SqlQueue(database, settings.usage_half_life, partial(company, catalog=outside.catalog), on_news)


def _reminding(
    settings: SchedulingSettings,
    outside: Outside,
    database: Database,
    tasks: TaskRecords,
    clock: Clock,
    metrics: TaskMetrics,
) -> tuple[Reminding, Chore]:
    alarm = Alarm(
        outside.jobs,
        clock,
        f"scheduling-reminders-{settings.replica}",
        REMINDERS_OVERDUE,
        at_least_every=LOOK_FOR_REMINDERS_EVERY,
    )
    reminding = Reminding(
        tasks, SqlReminders(database), outside.publisher, alarm.at, clock, settings.reminder_late_after, metrics.said
    )
    return reminding, Chore(alarm, reminding.say_due)
