"""All services in one application, beside one daprd. Composition only."""

import os
from collections.abc import Callable
from typing import Any

import gpu_worker.app
import notification.app
import scheduling.app
import storage.app
import submission.app
from chassis.outside import Outside
from chassis.process import beside_dapr
from chassis.service import Service, build_app
from chassis.settings import ProcessSettings, SidecarSettings
from contracts.media import Medium
from fastapi import FastAPI
from gpu_worker.settings import WorkerSettings
from notification.settings import NotificationSettings
from scheduling.settings import SchedulingSettings
from storage.settings import StorageSettings
from submission.settings import SubmissionSettings

from embedded.credentials import Credentials
from embedded.settings import EmbeddedSettings

REPLICA = "embedded"


MakeWorker = Callable[[WorkerSettings, Outside], Service]


def create(
    settings: EmbeddedSettings,
    credentials: Credentials,
    sidecar_settings: SidecarSettings,
    make_worker: MakeWorker = gpu_worker.app.create,
) -> FastAPI:
    media_url = f"file://{(settings.data / 'media').resolve()}"
    process = ProcessSettings(media_url=media_url, replica=REPLICA, models=settings.models)
    outside, around = beside_dapr(process, sidecar_settings)
    return build_app(services(settings, credentials, media_url, outside, make_worker), around)


def services(
    settings: EmbeddedSettings,
    credentials: Credentials,
    media_url: str,
    outside: Outside,
    make_worker: MakeWorker = gpu_worker.app.create,
) -> list[Service]:
    """Every service, each with a database of its own."""
    data = settings.data

    def database(name: str) -> str:
        return f"sqlite:///{data.resolve()}/{name}.db"

    common: dict[str, Any] = {"media_url": media_url, "replica": REPLICA}
    workers = [
        make_worker(
            WorkerSettings(
                **common,
                worker_medium=medium,
                worker_models_folder=data / "models",
                worker_scratch=data / "scratch" / medium.value,
                # Engines that together have more threads than there are cores slow each other down tenfold.
                worker_threads=max(1, (os.cpu_count() or 1) // len(Medium)),
            ),
            outside,
        )
        for medium in Medium
    ]
    return [
        submission.app.create(
            SubmissionSettings(**common, submission_database=database("submission"), admin_key=credentials.admin_key),
            outside,
        ),
        *workers,
        storage.app.create(
            StorageSettings(
                **common,
                storage_database=database("storage"),
                storage_scratch=data / "scratch" / "storage",
                media_link_keys=credentials.media_link_key,
                preview_link_keys=credentials.preview_link_key,
            ),
            outside,
        ),
        notification.app.create(
            NotificationSettings(
                **common,
                notification_database=database("notification"),
                admin_key=credentials.admin_key,
                webhook_encryption_keys=credentials.webhook_encryption_key,
                preview_link_keys=credentials.preview_link_key,
                webhook_private_hosts=settings.webhook_private_hosts,
            ),
            outside,
        ),
        scheduling.app.create(
            SchedulingSettings(**common, scheduling_database=database("scheduling")),
            outside,
        ),
    ]
