"""The composition root of notification."""

import asyncio
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from chassis.alarm import LOOK_EVERY, Alarm, Chore
from chassis.auth import ApiKeys, project_by_header
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.operators import operator_by_header
from chassis.outside import Outside
from chassis.preview_links import PreviewLinks
from chassis.remembering import Remembered
from chassis.sealed import Seal
from chassis.service import Service
from contracts.events import FeedGrew, TaskChanged, TaskProgressed, TaskRejected, TaskReminder
from contracts.records import TaskRecords, api_key_records, project_records
from contracts.topics import REMINDERS, TASK_EVENTS, TASK_UPDATES, App
from fastapi import APIRouter

from notification.adapters import migrations
from notification.adapters.deliveries import SqlDeliveries
from notification.adapters.endpoints import SqlEndpoints
from notification.adapters.feed import SqlFeed
from notification.adapters.metrics import WebhookMetrics
from notification.adapters.network import Network
from notification.adapters.sender import H11Sender
from notification.adapters.tables import Table
from notification.adapters.vault import FernetVault
from notification.handlers.admitting import PURPOSE, Admitting
from notification.handlers.delivering import Delivering
from notification.handlers.keeping import Keeping
from notification.handlers.operating import Operating
from notification.handlers.previewing import Previewing, preview_url
from notification.handlers.probing import Probing
from notification.handlers.registering import Registering
from notification.handlers.replaying import Replaying
from notification.handlers.telling import Telling
from notification.handlers.trying import Trying
from notification.handlers.watching import Watching
from notification.routes.live import live_routes
from notification.routes.live_socket import Manners, socket_routes
from notification.routes.live_tickets import ticket_routes
from notification.routes.operators import operator_routes
from notification.routes.webhooks import webhook_routes
from notification.settings import NotificationSettings


def create(settings: NotificationSettings, outside: Outside) -> Service:
    clock = outside.clock
    database = Database(settings.notification_database, Table.metadata, migrations.FOLDER)
    endpoints, deliveries, feed = SqlEndpoints(database), SqlDeliveries(database), SqlFeed(database)
    vault = FernetVault(settings.webhook_encryption_keys.get_secret_value())
    keys = ApiKeys(api_key_records(outside.state), clock)
    live = _live(settings, outside, feed, keys)
    webhooks = _webhooks(settings, outside, endpoints, deliveries, vault, keys)
    telling = Telling(
        endpoints=endpoints,
        deliveries=deliveries,
        feed=feed,
        publisher=outside.publisher,
        clock=clock,
        delivering_wanted=webhooks.delivering.wanted,
        feed_kept=settings.feed_kept,
        reminder_late_after=settings.reminder_late_after,
        tell_watchers=live.watching.look,
    )
    keeping = Keeping(endpoints, deliveries, vault, settings.webhook_deliveries_kept)

    async def prune(now: datetime) -> datetime:
        await keeping.tidy(now)
        return await telling.prune(now)

    pruning = Chore(Alarm(outside.jobs, clock, f"notification-prune-{settings.replica}"), prune)
    chores = {**webhooks.chores, "notification-prune-": pruning}

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with (
            aclosing(webhooks.network),
            database.opened(),
            background(
                *(chore.keep_set() for chore in chores.values()),
                telling.keep_hinting(),
                live.watching.keep_telling(),
                *([live.previewing.keep_saying_what_is_watched()] if live.previewing else []),
                webhooks.delivering.keep_delivering(),
                webhooks.probing.keep_probing(),
            ),
        ):
            for chore in chores.values():
                chore.alarm.at(clock.now())
            yield

    return Service(
        name=App.NOTIFICATION,
        routers=(*webhooks.routers, *live.routers),
        subscriptions=(
            Subscription(TASK_EVENTS, {TaskChanged: telling.on_task_changed, TaskRejected: telling.on_task_rejected}),
            Subscription(REMINDERS, {TaskReminder: telling.on_task_reminder}),
            Subscription(
                TASK_UPDATES, {FeedGrew: live.watching.on_feed_grew, TaskProgressed: live.watching.on_progress}
            ),
        ),
        jobs={prefix: chore.ring for prefix, chore in chores.items()},
        running=running,
        checks={"database": database.check},
        collectors=webhooks.metrics.collectors,
    )


