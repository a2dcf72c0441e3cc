"""The composition root of submission."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from chassis.auth import ApiKeys, project_by_header
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.service import Service
from contracts.catalog import RequestValidator
from contracts.events import OperatorActed, TaskChanged, TaskRequested, WorkerHeartbeat
from contracts.records import api_key_records
from contracts.topics import DEAD_LETTERS, OPERATOR_ACTIONS, TASK_EVENTS, TASK_REQUESTS, WORKER_HEARTBEATS, App

from submission.adapters import migrations
from submission.adapters.directory import SqlDirectory
from submission.adapters.metrics import DeadLetterMetrics
from submission.adapters.read_model import SqlReadModel
from submission.adapters.tables import Table
from submission.adapters.workers import HeardWorkers
from submission.app.operators import operator_routers
from submission.app.tasks import new_id, task_handlers
from submission.app.tended import tended_graphs, tended_series
from submission.handlers.auditing import Audit
from submission.handlers.listening import Listening
from submission.handlers.reconciling import EVERY
from submission.ports import Fleet
from submission.routes.monitoring import monitoring_routes
from submission.routes.projects import project_routes
from submission.routes.submitting import submit_routes
from submission.routes.tasks import task_routes
from submission.settings import SubmissionSettings

SCHEMA_REF = "#/components/schemas/{model}"


def create(settings: SubmissionSettings, outside: Outside) -> Service:
    if settings.fleet_pods is None:
        return create_beside(None, settings, outside)
    # Its client takes seconds to import, which nobody else is to wait for.
    from submission.adapters.fleet import KubernetesFleet, from_inside  # noqa: PLC0415

    fleet = KubernetesFleet(from_inside, settings.fleet_pods, outside.clock, nodes=settings.fleet_nodes)
    return create_beside(fleet, settings, outside, fleet.keep_looking)


def create_beside(
    fleet: Fleet | None,
    settings: SubmissionSettings,
    outside: Outside,
    keep_looking: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> Service:
    """With or without a view of the workers' pods, which `keep_looking` keeps up to date."""
    database, clock = Database(settings.submission_database, Table.metadata, migrations.FOLDER), outside.clock
    read_model, directory, workers = SqlReadModel(database), SqlDirectory(database), HeardWorkers(clock)
    audit, project_of = Audit(directory, clock), project_by_header(ApiKeys(api_key_records(outside.state), clock))
    tasks = task_handlers(settings, outside, database, read_model, workers, audit)
    series = tended_series(settings, outside, database, tasks, project_of)
    graphs = tended_graphs(settings, outside, database, tasks, project_of)
    dead_letters = DeadLetterMetrics()
    listening = Listening(
        read_model, directory, workers, tasks.estimating, series.listed, series.wanted.set, clock, dead_letters.heard
    )

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with (
            database.opened(),
            background(
                tasks.announcing.keep_set(),
                tasks.sweeping.keep_set(),
                *series.keep_tended(),
                *graphs.keep_tended(),
                *([keep_looking()] if keep_looking else []),
            ),
        ):
            tasks.announcing.alarm.at(clock.now())
            tasks.sweeping.alarm.at(clock.now() + EVERY)
            series.wanted.set()
            graphs.wanted.set()
            yield

    return Service(
        name=App.SUBMISSION,
        routers=(
            submit_routes(tasks.acceptance, project_of, new_id),
            task_routes(tasks.changes, tasks.estimating, tasks.pausing, read_model, project_of),
            project_routes(read_model, tasks.budgeting, tasks.pausing, project_of, clock),
            series.routes,
            graphs.routes,
            monitoring_routes(
                outside.catalog, workers, fleet, project_of, settings.admin_key, version("movie-tasks-submission")
            ),
            *operator_routers(settings, outside, database, read_model, directory, workers, tasks),
        ),
        subscriptions=(
            Subscription(TASK_REQUESTS, {TaskRequested: tasks.acceptance.on_task_requested}),
            Subscription(
                TASK_EVENTS,
                {TaskChanged: listening.on_task_changed},
                after={TaskChanged: tasks.acceptance.on_heard_back},
            ),
            Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: listening.on_heartbeat}),
            Subscription(OPERATOR_ACTIONS, {OperatorActed: audit.on_operator_acted}),
            Subscription(DEAD_LETTERS, raw=listening.on_dead_letter),
        ),
        jobs={
            "submission-outbox-": tasks.announcing.ring,
            "submission-sweep-": tasks.sweeping.ring,
            "submission-series-": series.chore.ring,
            "submission-graphs-": graphs.chore.ring,
        },
        running=running,
        checks={"database": database.check},
        collectors=(dead_letters.counter,),
        schemas=partial(_schemas, tasks.acceptance.validator),
    )


def _schemas(validator: RequestValidator) -> dict[str, object]:
    """What the routes describe by reference: the request, with one schema per model."""
    request = validator.schema(SCHEMA_REF)
    return {**request.pop("$defs"), "TaskRequest": {"title": "TaskRequest", **request}}
