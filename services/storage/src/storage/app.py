"""The composition root of storage."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.alarm import Alarm, Chore
from chassis.auth import ApiKeys, project_by_header
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.preview_links import PreviewLinks
from chassis.sealed import Seal
from chassis.service import Service
from contracts.events import TaskChanged
from contracts.records import TaskRecords, api_key_records, media_records
from contracts.tasks import Backoff
from contracts.topics import TASK_EVENTS, App
from contracts.views import API

from storage.adapters import migrations
from storage.adapters.ingests import SqlIngests
from storage.adapters.media_tools import PillowAndPyAV
from storage.adapters.tables import Table
from storage.handlers.ingesting import Ingesting
from storage.handlers.linking import PURPOSE, Linking
from storage.handlers.previewing import Previewing
from storage.handlers.serving import Serving
from storage.handlers.sweeping import Sweeping
from storage.handlers.uploading import Uploading
from storage.routes import media_routes, preview_routes, project_of_viewer
from storage.settings import StorageSettings

FORM_AROUND_A_FILE = 64 * 1024


def create(settings: StorageSettings, outside: Outside) -> Service:
    clock, objects, tools = outside.clock, outside.objects, PillowAndPyAV()
    database = Database(settings.storage_database, Table.metadata, migrations.FOLDER)
    tasks, media = TaskRecords(outside.state, clock, outside.tracing.of(App.STORAGE)), media_records(outside.state)
    keys = ApiKeys(api_key_records(outside.state), clock)
    ingest_alarm = Alarm(
        outside.jobs, clock, f"storage-ingest-{settings.replica}", at_least_every=settings.storage_hold
    )
    sweep_alarm = Alarm(outside.jobs, clock, f"storage-sweep-{settings.replica}")
    ingesting = Ingesting(
        tasks=tasks,
        media=media,
        ingests=SqlIngests(database),
        objects=objects,
        tools=tools,
        publisher=outside.publisher,
        clock=clock,
        wake_at=ingest_alarm.at,
        wanted=asyncio.Event(),
        scratch=settings.storage_scratch,
        at_once=settings.storage_at_once,
        hold=settings.storage_hold,
        backoff=Backoff(),
        randomness=random.Random(),
    )
    sweeping = Sweeping(tasks, objects, settings.storage_keep_staging)
    chores = {
        "storage-ingest-": Chore(ingest_alarm, ingesting.take_due),
        "storage-sweep-": Chore(sweep_alarm, sweeping.sweep),
    }
    uploading = Uploading(media, objects, tools, clock, lambda: str(uuid.uuid4()), settings.storage_largest_upload)

    preview_keys = settings.preview_link_keys
    links = PreviewLinks(preview_keys.get_secret_value()) if preview_keys else None
    previewing = Previewing(links, tasks, objects, clock) if links else None
    linking = Linking(Seal(settings.media_link_keys.get_secret_value(), PURPOSE), clock)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        settings.storage_scratch.mkdir(parents=True, exist_ok=True)
        async with (
            database.opened(),
            background(*(chore.keep_set() for chore in chores.values()), ingesting.keep_ingesting()),
        ):
            ingest_alarm.at(clock.now())
            sweep_alarm.at(clock.now())
            yield

    return Service(
        name=App.STORAGE,
        routers=(
            media_routes(
                uploading,
                Serving(media, objects),
                linking,
                project_by_header(keys),
                project_of_viewer(linking, keys),
                settings.storage_scratch,
            ),
            *([preview_routes(previewing)] if previewing else []),
        ),
        subscriptions=(Subscription(TASK_EVENTS, {TaskChanged: ingesting.on_task_changed}),),
        jobs={prefix: chore.ring for prefix, chore in chores.items()},
        running=running,
        checks={"database": database.check},
        large_bodies={f"{API}/media": settings.storage_largest_upload + FORM_AROUND_A_FILE},
    )
