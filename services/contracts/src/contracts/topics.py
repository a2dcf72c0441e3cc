"""The one home of names that services share: apps, components, topics and state keys."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from contracts.media import Medium

STATE_STORE = "taskstate"


class App(StrEnum):
    SUBMISSION = "submission"
    SCHEDULING = "scheduling"
    GPU_WORKER_IMAGE = "gpu-worker-image"
    GPU_WORKER_VIDEO = "gpu-worker-video"
    GPU_WORKER_AUDIO = "gpu-worker-audio"
    STORAGE = "storage"
    NOTIFICATION = "notification"
    PAYLOADCMS = "payloadcms"
    """The content system's sidecar: it may ask for tasks and nothing else."""


def worker_app(medium: Medium) -> App:
    return App(f"gpu-worker-{medium.value}")


WORKERS = tuple(worker_app(medium) for medium in Medium)
SERVICES = tuple(app for app in App if app is not App.PAYLOADCMS)


class Component(StrEnum):
    EVENTS = "events"
    """Delivers each event once per service, from the oldest on."""
    BROADCAST = "broadcast"
    """Delivers each event to every replica, from now on."""


@dataclass(frozen=True)
class Topic:
    """A topic, who may speak and who may listen on it, and how a broker keeps it.

    A sidecar hands over one event at a time per partition, so partitions are what a service can do at once.
    """

    name: str
    component: Component
    publishers: tuple[App, ...]
    subscribers: tuple[App, ...]
    partitions: int
    retention: timedelta


LONG, SHORT = timedelta(days=30), timedelta(hours=1)
TASK_REQUESTS = Topic(
    "task-requests", Component.EVENTS, (App.PAYLOADCMS, App.SUBMISSION), (App.SUBMISSION,), 6, timedelta(days=7)
)
TASK_EVENTS = Topic(
    "task-events",
    Component.EVENTS,
    (App.SUBMISSION, App.SCHEDULING, *WORKERS, App.STORAGE),
    (App.SUBMISSION, App.SCHEDULING, App.STORAGE, App.NOTIFICATION),
    12,
    LONG,
)
REMINDERS = Topic(
    "reminders",
    Component.EVENTS,
    (App.SCHEDULING, App.SUBMISSION),
    (App.SCHEDULING, App.NOTIFICATION),
    12,
    timedelta(days=7),
)
OPERATOR_ACTIONS = Topic("operator-actions", Component.EVENTS, (App.NOTIFICATION,), (App.SUBMISSION,), 1, LONG)
DEAD_LETTERS = Topic("dead-letters", Component.EVENTS, SERVICES, (App.SUBMISSION,), 1, LONG)
TASK_UPDATES = Topic("task-updates", Component.BROADCAST, (*WORKERS, App.NOTIFICATION), (App.NOTIFICATION,), 3, SHORT)
TASK_CONTROL = Topic("task-control", Component.BROADCAST, (App.SUBMISSION, App.SCHEDULING), WORKERS, 1, SHORT)
WORKER_HEARTBEATS = Topic(
    "worker-heartbeats", Component.BROADCAST, WORKERS, (App.SUBMISSION, App.SCHEDULING, *WORKERS), 3, SHORT
)
FEED_WATCHERS = Topic("feed-watchers", Component.BROADCAST, (App.NOTIFICATION,), WORKERS, 1, SHORT)
QUEUE_UPDATES = Topic("queue-updates", Component.BROADCAST, (App.SCHEDULING,), (App.SCHEDULING,), 1, SHORT)
ASSIGNMENTS = {
    medium: Topic(
        f"assignments-{medium.value}", Component.BROADCAST, (App.SCHEDULING,), (worker_app(medium),), 1, SHORT
    )
    for medium in Medium
}

TOPICS = (
    TASK_REQUESTS,
    TASK_EVENTS,
    REMINDERS,
    OPERATOR_ACTIONS,
    DEAD_LETTERS,
    TASK_UPDATES,
    TASK_CONTROL,
    WORKER_HEARTBEATS,
    FEED_WATCHERS,
    QUEUE_UPDATES,
    *ASSIGNMENTS.values(),
)


def task_key(task_id: str) -> str:
    return f"task:{task_id}"


def project_key(project_id: str) -> str:
    return f"project:{project_id}"


def spending_key(project_id: str) -> str:
    return f"spending:{project_id}"


def pauses_key(which: str) -> str:
    return f"pauses:{which}"


def api_key_key(key_id: str) -> str:
    return f"apikey:{key_id}"


def series_key(series_id: str) -> str:
    return f"series:{series_id}"


def graph_key(graph_id: str) -> str:
    return f"graph:{graph_id}"


def media_key(media_id: str) -> str:
    return f"media:{media_id}"


def staging_key(task_id: str, attempt: int, extension: str) -> str:
    """Where a worker puts what an attempt produced. The attempt in it keeps a zombie off."""
    return f"{staging_prefix(task_id, attempt)}/output.{extension}"


def checkpoint_key(task_id: str, attempt: int, step: int) -> str:
    return f"{staging_prefix(task_id, attempt)}/checkpoint-{step}.safetensors"


def preview_key(task_id: str, attempt: int) -> str:
    """Where a worker puts how far an attempt has come, in place of what was there before."""
    return f"{staging_prefix(task_id, attempt)}/preview.webp"


def staging_prefix(task_id: str, attempt: int) -> str:
    return f"{STAGING}/{task_id}/{attempt}"


STAGING = "staging"


def media_prefix(project_id: str, media_id: str) -> str:
    return f"projects/{project_id}/media/{media_id}"
