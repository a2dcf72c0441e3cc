"""The composition root of notification."""

import asyncio
import random
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from functools import partial

from chassis.alarm import LOOK_EVERY, Alarm
from chassis.auth import ApiKeys, project_by_header
from chassis.background import background
from chassis.database import Database
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.sealed import Seal
from chassis.service import Service
from contracts.events import FeedGrew, TaskChanged, TaskProgressed, TaskRejected
from contracts.records import TaskRecords, api_key_records
from contracts.topics import TASK_EVENTS, TASK_UPDATES, App

from notification.adapters.deliveries import SqlDeliveries
from notification.adapters.endpoints import SqlEndpoints
from notification.adapters.feed import SqlFeed
from notification.adapters.sender import H11Sender
from notification.adapters.tables import Table
from notification.adapters.vault import FernetVault
from notification.handlers.delivering import Delivering
from notification.handlers.keeping import Keeping
from notification.handlers.opening import PURPOSE, Opening
from notification.handlers.probing import Probing
from notification.handlers.registering import Registering
from notification.handlers.replaying import Replaying
from notification.handlers.telling import Telling
from notification.handlers.trying import Trying
from notification.handlers.watching import Watching
from notification.routes.live import live_routes
from notification.routes.live_socket import Manners, socket_routes
from notification.routes.live_tickets import ticket_routes
from notification.routes.webhooks import webhook_routes
from notification.settings import NotificationSettings


def create(settings: NotificationSettings, outside: Outside) -> Service:
    clock = outside.clock
    database = Database(settings.notification_database, Table.metadata)
    endpoints, deliveries, feed = SqlEndpoints(database), SqlDeliveries(database), SqlFeed(database)
    vault = FernetVault(settings.webhook_encryption_keys.get_secret_value())
    sender = H11Sender(settings.webhook_timeout, settings.webhook_private_hosts, settings.webhook_ports)
    keys = ApiKeys(api_key_records(outside.state), clock)
    retry_alarm = Alarm(outside.jobs, clock, f"notification-retry-{settings.replica}", at_least_every=LOOK_EVERY)
    probe_alarm = Alarm(outside.jobs, clock, f"notification-probe-{settings.replica}", at_least_every=LOOK_EVERY)
    prune_alarm = Alarm(outside.jobs, clock, f"notification-prune-{settings.replica}")
    delivering_wanted, probing_wanted = asyncio.Event(), asyncio.Event()
    watching = Watching(TaskRecords(outside.state, clock), feed, settings.live_connections)
    opening = Opening(keys, Seal(settings.webhook_encryption_keys.get_secret_value(), PURPOSE), watching, clock)
    manners = Manners(settings.cors_origins, settings.live_send_timeout, clock)
    telling = Telling(
        endpoints=endpoints,
        deliveries=deliveries,
        feed=feed,
        publisher=outside.publisher,
        clock=clock,
        delivering_wanted=delivering_wanted,
        feed_kept=settings.feed_kept,
        tell_watchers=watching.look,
    )
    trying = Trying(
        endpoints=endpoints,
        deliveries=deliveries,
        sender=sender,
        vault=vault,
        clock=clock,
        randomness=random.Random(),
        new_id=lambda: uuid.uuid4().hex,
        disable_after=settings.webhook_disable_after,
        hold=2 * settings.webhook_timeout,
        deliver_at=retry_alarm.at,
        probe_at=probe_alarm.at,
        delivering_wanted=delivering_wanted,
    )
    delivering = Delivering(endpoints, deliveries, trying, clock, delivering_wanted, settings.webhooks_at_once)
    probing = Probing(endpoints, deliveries, trying, clock, probing_wanted)
    keeping = Keeping(endpoints, deliveries, vault, settings.webhook_deliveries_kept)
    registering = Registering(
        endpoints=endpoints,
        sender=sender,
        vault=vault,
        trying=trying,
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        new_secret=lambda: secrets.token_bytes(32),
    )
    replaying = Replaying(registering, deliveries, clock, delivering_wanted.set)

    async def prune(now: datetime) -> datetime:
        await keeping.tidy(now)
        return await telling.prune(now)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with (
            aclosing(sender),
            database.opened(),
            background(
                retry_alarm.keep_set(delivering.take_due),
                probe_alarm.keep_set(probing.take_due),
                prune_alarm.keep_set(prune),
                telling.keep_hinting(),
                watching.keep_telling(),
                delivering.keep_delivering(),
                probing.keep_probing(),
            ),
        ):
            retry_alarm.at(clock.now())
            probe_alarm.at(clock.now())
            prune_alarm.at(clock.now())
            yield

    return Service(
        name=App.NOTIFICATION,
        routers=(
            webhook_routes(registering, replaying, project_by_header(keys)),
            ticket_routes(opening),
            live_routes(opening, watching, settings.live_send_timeout),
            socket_routes(opening, watching, manners),
        ),
        subscriptions=(
            Subscription(TASK_EVENTS, {TaskChanged: telling.on_task_changed, TaskRejected: telling.on_task_rejected}),
            Subscription(TASK_UPDATES, {FeedGrew: watching.on_feed_grew, TaskProgressed: watching.on_progress}),
        ),
        jobs={
            "notification-retry-": partial(retry_alarm.ring, delivering.take_due),
            "notification-probe-": partial(probe_alarm.ring, probing.take_due),
            "notification-prune-": partial(prune_alarm.ring, prune),
        },
        running=running,
        checks={"database": database.check},
    )
