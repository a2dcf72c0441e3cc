"""The composition root of submission."""

import random
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from chassis.alarm import LOOK_EVERY, Alarm
from chassis.auth import ApiKeys, project_by_header
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.service import Service
from contracts.catalog import RequestValidator
from contracts.events import TaskChanged, TaskRequested, WorkerHeartbeat
from contracts.records import TaskRecords, api_key_records, media_records, project_records
from contracts.topics import DEAD_LETTERS, TASK_EVENTS, TASK_REQUESTS, WORKER_HEARTBEATS, App

from submission.adapters.directory import SqlDirectory
from submission.adapters.outbox import SqlOutbox
from submission.adapters.read_model import SqlReadModel
from submission.adapters.tables import Table
from submission.adapters.workers import HeardWorkers
from submission.handlers.accepting import Acceptance
from submission.handlers.administering import Administration
from submission.handlers.changing import TaskChanges
from submission.handlers.listening import Listening
from submission.handlers.reconciling import EVERY, Reconciling
from submission.routes.admin import admin_routes
from submission.routes.monitoring import monitoring_routes
from submission.routes.tasks import task_routes
from submission.settings import SubmissionSettings

SCHEMA_REF = "#/components/schemas/{model}"


def create(settings: SubmissionSettings, outside: Outside) -> Service:
    database = Database(settings.submission_database, Table.metadata)
    read_model, outbox, directory = SqlReadModel(database), SqlOutbox(database), SqlDirectory(database)
    workers = HeardWorkers(outside.clock)
    tasks = TaskRecords(outside.state, outside.clock)
    projects, keys = project_records(outside.state), api_key_records(outside.state)
    validator = RequestValidator(outside.catalog)

    alarm = Alarm(outside.jobs, outside.clock, f"submission-outbox-{settings.replica}", at_least_every=LOOK_EVERY)
    acceptance = Acceptance(
        catalog=outside.catalog,
        validator=validator,
        tasks=tasks,
        projects=projects,
        media=media_records(outside.state),
        read_model=read_model,
        outbox=outbox,
        publisher=outside.publisher,
        wake_at=alarm.at,
        clock=outside.clock,
        randomness=random.Random(),
    )
    sweep_alarm = Alarm(outside.jobs, outside.clock, f"submission-sweep-{settings.replica}")
    reconciling = Reconciling(tasks, read_model, outside.publisher)
    changes = TaskChanges(tasks, outbox, outside.publisher, alarm.at, outside.clock)
    listening = Listening(read_model, directory, workers, outside.clock)
    administration = Administration(
        projects, keys, directory, outside.clock, lambda: secrets.token_hex(8), lambda: secrets.token_urlsafe(32)
    )
    project_of = project_by_header(ApiKeys(keys, outside.clock))

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with (
            database.opened(),
            background(alarm.keep_set(acceptance.announce_due), sweep_alarm.keep_set(reconciling.sweep)),
        ):
            alarm.at(outside.clock.now())
            sweep_alarm.at(outside.clock.now() + EVERY)
            yield

    return Service(
        name=App.SUBMISSION,
        routers=(
            task_routes(acceptance, changes, read_model, project_of, outside.clock, lambda: str(uuid.uuid4())),
            monitoring_routes(outside.catalog, workers, project_of, version("movie-tasks-submission")),
            admin_routes(administration, directory, settings.admin_key),
        ),
        subscriptions=(
            Subscription(TASK_REQUESTS, {TaskRequested: acceptance.on_task_requested}),
            Subscription(
                TASK_EVENTS,
                {TaskChanged: listening.on_task_changed},
                after={TaskChanged: acceptance.on_heard_back},
            ),
            Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: listening.on_heartbeat}),
            Subscription(DEAD_LETTERS, raw=listening.on_dead_letter),
        ),
        jobs={
            "submission-outbox-": partial(alarm.ring, acceptance.announce_due),
            "submission-sweep-": partial(sweep_alarm.ring, reconciling.sweep),
        },
        running=running,
        checks={"database": database.check},
        schemas=_schemas(validator),
    )


def _schemas(validator: RequestValidator) -> dict[str, object]:
    """What the routes describe by reference: the request, with one schema per model."""
    request = validator.schema(SCHEMA_REF)
    return {**request.pop("$defs"), "TaskRequest": {"title": "TaskRequest", **request}}
