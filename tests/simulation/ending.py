"""What must hold when everything is over: nothing is left, nothing is missing, everybody was told."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from contracts.media import MediaResult
from contracts.tasks import Phase
from contracts.topics import STAGING, App, media_key

if TYPE_CHECKING:
    from tests.simulation.world import World

QUEUED = "queue WHERE look_at IS NOT NULL"
"""Without the ended tasks of which everybody has heard."""


def amiss(world: "World") -> Iterator[str]:
    """In words, what does not hold."""
    invariants = world.invariants
    if staged := world.staged():
        yield f"{STAGING} is not empty after the sweep: {staged}"
    for app, columns, table, what in (
        (App.SCHEDULING, "task_id, phase", QUEUED, "scheduling's queue"),
        (App.SUBMISSION, "task_id, seq", "outbox", "submission's outbox"),
        (App.STORAGE, "task_id, attempt", "ingests", "storage's table"),
        (App.NOTIFICATION, "webhook_id, state", "webhook_deliveries WHERE state <> 'delivered'", "notification's"),
    ):
        if left := world.rows(app, columns, table):
            yield f"{what} is not empty in the end: {left}"
    if world.bus.under_way:
        yield f"{world.bus.under_way} deliveries never ended"
    for wish in world.people.promised:
        if wish.task_id not in invariants.tasks:
            yield f"the accepted task {wish.task_id[:4]} is lost"
    yield from _amiss_in_listing(world)
    yield from _amiss_in_media(world)
    for task in invariants.tasks.values():
        if invariants.must_be_told(task):
            yield f"{task.project_id} was never told that {task.id[:4]} is {task.phase.value}"


def _amiss_in_listing(world: "World") -> Iterator[str]:
    listed = dict(world.rows(App.SUBMISSION, "id, seq", "tasks"))
    for task in world.invariants.tasks.values():
        seq = listed.get(task.id)
        if seq != task.seq:
            yield f"the list shows {task.id[:4]} ({task.phase.value}) as of seq {seq}, it is at {task.seq}"


def _amiss_in_media(world: "World") -> Iterator[str]:
    """Exactly one media document for each task that is done, none for any other, and no file without one."""
    documents = [
        MediaResult.model_validate_json(found.value)
        for key, found in world.state.documents.items()
        if key.startswith(media_key(""))
    ]
    for task in world.invariants.tasks.values():
        held = [media.id for media in documents if media.task_id == task.id]
        wanted = [task.result.id] if task.phase is Phase.DONE and task.result else []
        if held != wanted:
            yield f"task {task.id[:4]} ({task.phase.value}) has the media {held}, not {wanted}"
    kept = {key for media in documents for key in (media.key, media.thumbnail_key, media.manifest_key)}
    for key in world.objects.stored:
        if not key.startswith(f"{STAGING}/") and key not in kept:
            yield f"{key} belongs to no media document"
