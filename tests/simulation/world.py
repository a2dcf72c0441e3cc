"""A run's world: everything composed, everything that happens to it, and what must hold in the end."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog
from chassis.outside import Outside
from chassis.service import Service
from contracts.errors import DependencyUnavailable
from contracts.media import Medium
from contracts.projects import Project
from contracts.topics import STAGING, App, project_key, worker_app
from notification.domain.happenings import ENDINGS

from tests.simulation.budgets import Budgets, drawn_project, with_another_budget, without_budgets
from tests.simulation.bus import SimulatedBus
from tests.simulation.composition import (
    CATALOG,
    NEEDED_TO_THE_END,
    SERVICES_FIRST,
    SERVICES_LAST,
    Doors,
    Surroundings,
    compose,
    without_http,
)
from tests.simulation.ending import QUEUED, amiss
from tests.simulation.engines import SimulatedEngine
from tests.simulation.faults import Faults
from tests.simulation.incidents import Incidents
from tests.simulation.invariants import Invariants, Wishes
from tests.simulation.kinds import Kind
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network, SkewedClock
from tests.simulation.pauses import Pausers
from tests.simulation.people import People, SimulatedReceivers, Wish, a_crowd, drawn_wishes, needing_others
from tests.simulation.replicas import Ports, Replica
from tests.simulation.stores import SimulatedJobs, SimulatedObjects, SimulatedScheduler, SimulatedState
from tests.simulation.trace import Trace

EMBEDDED = "movie-tasks"
EVENTUALLY_SECONDS = 60 * 60.0
"""Once nothing fails any more, everything has ended by then."""
LED_WITHIN_SECONDS = 60.0
QUIET_SECONDS = 3 * 60 * 60.0
"""And by then everybody was told, and staging was swept."""
QUIET_LOOKS_SECONDS = 60.0


class World:
    def __init__(
        self,
        loop: VirtualLoop,
        randomness: random.Random,
        trace: Trace,
        folder: Path,
        kind: Kind,
        often: Collection[str],
    ) -> None:
        self.loop = loop
        self.randomness = randomness
        self.trace = trace
        self.folder = folder
        self.embedded = randomness.random() < 0.3
        self.kind = kind
        self.troubled_until = randomness.choice(kind.troubled_seconds)
        troubled = self.troubled_until
        self.faults = Faults.none(randomness) if kind.crowded else Faults.drawn(randomness, troubled, often)
        network = self.network = Network(loop, randomness, self.faults, trace)
        self.asked_for = Wishes()
        self.invariants = Invariants(
            network,
            self.asked_for,
            apart=not self.embedded,
            budgets=Budgets({model.key: model.run_seconds for model in CATALOG.models}, self._noted),
        )
        self.invariants.even = kind.crowded
        self.state = SimulatedState(network, self.invariants)
        self.invariants.documents = lambda: self.state.documents
        self.invariants.leaders = self._leaders
        self.objects = SimulatedObjects(network)
        self.bus = SimulatedBus(network, self.invariants, durable=not self.embedded)
        self.scheduler = SimulatedScheduler(network, self._ring)
        # Only what runs longer than a lease can be taken for dead and live on.
        pace = randomness.choice((0.5, 1.0, 6.0))
        self.around = Surroundings(
            folder=folder,
            sender=SimulatedReceivers(network, self.invariants),
            make_engine=lambda worker, catalog: SimulatedEngine(
                worker, network, catalog, self.invariants, pace, kind.crowded
            ),
            # Most of what a run costs is heartbeats.
            heartbeat=timedelta(seconds=randomness.choice((5, 10, 10))),
            randomness=random.Random(randomness.getrandbits(64)),
        )
        self.media = randomness.choice(kind.media)
        self.projects = [f"p{number}" for number in range(randomness.randint(1, kind.most_projects))]
        self.replicas = self._embedded() if self.embedded else self._distributed()
        self.bus.listeners = self.replicas
        submitting = [one for one in self.replicas if one.app in (EMBEDDED, App.SUBMISSION)]
        self.people = People(network, self.bus, submitting, self.asked_for)
        drawn = drawn_wishes(randomness, kind.wishes, self.projects, self.media, troubled)
        if Medium.IMAGE in self.media:
            drawn += needing_others(randomness, drawn)
        self.plan: list[Wish] = a_crowd(randomness, self.projects) if kind.crowded else drawn

    async def run(self) -> None:
        """The whole run, up to its first violation."""
        going_on = asyncio.create_task(self._happen())
        violated = asyncio.create_task(self.invariants.any_violation.wait())
        await asyncio.wait([going_on, violated], return_when=asyncio.FIRST_COMPLETED)
        if going_on.done():
            going_on.result()

    async def _happen(self) -> None:
        projects = [drawn_project(self.randomness, project_id) for project_id in self.projects]
        if self.invariants.even:
            projects = without_budgets(projects)
        for project in projects:
            self.state.create_at_once(project_key(project.id), project.model_dump_json().encode())
        await self._begin()
        incidents = Incidents(self.network, self.replicas, self.bus, self.embedded)
        self.network.kill = incidents.kill
        doing = [self.people.want(wish) for wish in self.plan]
        trouble = [asyncio.create_task(incidents.happen(kind, n)) for kind, n in self.faults.incidents.items()]
        for wish in () if self.invariants.even else self.plan:
            for act, odds in ((self.people.cancel, 0.2), (self.people.retry, 0.15)):
                if self.randomness.random() < odds:
                    doing.append(act(wish.at + self.randomness.expovariate(1 / 30), wish))
        if self.randomness.random() < 0.2:
            doing.append(self.people.send_rubbish(self.randomness.uniform(0, self.troubled_until)))
        doing += [
            self._change_budget(project) for project in projects if project.budget and self.randomness.random() < 0.5
        ]
        if not self.invariants.even:
            # Of randomness of its own, so that the rest of the run is drawn as it would be without.
            pausers = Pausers(random.Random(str([wish.at for wish in self.plan])), self.state, self.network)
            doing.append(pausers.pause_now_and_then(self.projects, self.media, self.troubled_until))
        busy = [asyncio.create_task(one) for one in doing]
        while self.loop.time() < self.troubled_until and (self._open() or not all(one.done() for one in busy)):
            await asyncio.sleep(5.0)
        self.faults.heal(self.loop.time())
        self.network.note("nothing fails any more")
        await asyncio.gather(*busy, *trouble)
        for project in without_budgets(projects):
            self.state.replace_at_once(project_key(project.id), project.model_dump_json().encode())
        # What a leader has assigned and died over is met again once nothing holds the task's project back.
        free = self.loop.time()
        await self._until(lambda: self._all_ended(free), EVENTUALLY_SECONDS, self._open)
        await self._until(self._leaders, LED_WITHIN_SECONDS, lambda: "nobody leads")
        # Whoever goes now hears nothing any more: what others have still to say to it must be said before.
        await self._until(lambda: not self._unsaid(), EVENTUALLY_SECONDS, self._unsaid)
        for one in self.replicas:
            one.go_on_with(NEEDED_TO_THE_END)
        await asyncio.sleep(self.kind.aftermath_seconds)
        await self._until(lambda: not [*amiss(self)], QUIET_SECONDS, lambda: [*amiss(self)], QUIET_LOOKS_SECONDS)

    async def _change_budget(self, project: Project) -> None:
        """To more or to less, perhaps under what runs."""
        await asyncio.sleep(self.randomness.uniform(0.0, self.troubled_until))
        self.network.note(f"an operator gives {project.id} another budget")
        changed = with_another_budget(self.randomness, project)
        self.state.replace_at_once(project_key(project.id), changed.model_dump_json().encode())

    def _unsaid(self) -> list[object]:
        under_way = [f"{self.bus.under_way} deliveries"] if self.bus.under_way else []
        return [*under_way, *self.rows(App.STORAGE, "task_id, attempt", "ingests")]

    async def _begin(self) -> None:
        for one in self.replicas:
            one.start()
        while not all(one.up for one in self.replicas):
            await asyncio.sleep(0.1)
            self._check_alive()
        for one in self.replicas:
            if one.doors.registering is not None:
                for project_id in self.projects:
                    wanted = self.randomness.choice((("*",), ENDINGS, ENDINGS))
                    await one.ask(one.doors.registering.register(project_id, f"https://{project_id}/", wanted))
                break

    async def _until(self, true: Any, within: float, left: Any, every: float = 5.0) -> None:
        end = self.loop.time() + within
        while not true():
            self._check_alive()
            if self.loop.time() > end:
                self.invariants.violated(f"not over {within:.0f} s after the last fault: {left()}")
                return
            await asyncio.sleep(every)

    def _check_alive(self) -> None:
        for one in self.replicas:
            if one.broken is not None:
                self.invariants.violated(f"{one.name} cannot start: {one.broken!r}")
                one.broken = None

    def _all_ended(self, free: float) -> bool:
        self.invariants.check_nothing_stands(free)
        return not self._open()

    def _open(self) -> list[str]:
        """What has not ended yet."""
        tasks = self.invariants.tasks
        found = [f"{task.id[:4]} is {task.phase.value}" for task in tasks.values() if not task.phase.terminal]
        found += [f"{wish.task_id[:4]} is unknown" for wish in self._certain() if wish.task_id not in tasks]
        if self.bus.under_way:
            found.append(f"{self.bus.under_way} deliveries are under way")
        return found + [f"queue: {row[0][:4]} {row[1]}" for row in self.rows(App.SCHEDULING, "task_id, phase", QUEUED)]

    def _leaders(self) -> list[str]:
        return [one.name for one in self.replicas if one.leads]

    def _certain(self) -> list[Wish]:
        """An event that only a broker in memory has is nobody's promise, and what needs another task that is not there
        is refused."""
        return [wish for wish in self.plan if not (wish.by_event and self.embedded) and not wish.request.get("inputs")]

    def _noted(self) -> dict[str, int]:
        return {
            str(task_id): int(attempt) for task_id, attempt in self.rows(App.SCHEDULING, "task_id, attempt", "queue")
        }

    def rows(self, app: App, columns: str, table: str) -> list[tuple[Any, ...]]:
        """What a service keeps in a private table."""
        with closing(sqlite3.connect(self.folder / f"{app.value}.db")) as database:
            return database.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608

    async def _ring(self, app: str, name: str) -> None:
        await self.network.call("scheduler", lambda: None)
        here = [one for one in self.replicas if one.app == app and not one.gone]
        if not here:
            return
        up = [one for one in here if one.up]
        if not up:
            raise DependencyUnavailable("no replica is up")
        await self.randomness.choice(up).ring(name)

    def _embedded(self) -> list[Replica]:
        apps = (*SERVICES_FIRST, *(worker_app(medium) for medium in self.media), *SERVICES_LAST)
        return [self._replica(EMBEDDED, EMBEDDED, "embedded", apps)]

    def _distributed(self) -> list[Replica]:
        apps = (*SERVICES_FIRST, *SERVICES_LAST, *(worker_app(medium) for medium in self.media))
        return [
            self._replica(app.value, f"{app.value}-{number}", str(number), (app,))
            for app in apps
            for number in range(self.randomness.randint(1, 2))
        ]

    def _replica(self, app: str, name: str, replica: str, apps: Sequence[App]) -> Replica:
        clock = SkewedClock(self.loop, self.faults.skew() if not self.embedded else 0.0)
        jobs = SimulatedJobs(self.network, self.scheduler, app)
        outside = Outside(self.state, self.bus, jobs, self.objects, clock, CATALOG, self.bus.check)

        def make(app: App, doors: Doors) -> Service:
            return compose(app, replica, outside, self.around, doors)

        return Replica(app, name, apps, make, Ports(self.bus, clock), self.loop, self.trace)

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Real time, real randomness and real logs are kept out."""
        before = structlog.get_config()
        state = random.getstate()
        random.seed(self.randomness.getrandbits(64))
        structlog.configure(
            processors=[self._log],
            wrapper_class=structlog.make_filtering_bound_logger(20),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        try:
            with ExitStack() as stack:
                stack.enter_context(patch("time.monotonic", self.loop.time))
                stack.enter_context(without_http(self.around.randomness, self._background_died))
                yield
        finally:
            random.setstate(state)
            structlog.configure(**before)

    def _log(self, _logger: Any, method: str, event: Any) -> Any:
        said = str(event["event"])
        if method in ("error", "critical", "exception") and ("bug" in said or method == "critical"):
            self.invariants.violated(f"{said}: {_error(event)!r}")
        elif method != "info":
            about = str(event.get("task_id", ""))[:4]
            self.network.note(f"logs: {said} {about} {event.get('reason', '')}")
        raise structlog.DropEvent

    def _background_died(self) -> None:
        self.invariants.violated("a process stops itself because its background work has ended")

    def staged(self) -> list[str]:
        return [found.key for found in self.objects.under(STAGING)]


def _error(event: Any) -> object:
    given = event.get("exc_info")
    return given if isinstance(given, BaseException) else sys.exc_info()[1]
