"""What operators say of projects' budgets, and that nothing is started beyond them."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.budgets import Budget, Per
from contracts.projects import Project
from contracts.tasks import Phase, Task, gpu_seconds

from tests.simulation.network import BEGIN

UNCHARGED = (Phase.ASSIGNED, Phase.LOADING_MODEL, Phase.GENERATING)
SEEN_WITHIN_SECONDS = 60.0
"""A pass that began before a budget was lowered may go on for so long, as answers are slow."""
LEADS_ON_SECONDS = 30.0
"""What a leader has planned may be saved so long after another one leads: the two do not know of each other's."""


@dataclass
class Attempt:
    thought: float
    """What the catalog says it costs."""
    by: str
    """Who leads."""
    at: float
    cost: float = 0.0


@dataclass
class Budgets:
    """Each project's budget over time, and what its attempts have cost."""

    run_seconds: Mapping[str, float]
    noted: Callable[[], Mapping[str, int]]
    """The attempt of each task that is in scheduling's queue, as it is there."""
    _said: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _attempts: dict[str, dict[tuple[str, int], Attempt]] = field(default_factory=lambda: defaultdict(dict))

    def said(self, project: Project, now: float) -> None:
        seconds = project.budget.gpu_seconds if project.budget is not None else float("inf")
        self._said.setdefault(project.id, []).append((now, seconds))

    def saved(self, who: str, before: Task, after: Task, tasks: Mapping[str, Task], now: float) -> str | None:
        """What is wrong, if this starts what the budget does not allow."""
        attempts = self._attempts[after.project_id]
        if before.attempt:
            attempts[after.id, before.attempt].cost += gpu_seconds(after) - gpu_seconds(before)
        if after.attempt == before.attempt:
            return None
        started = Attempt(self.run_seconds[after.model], who, now)
        others = {key: one for key, one in attempts.items() if one.by == who or now - one.at > LEADS_ON_SECONDS}
        attempts[after.id, after.attempt] = started
        most = self._most(after.project_id, now) - started.thought + 1e-6
        if sum(_counted(key, one, tasks) for key, one in others.items()) <= most:
            return None
        # A leader may die before it notes an assignment that is saved. What was noted and is there no more has ended.
        noted = self.noted()
        counted = sum(_counted(key, one, tasks) for key, one in others.items() if noted.get(key[0], key[1]) >= key[1])
        if counted <= most:
            return None
        return f"{after.project_id} starts {after.id[:4]}: {counted:.1f} GPU-seconds are more than {most:.1f}"

    def _most(self, project_id: str, now: float) -> float:
        """The highest budget that a leader may have been told of."""
        said = self._said[project_id]
        lately = [seconds for at, seconds in said if at > now - SEEN_WITHIN_SECONDS]
        earlier = [seconds for at, seconds in said if at <= now - SEEN_WITHIN_SECONDS]
        return max(lately + earlier[-1:])


def _counted(key: tuple[str, int], attempt: Attempt, tasks: Mapping[str, Task]) -> float:
    """What a leader counts for the attempt at least, whatever it has not heard of yet."""
    task = tasks[key[0]]
    runs = task.attempt == key[1] and task.phase in UNCHARGED
    return attempt.thought if runs else min(attempt.thought, attempt.cost)


def drawn_project(randomness: random.Random, project_id: str) -> Project:
    """Some have a budget of a few runs."""
    project = Project(id=project_id, name=project_id, created_at=BEGIN)
    return with_another_budget(randomness, project) if randomness.random() < 0.4 else project


def with_another_budget(randomness: random.Random, project: Project) -> Project:
    budget = Budget(gpu_seconds=randomness.uniform(1.0, 6.0), per=randomness.choice(list(Per)))
    return project.model_copy(update={"budget": budget})


def without_budgets(projects: Sequence[Project]) -> list[Project]:
    return [project.model_copy(update={"budget": None}) for project in projects]
