"""What is done with single tasks: by projects, by operators and by whoever tends series and graphs."""

import random
import uuid
from dataclasses import dataclass

from chassis.alarm import LOOK_EVERY, Alarm, Chore
from chassis.database import Database
from chassis.outside import Outside
from chassis.remembering import Remembered
from contracts.catalog import RequestValidator
from contracts.records import TaskRecords, media_records, pauses_records, project_records, spending_records
from contracts.topics import App

from submission.adapters.backlogs import SqlBacklogs
from submission.adapters.experience import SqlExperience
from submission.adapters.outbox import SqlOutbox
from submission.adapters.read_model import SqlReadModel
from submission.adapters.workers import HeardWorkers
from submission.handlers.accepting import Acceptance
from submission.handlers.auditing import Audit
from submission.handlers.budgeting import Budgeting
from submission.handlers.changing import TaskChanges
from submission.handlers.estimating import Estimating
from submission.handlers.pausing import Pausing
from submission.handlers.reconciling import Reconciling
from submission.settings import SubmissionSettings


@dataclass(frozen=True)
class TaskHandlers:
    records: TaskRecords
    acceptance: Acceptance
    changes: TaskChanges
    estimating: Estimating
    budgeting: Budgeting
    pausing: Pausing
    announcing: Chore
    sweeping: Chore


def task_handlers(
    settings: SubmissionSettings,
    outside: Outside,
    database: Database,
    read_model: SqlReadModel,
    workers: HeardWorkers,
    audit: Audit,
) -> TaskHandlers:
    clock, catalog, tracer = outside.clock, outside.catalog, outside.tracing.of(App.SUBMISSION)
    records = TaskRecords(outside.state, clock, tracer)
    projects, pauses, outbox = project_records(outside.state), pauses_records(outside.state), SqlOutbox(database)
    pausing = Pausing(pauses, Remembered(pauses, clock), projects, catalog, audit, clock)
    budgeting = Budgeting(catalog, Remembered(projects, clock), spending_records(outside.state), read_model, clock)
    experience, backlogs = SqlExperience(database, clock), SqlBacklogs(database, workers, clock)
    estimating = Estimating(catalog, experience, backlogs, budgeting, pausing, clock, records)
    alarm = Alarm(outside.jobs, clock, f"submission-outbox-{settings.replica}", at_least_every=LOOK_EVERY)
    acceptance = Acceptance(
        catalog=catalog,
        validator=RequestValidator(catalog),
        tasks=records,
        projects=projects,
        media=media_records(outside.state),
        read_model=read_model,
        outbox=outbox,
        estimating=estimating,
        publisher=outside.publisher,
        wake_at=alarm.at,
        clock=clock,
        randomness=random.Random(),
        tracer=tracer,
    )
    reconciling = Reconciling(records, read_model, outside.publisher)
    return TaskHandlers(
        records=records,
        acceptance=acceptance,
        changes=TaskChanges(records, outbox, outside.publisher, alarm.at, clock, acceptance.check_project),
        estimating=estimating,
        budgeting=budgeting,
        pausing=pausing,
        announcing=Chore(alarm, acceptance.announce_due),
        sweeping=Chore(Alarm(outside.jobs, clock, f"submission-sweep-{settings.replica}"), reconciling.sweep),
    )


def new_id() -> str:
    return str(uuid.uuid4())
