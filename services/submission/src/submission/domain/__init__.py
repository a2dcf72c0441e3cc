"""What submission decides, as plain functions over plain values: about tasks, listings, estimates and series."""

from submission.domain.listing import (
    LONGEST_PAGE,
    QUEUE_SHOWN,
    WAITING,
    Cursor,
    Sort,
    Tally,
    TaskFilter,
    queue_of,
    read_cursor,
    searchable_text,
    without_runs,
    words_of,
)
from submission.domain.tasks import (
    FOR_ITSELF,
    Origin,
    Purpose,
    check_inputs,
    check_repetition,
    instance_digest,
    new_task,
    own_task,
    replay_digest,
    replay_request,
)
from submission.domain.times import (
    check_times,
    without_past_reminders,
)

__all__ = [
    "FOR_ITSELF",
    "LONGEST_PAGE",
    "QUEUE_SHOWN",
    "WAITING",
    "Cursor",
    "Origin",
    "Purpose",
    "Sort",
    "Tally",
    "TaskFilter",
    "check_inputs",
    "check_repetition",
    "check_times",
    "instance_digest",
    "new_task",
    "own_task",
    "queue_of",
    "read_cursor",
    "replay_digest",
    "replay_request",
    "searchable_text",
    "without_past_reminders",
    "without_runs",
    "words_of",
]
