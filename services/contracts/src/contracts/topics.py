"""The one home of names that services share: apps, components, topics and state keys."""

from dataclasses import dataclass
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


def worker_app(medium: Medium) -> App:
    return App(f"gpu-worker-{medium.value}")


class Component(StrEnum):
    EVENTS = "events"
    """Delivers each event once per service, from the oldest on."""
    BROADCAST = "broadcast"
    """Delivers each event to every replica, from now on."""


@dataclass(frozen=True)
class Topic:
    name: str
    component: Component


TASK_REQUESTS = Topic("task-requests", Component.EVENTS)
TASK_EVENTS = Topic("task-events", Component.EVENTS)
DEAD_LETTERS = Topic("dead-letters", Component.EVENTS)
TASK_UPDATES = Topic("task-updates", Component.BROADCAST)
TASK_CONTROL = Topic("task-control", Component.BROADCAST)
WORKER_HEARTBEATS = Topic("worker-heartbeats", Component.BROADCAST)
QUEUE_UPDATES = Topic("queue-updates", Component.BROADCAST)
ASSIGNMENTS = {medium: Topic(f"assignments-{medium.value}", Component.BROADCAST) for medium in Medium}

TOPICS = (
    TASK_REQUESTS,
    TASK_EVENTS,
    DEAD_LETTERS,
    TASK_UPDATES,
    TASK_CONTROL,
    WORKER_HEARTBEATS,
    QUEUE_UPDATES,
    *ASSIGNMENTS.values(),
)


def task_key(task_id: str) -> str:
    return f"task:{task_id}"


def project_key(project_id: str) -> str:
    return f"project:{project_id}"


def api_key_key(key_id: str) -> str:
    return f"apikey:{key_id}"


def media_key(media_id: str) -> str:
    return f"media:{media_id}"


def staging_key(task_id: str, attempt: int, extension: str) -> str:
    """Where a worker puts what an attempt produced. The attempt in it keeps a zombie off."""
    return f"{staging_prefix(task_id, attempt)}/output.{extension}"


def staging_prefix(task_id: str, attempt: int) -> str:
    return f"{STAGING}/{task_id}/{attempt}"


STAGING = "staging"


def media_prefix(project_id: str, media_id: str) -> str:
    return f"projects/{project_id}/media/{media_id}"
