"""What projects' budgets allow, and what they have spent."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

import structlog
from contracts.budgets import left_of, month_of
from contracts.catalog import Catalog
from contracts.errors import AlreadyExists, RetryableError
from contracts.ports import Clock, StateStore
from contracts.topics import spending_key

from scheduling.domain.budgets import Terms, still_uncharged
from scheduling.ports import Ledger, Projects, Queue

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""However many tasks a project runs, what it has spent is written down so often at most."""


@dataclass(frozen=True)
class Budgeting:
    catalog: Catalog
    projects: Projects
    queue: Queue
    ledger: Ledger
    clock: Clock

    async def terms(self, project_ids: Collection[str]) -> Terms:
        """On which these projects' tasks may be started now. Raises `DependencyUnavailable`."""
        now = self.clock.now()
        found = await asyncio.gather(*(self.projects.get(project_id) for project_id in project_ids))
        projects = [project for project in found if project is not None]
        budgets = {project.id: project.budget for project in projects if project.budget is not None}
        age_from = {project.id: moment for project in projects if (moment := project.budget_began(now)) is not None}
        if not budgets:
            return Terms(age_from=age_from)
        # First what runs, then what was charged: a run that ends in between counts twice, rather than not at all.
        expected: dict[str, list[float]] = {project_id: [] for project_id in budgets}
        for entry in await self.queue.held_of(budgets):
            model = self.catalog.get(entry.model)
            usual = model.run_seconds if model else 0.0
            expected[entry.project_id].append(still_uncharged(entry.phase, entry.phase_heard_at, usual, now))
        spent = await self.ledger.spent(budgets, month_of(now))
        room = {id: left_of(budget, spent[id], expected[id], now) for id, budget in budgets.items()}
        return Terms(room, age_from)


@dataclass(frozen=True)
class Accounting:
    """Writes down what projects have spent, where others find it who may not look into the ledger."""

    store: StateStore
    ledger: Ledger
    clock: Clock
    _untold: dict[str, None] = field(default_factory=dict)
    _any: asyncio.Event = field(default_factory=asyncio.Event)

    def charged(self, project_id: str) -> None:
        self._untold[project_id] = None
        self._any.set()

    async def take_stock(self) -> None:
        """Whoever charged a project may have died before it was written down."""
        for project_id in await self.ledger.charged():
            self.charged(project_id)

    async def keep_telling(self) -> None:
        """Runs for as long as the service does. What cannot be written now is tried again."""
        while True:
            await self._any.wait()
            self._any.clear()
            untold = [*self._untold]
            self._untold.clear()
            for project_id in untold:
                try:
                    await self._tell(project_id)
                except (RetryableError, AlreadyExists) as error:
                    log.info("writing down what was spent is put off", project_id=project_id, reason=error.detail)
                    self.charged(project_id)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _tell(self, project_id: str) -> None:
        key = spending_key(project_id)
        found = await self.store.get(key)
        # Read after the document: whoever saves upon this version of it, nobody has told anything newer.
        spent = (await self.ledger.spent([project_id], month_of(self.clock.now())))[project_id]
        content = spent.model_dump_json().encode()
        if found is None:
            await self.store.create(key, content)
        elif found.value != content:
            await self.store.replace(key, content, found.etag)
