"""Tasks as people outside see them: the same in the API, in webhooks and in the live feed."""

from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from contracts.errors import Problem
from contracts.identifiers import MediaId, ModelKey, ProjectId, TaskId
from contracts.media import Comparison, MediaResult, Medium
from contracts.pauses import PauseView
from contracts.tasks import (
    Estimate,
    GraphPart,
    Outlook,
    Phase,
    Priority,
    ProcessingProgress,
    ReplayOf,
    SeriesPart,
    Status,
    Task,
)

API = "/api/v1"


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class MediaView(View):
    """A stored file. `url` wants the project's key; a browser is better given a link (`POST …/link`)."""

    id: MediaId
    medium: Medium
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    frame_rate: float | None
    sample_rate: int | None
    channels: int | None
    created_at: AwareDatetime
    url: str
    thumbnail_url: str | None
    manifest_url: str | None

    @classmethod
    def of(cls, media: MediaResult) -> Self:
        url = f"{API}/media/{media.id}"
        return cls(
            **media.model_dump(include=set(cls.model_fields)),
            url=url,
            thumbnail_url=f"{url}/thumbnail" if media.thumbnail_key else None,
            manifest_url=f"{url}/manifest" if media.manifest_key else None,
        )


class MediaLink(View):
    """Addresses that open one file, its thumbnail and its manifest without a key, for whoever has them."""

    url: str
    thumbnail_url: str | None
    manifest_url: str | None
    expires_at: AwareDatetime

    @classmethod
    def to(cls, media: MediaView, token: str, expires_at: datetime) -> Self:
        def linked(url: str | None) -> str | None:
            return f"{url}?link={token}" if url else None

        return cls(
            url=f"{media.url}?link={token}",
            thumbnail_url=linked(media.thumbnail_url),
            manifest_url=linked(media.manifest_url),
            expires_at=expires_at,
        )


class TaskLinks(View):
    status: str
    history: str
    cancel: str
    retry: str
    replay: str
    events: str

    @classmethod
    def to(cls, task_id: str) -> Self:
        task = f"{API}/tasks/{task_id}"
        return cls(
            status=f"{task}/status",
            history=f"{task}/history",
            cancel=f"{task}/cancel",
            retry=f"{task}/retry",
            replay=f"{task}/replay",
            events=f"{API}/live/tasks/{task_id}",
        )


class ReminderView(View):
    """When a task's project is reminded of it; `before_due_seconds` if that was asked for as an offset."""

    at: AwareDatetime
    before_due_seconds: int | None
    note: str | None


class TaskView(View):
    """A task. `seq` rises with every change: of two views of a task the one with the higher `seq` is newer."""

    id: TaskId
    project_id: ProjectId
    seq: int
    status: Status
    phase: Phase
    progress: ProcessingProgress | None
    cancel_requested: bool
    model: ModelKey
    medium: Medium
    params: dict[str, JsonValue]
    inputs: dict[str, MediaId]
    needs: dict[str, TaskId] = {}
    """Which inputs are the results of which other tasks; while it is `blocked` these are not in `inputs` yet."""
    priority: Priority
    tags: tuple[str, ...]
    title: str | None
    client_ref: str | None
    attempt: int
    failures: int
    max_failures: int
    worker_id: str | None
    result: MediaView | None
    replay_of: ReplayOf | None = None
    """For a replay: what it repeats."""
    replay: Comparison | None = None
    """For a replay that is done: whether its result is the same, and if not, how far from it."""
    series: SeriesPart | None = None
    """For an instance of a series: which one, and which of its times."""
    graph: GraphPart | None = None
    """For a task of a graph: which one, and what it is called there."""
    error: Problem | None
    phase_seconds: dict[Phase, float]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    estimate: Estimate | None = None
    """When it will probably be done: as thought when this view was made by submission, elsewhere as thought when the
    task was accepted. None while its project's budget does not reach it, as nobody knows when it will."""
    deadline: Outlook | None = None
    """Whether `due_at` will be kept, by the estimate."""
    not_before: AwareDatetime | None
    start_at: AwareDatetime | None
    due_at: AwareDatetime | None
    expires_at: AwareDatetime | None
    reminders: tuple[ReminderView, ...]
    correlation_id: str
    links: TaskLinks

    @classmethod
    def of(cls, task: Task) -> Self:
        made = ("result", "replay", "reminders", "links", "deadline", "paused")
        shown = {name: getattr(task, name) for name in cls.model_fields if name not in made}
        result = MediaView.of(task.result) if task.result else None
        replay = task.result.comparison if task.result else None
        reminders = tuple(
            ReminderView(at=at, before_due_seconds=reminder.before_due_seconds, note=reminder.note)
            for at, reminder in task.reminded_at.items()
        )
        return cls(
            **shown,
            result=result,
            replay=replay,
            reminders=reminders,
            deadline=task.outlook(task.estimate),
            links=TaskLinks.to(task.id),
        )


class TaskStatus(TaskView):
    """A task as it is at this moment."""

    paused: PauseView | None = None
    """What keeps it from being started, if operators have paused that."""


class TaskPage(View):
    """Tasks, and the cursor of the next page, if there is one."""

    items: list[TaskView]
    next_cursor: str | None


class HistoryItem(View):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    event_id: str
    type: str
    at: AwareDatetime
    seq: int
    phase: str
    attempt: int
    worker_id: str | None
    detail: str | None


class Health(View):
    status: str
    version: str
    models: int
    workers_ready: dict[Medium, int]
    """How many workers take work, by medium."""
