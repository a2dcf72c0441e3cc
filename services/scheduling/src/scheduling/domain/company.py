"""Which tasks may share one forward pass, by the catalog."""

import hashlib
import json
from dataclasses import dataclass

from contracts.catalog import Catalog
from contracts.tasks import Task


@dataclass(frozen=True)
class Company:
    """What a task may share a forward pass with."""

    alike: str | None = None
    """The same for all tasks that may share a pass; none for what must run alone."""
    most: int = 1
    """How many may share it."""


ALONE = Company()


def company(task: Task, catalog: Catalog) -> Company:
    """What has failed before runs alone, so that it cannot fail others again and again; a replay too, for company may
    change the last bits."""
    entry = catalog.get(task.model)
    if entry is None or task.inputs or task.failures or task.replay_of:
        return ALONE
    most = entry.most_together(task.params)
    if most == 1:
        return ALONE
    shared = json.dumps([task.model, entry.shared(task.params)], sort_keys=True)
    return Company(hashlib.sha256(shared.encode()).hexdigest()[:32], most)
