"""Series and graphs: asked for through their routes, and then tended."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.alarm import LOOK_EVERY, Alarm, Chore
from chassis.auth import ProjectOf
from chassis.background import keep_ringing
from chassis.database import Database
from chassis.outside import Outside
from contracts.records import graph_records, series_records
from fastapi import APIRouter

from submission.adapters.tables import GraphRow, SeriesRow
from submission.adapters.watched import SqlWatched
from submission.app.tasks import TaskHandlers, new_id
from submission.handlers.graph_tending import GraphTending
from submission.handlers.graphing import Graphing
from submission.handlers.recurring import Recurring, SeriesLimits
from submission.handlers.series_tending import SeriesTending
from submission.routes.graphs import graph_routes
from submission.routes.series import series_routes
from submission.settings import SubmissionSettings


@dataclass(frozen=True)
class Tended:
    what: str
    routes: APIRouter
    listed: SqlWatched
    chore: Chore
    wanted: asyncio.Event
    """Set by who wants a look before the alarm rings."""

    def keep_tended(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs for as long as the service does."""
        return self.chore.keep_set(), keep_ringing(self.wanted, self.chore.ring, self.what)


def tended_series(
    settings: SubmissionSettings, outside: Outside, database: Database, tasks: TaskHandlers, project_of: ProjectOf
) -> Tended:
    clock, records, listed = outside.clock, series_records(outside.state), SqlWatched(database, SeriesRow)
    tending = SeriesTending(records, listed, tasks.records, tasks.acceptance, tasks.changes, clock)
    limits = SeriesLimits(settings.series_per_project, settings.series_shortest_interval)
    recurring = Recurring(records, listed, tasks.acceptance, tending.wanted.set, clock, limits)
    alarm = Alarm(outside.jobs, clock, f"submission-series-{settings.replica}", at_least_every=LOOK_EVERY)
    routes = series_routes(recurring, project_of, clock, new_id)
    return Tended("series", routes, listed, Chore(alarm, tending.tend_due), tending.wanted)


def tended_graphs(
    settings: SubmissionSettings, outside: Outside, database: Database, tasks: TaskHandlers, project_of: ProjectOf
) -> Tended:
    clock, records, listed = outside.clock, graph_records(outside.state), SqlWatched(database, GraphRow)
    tending = GraphTending(records, listed, tasks.acceptance, tasks.changes, clock)
    graphing = Graphing(
        records,
        listed,
        tasks.acceptance.read_model,
        tasks.acceptance.validator,
        tasks.acceptance,
        tending.wanted.set,
        clock,
        settings.graph_tasks,
    )
    alarm = Alarm(outside.jobs, clock, f"submission-graphs-{settings.replica}", at_least_every=LOOK_EVERY)
    routes = graph_routes(graphing, project_of, new_id)
    return Tended("graphs", routes, listed, Chore(alarm, tending.tend_due), tending.wanted)
