"""What the admin key opens."""

import secrets
from collections.abc import Sequence

from chassis.database import Database
from chassis.operators import operator_by_header
from chassis.outside import Outside
from contracts.records import api_key_records
from fastapi import APIRouter

from submission.adapters.all_tasks import SqlAllTasks
from submission.adapters.directory import SqlDirectory
from submission.adapters.read_model import SqlReadModel
from submission.adapters.workers import HeardWorkers
from submission.app.tasks import TaskHandlers
from submission.handlers.administering import Administration
from submission.handlers.bulk import Bulk
from submission.handlers.draining import Draining
from submission.handlers.redriving import Redriving
from submission.routes.admin import admin_routes
from submission.routes.letters import letter_routes
from submission.routes.operations import operation_routes
from submission.routes.pauses import pause_routes
from submission.settings import SubmissionSettings


def operator_routers(
    settings: SubmissionSettings,
    outside: Outside,
    database: Database,
    read_model: SqlReadModel,
    directory: SqlDirectory,
    workers: HeardWorkers,
    tasks: TaskHandlers,
) -> Sequence[APIRouter]:
    pausing, audit, clock, all_tasks = tasks.pausing, tasks.pausing.audit, outside.clock, SqlAllTasks(database)
    administration = Administration(
        pausing.projects,
        api_key_records(outside.state),
        directory,
        audit,
        clock,
        lambda: secrets.token_hex(8),
        lambda: secrets.token_urlsafe(32),
    )
    bulk = Bulk(all_tasks, tasks.records, tasks.changes, audit, clock)
    draining = Draining(workers, outside.publisher, audit, clock)
    redriving = Redriving(directory, outside.publisher, audit, clock)
    operator_of = operator_by_header(settings.admin_key)
    return (
        admin_routes(administration, directory, operator_of),
        pause_routes(pausing, operator_of),
        letter_routes(redriving, operator_of),
        operation_routes(bulk, all_tasks, read_model, tasks.records, workers, draining, operator_of),
    )
