"""Deliveries that come twice, late and out of order, as any broker may send them."""

import asyncio
import json
import random

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from contracts.topics import TASK_EVENTS

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest


def everything_said(settings: dict[str, object]) -> list[Message]:
    consumer = Consumer({**settings, "group.id": "test-reader", "enable.auto.commit": False})
    partitions = [TopicPartition(TASK_EVENTS.name, number) for number in range(TASK_EVENTS.partitions)]
    ends = {p.partition: consumer.get_watermark_offsets(p, timeout=10)[1] for p in partitions}
    consumer.assign([TopicPartition(TASK_EVENTS.name, number, 0) for number in ends])
    found: list[Message] = []
    while len(found) < sum(ends.values()):
        message = consumer.poll(10)
        assert message is not None and message.error() is None
        found.append(message)
    consumer.close()
    return found


def say_again(settings: dict[str, object], messages: list[Message], seed: int) -> None:
    """Everything, twice, in any order."""
    producer = Producer(settings)
    again = messages * 2
    random.Random(seed).shuffle(again)
    for message in again:
        producer.produce(TASK_EVENTS.name, message.value(), key=message.key(), headers=message.headers())
        producer.poll(0)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("seed", range(3))
async def test_the_whole_history_again_in_any_order_changes_nothing(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, seed: int
) -> None:
    tasks = [await project.make(params={"steps": 1}) for _ in range(3)]
    waiting = await project.submit(params={"prompt": "fail 1", "steps": 40})
    settings = cluster.broker_settings()
    messages = await asyncio.to_thread(everything_said, settings)
    before = [await project.status(task["id"]) for task in tasks]
    histories = [await project.history(task["id"]) for task in tasks]
    await asyncio.to_thread(say_again, settings, messages, seed)
    await cluster.check_done_once(project, waiting["id"], hooks, range(2, 3))
    for task, same, history in zip(tasks, before, histories, strict=True):
        await cluster.check_done_once(project, task["id"], hooks)
        assert await project.status(task["id"]) == same
        assert [entry["event_id"] for entry in await project.history(task["id"])] == [e["event_id"] for e in history]


async def test_what_an_older_version_of_the_services_said_is_understood(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    """Fields that came later are optional, and attributes that nobody knows are passed over."""
    task = await project.make(params={"steps": 1})
    settings = cluster.broker_settings()
    messages = await asyncio.to_thread(everything_said, settings)
    said = [message for message in messages if (message.key() or b"").decode() == task["id"]]
    assert said
    producer = Producer(settings)
    for message in said:
        event = json.loads(message.value())
        for later in ("client_ref", "title", "traceparent", "inputs", "tags", "priority", "progress"):
            event["data"]["task"].pop(later, None)
        event |= {"unknownattribute": "1", "data": {**event["data"], "unknown_field": 1}}
        producer.produce(TASK_EVENTS.name, json.dumps(event).encode(), key=message.key(), headers=message.headers())
    assert await asyncio.to_thread(producer.flush, 30) == 0
    await cluster.check_done_once(project, task["id"], hooks)
    assert (await project.status(task["id"]))["tags"] == task["tags"]
