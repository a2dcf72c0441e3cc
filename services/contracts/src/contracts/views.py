"""Tasks as people outside see them: the same in the API, in webhooks and in the live feed."""

from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from contracts.errors import Problem
from contracts.identifiers import MediaId, ModelKey, ProjectId, TaskId
from contracts.media import Comparison, MediaResult, Medium
from contracts.tasks import Phase, Priority, ProcessingProgress, ReplayOf, Status, Task

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
    error: Problem | None
    phase_seconds: dict[Phase, float]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    not_before: AwareDatetime | None
    expires_at: AwareDatetime | None
    correlation_id: str
    links: TaskLinks

    @classmethod
    def of(cls, task: Task) -> Self:
        shown = {name: getattr(task, name) for name in cls.model_fields if name not in ("result", "replay", "links")}
        result = MediaView.of(task.result) if task.result else None
        replay = task.result.comparison if task.result else None
        return cls(**shown, result=result, replay=replay, links=TaskLinks.to(task.id))
