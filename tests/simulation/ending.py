"""What must hold when everything is over: nothing is left, nothing is missing, everybody was told."""

from typing import TYPE_CHECKING

from contracts.media import MediaResult
from contracts.tasks import Phase
from contracts.topics import STAGING, App, media_key

if TYPE_CHECKING:
    from tests.simulation.world import World

QUEUED = "queue WHERE look_at IS NOT NULL"
"""Without the ended tasks of which everybody has heard."""


def check_end(world: "World") -> None:
    invariants = world.invariants
    invariants.expect(not world.staged(), f"{STAGING} is not empty after the sweep: {world.staged()}")
    for app, columns, table, what in (
        (App.SCHEDULING, "task_id, phase", QUEUED, "scheduling's queue"),
        (App.SUBMISSION, "task_id, seq", "outbox", "submission's outbox"),
        (App.STORAGE, "task_id, attempt", "ingests", "storage's table"),
        (App.NOTIFICATION, "webhook_id, state", "webhook_deliveries WHERE state <> 'delivered'", "notification's"),
    ):
        left = world.rows(app, columns, table)
        invariants.expect(not left, f"{what} is not empty in the end: {left}")
    invariants.expect(world.bus.under_way == 0, f"{world.bus.under_way} deliveries never ended")
    for wish in world.people.promised:
        invariants.expect(wish.task_id in invariants.tasks, f"the accepted task {wish.task_id[:4]} is lost")
    _check_listing(world)
    _check_media(world)
    for task in invariants.tasks.values():
        invariants.expect(
            not invariants.must_be_told(task),
            f"{task.project_id} was never told that {task.id[:4]} is {task.phase.value}",
        )


def _check_listing(world: "World") -> None:
    listed = dict(world.rows(App.SUBMISSION, "id, seq", "tasks"))
    for task in world.invariants.tasks.values():
        seq = listed.get(task.id)
        world.invariants.expect(
            seq == task.seq, f"the list shows {task.id[:4]} ({task.phase.value}) as of seq {seq}, it is at {task.seq}"
        )


def _check_media(world: "World") -> None:
    """Exactly one media document for each task that is done, none for any other, and no file without one."""
    invariants = world.invariants
    documents = [
        MediaResult.model_validate_json(found.value)
        for key, found in world.state.documents.items()
        if key.startswith(media_key(""))
    ]
    for task in invariants.tasks.values():
        held = [media.id for media in documents if media.task_id == task.id]
        wanted = [task.result.id] if task.phase is Phase.DONE and task.result else []
        invariants.expect(held == wanted, f"task {task.id[:4]} ({task.phase.value}) has the media {held}, not {wanted}")
    kept = {key for media in documents for key in (media.key, media.thumbnail_key, media.manifest_key)}
    for key in world.objects.stored:
        if not key.startswith(f"{STAGING}/"):
            invariants.expect(key in kept, f"{key} belongs to no media document")