@dataclass(frozen=True)
class _Live:
    """What is told to watchers while it happens."""

    watching: Watching
    previewing: Previewing | None
    """None where there are no previews to be shown."""
    routers: Sequence[APIRouter]


def _live(settings: NotificationSettings, outside: Outside, feed: SqlFeed, keys: ApiKeys) -> _Live:
    clock, preview_keys = outside.clock, settings.preview_link_keys
    links = PreviewLinks(preview_keys.get_secret_value()) if preview_keys else None
    watching = Watching(
        TaskRecords(outside.state, clock), feed, settings.live_connections, partial(preview_url, links, clock)
    )
    admitting = Admitting(keys, Seal(settings.webhook_encryption_keys.get_secret_value(), PURPOSE), watching, clock)
    manners = Manners(settings.cors_origins, settings.live_send_timeout, clock)
    return _Live(
        watching,
        Previewing(watching, outside.publisher, clock) if links else None,
        (
            ticket_routes(admitting),
            live_routes(admitting, watching, settings.live_send_timeout),
            socket_routes(admitting, watching, manners),
        ),
    )


@dataclass(frozen=True)
class _Webhooks:
    """What is sent to projects' endpoints, and what projects and operators can do about it."""

    network: Network
    delivering: Delivering
    probing: Probing
    chores: Mapping[str, Chore]
    routers: Sequence[APIRouter]
    metrics: WebhookMetrics


def _webhooks(
    settings: NotificationSettings,
    outside: Outside,
    endpoints: SqlEndpoints,
    deliveries: SqlDeliveries,
    vault: FernetVault,
    keys: ApiKeys,
) -> _Webhooks:
    clock, metrics = outside.clock, WebhookMetrics()
    network = Network(settings.webhook_private_hosts, settings.webhook_ports)
    sender_of = partial(H11Sender, network, settings.webhook_timeout)
    retry_alarm = Alarm(outside.jobs, clock, f"notification-retry-{settings.replica}", at_least_every=LOOK_EVERY)
    probe_alarm = Alarm(outside.jobs, clock, f"notification-probe-{settings.replica}", at_least_every=LOOK_EVERY)
    delivering_wanted, probing_wanted = asyncio.Event(), asyncio.Event()
    trying = Trying(
        endpoints=endpoints,
        deliveries=deliveries,
        sender_of=sender_of,
        vault=vault,
        clock=clock,
        randomness=random.Random(),
        new_id=lambda: uuid.uuid4().hex,
        disable_after=settings.webhook_disable_after,
        hold=2 * settings.webhook_timeout,
        deliver_at=retry_alarm.at,
        probe_at=probe_alarm.at,
        delivering_wanted=delivering_wanted,
        on_tried=metrics.tried,
        on_first_try=metrics.first_tried,
        tracer=outside.tracing.of(App.NOTIFICATION),
    )
    delivering = Delivering(endpoints, deliveries, trying, clock, delivering_wanted, settings.webhooks_at_once)
    probing = Probing(endpoints, deliveries, trying, clock, probing_wanted)
    registering = Registering(
        endpoints=endpoints,
        sender_of=sender_of,
        vault=vault,
        trying=trying,
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        new_secret=lambda: secrets.token_bytes(32),
    )
    replaying = Replaying(registering, deliveries, clock, delivering_wanted.set)
    projects = Remembered(project_records(outside.state), clock)
    operating = Operating(projects, registering, replaying, outside.publisher, clock)
    return _Webhooks(
        network,
        delivering,
        probing,
        {
            "notification-retry-": Chore(retry_alarm, delivering.take_due),
            "notification-probe-": Chore(probe_alarm, probing.take_due),
        },
        (
            webhook_routes(registering, replaying, project_by_header(keys)),
            operator_routes(operating, operator_by_header(settings.admin_key)),
        ),
        metrics,
    )
