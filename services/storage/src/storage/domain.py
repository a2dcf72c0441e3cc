"""What storage decides, as plain functions over plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from contracts.errors import Problem, RangeNotSatisfiable, UnsupportedMedia
from contracts.identifiers import media_id_for
from contracts.media import MediaResult, Medium, ProducedMedia
from contracts.tasks import Owner, Phase, Task
from contracts.topics import media_prefix

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "image/png": "png",
        "image/jpeg": "jpg",
        "image/webp": "webp",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "audio/wav": "wav",
        "audio/flac": "flac",
        "audio/mpeg": "mp3",
        "audio/ogg": "ogg",
    }
)
"""Every type that is stored, and the ending of its files."""

SAME_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "audio/x-wav": "audio/wav",
        "audio/wave": "audio/wav",
        "audio/vnd.wave": "audio/wav",
        "audio/x-flac": "audio/flac",
        "audio/mp3": "audio/mpeg",
        "application/ogg": "audio/ogg",
        "video/x-m4v": "video/mp4",
        "image/jpg": "image/jpeg",
    }
)


def canonical(content_type: str) -> str:
    """One name for each type, without parameters."""
    plain = content_type.partition(";")[0].strip().lower()
    return SAME_TYPE.get(plain, plain)


def medium_of(content_type: str) -> Medium:
    """Raises `UnsupportedMedia` for a type that is not stored."""
    if content_type not in EXTENSIONS:
        raise UnsupportedMedia(f"{content_type or 'this kind of file'} is not taken; send {', '.join(EXTENSIONS)}")
    return Medium(content_type.partition("/")[0])


@dataclass(frozen=True)
class Probe:
    """What a file is, by its content."""

    content_type: str
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    channels: int | None = None


@dataclass(frozen=True)
class Checked:
    """A file that was looked at: what it is, how long, and its digest."""

    probe: Probe
    size: int
    sha256: str


def check_claim(claim: ProducedMedia, found: Checked) -> Problem | None:
    """What is wrong with a produced file, measured by its claim check."""
    if found.size != claim.size or found.sha256 != claim.sha256:
        return _corrupt(f"{found.size} bytes with another checksum lie where {claim.size} were put")
    if found.probe.content_type != claim.content_type:
        return _corrupt(f"the content is {found.probe.content_type}, not {claim.content_type}")
    return None


def unreadable(reason: str) -> Problem:
    return _corrupt(reason)


def _corrupt(detail: str) -> Problem:
    return Problem.of("media-corrupt", "The produced file is not what the worker made", detail, retryable=True)


def media_result(media_id: str, project_id: str, task_id: str | None, found: Checked, now: datetime) -> MediaResult:
    """The record of a stored file, with the keys under which its parts lie."""
    probe, prefix = found.probe, media_prefix(project_id, media_id)
    return MediaResult(
        id=media_id,
        project_id=project_id,
        task_id=task_id,
        medium=medium_of(probe.content_type),
        content_type=probe.content_type,
        size=found.size,
        sha256=found.sha256,
        key=f"{prefix}/original.{EXTENSIONS[probe.content_type]}",
        thumbnail_key=f"{prefix}/thumbnail.webp",
        manifest_key=f"{prefix}/manifest.json" if task_id else None,
        width=probe.width,
        height=probe.height,
        duration_seconds=probe.duration_seconds,
        frame_rate=probe.frame_rate,
        sample_rate=probe.sample_rate,
        channels=probe.channels,
        created_at=now,
    )


def result_of(task: Task, found: Checked, now: datetime) -> MediaResult:
    result = media_result(media_id_for(task.id, task.attempt), task.project_id, task.id, found, now)
    return result.model_copy(update={"comparison": task.produced.comparison}) if task.produced else result


def needs_storing(task: Task, attempt: int) -> bool:
    return task.phase is Phase.STORING and task.attempt == attempt and task.produced is not None


def has_no_result_yet(task: Task, attempt: int) -> bool:
    """Whether the attempt runs, or has yet to begin: what a record says that is older than the attempt's result."""
    runs = task.phase is Phase.ASSIGNED or task.phase.owner is Owner.WORKER
    return task.attempt < attempt or (task.attempt == attempt and runs)


def staged_for_nobody(task: Task | None, attempt: int, key: str) -> bool:
    """Whether a file that an attempt left in staging can go."""
    if task is None or task.phase.terminal:
        return True
    kept_for_the_next = task.checkpoint is not None and task.checkpoint.key == key
    return attempt < task.attempt and not kept_for_the_next


def shows_previews(task: Task | None, project_id: str, attempt: str) -> bool:
    """Whether how far the attempt has come is still to be seen, by this project."""
    return (
        task is not None
        and task.project_id == project_id
        and str(task.attempt) == attempt
        and task.phase.owner is Owner.WORKER
    )


@dataclass(frozen=True)
class Span:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def read_range(header: str | None, size: int) -> Span | None:
    """The one range a `Range` header asks for, or None when the whole file is to be sent.

    As RFC 9110 allows, several ranges and what is no byte range are answered with the whole file.
    Raises `RangeNotSatisfiable`.
    """
    if not header:
        return None
    unit, _, ranges = header.partition("=")
    first, dash, last = ranges.strip().partition("-")
    numbers = [part for part in (first, last) if part]
    if unit.strip().lower() != "bytes" or not dash or not numbers or not all(_is_number(part) for part in numbers):
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if last and first and int(last) < int(first):
        return None
    if start >= size or end <= start:
        raise RangeNotSatisfiable(f"the file has {size} bytes")
    return Span(start, end)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
