"""How many events go over the bus, and how far their readers are behind."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_INVALID, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from contracts.topics import TOPICS

ANSWER_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Bus:
    """The bus at one moment."""

    published: int
    """Events on all topics since the beginning."""
    behind: int
    """Events that readers have not acknowledged, all groups together. daprd acknowledges once a second."""
    by_topic: Mapping[str, int]


class Broker:
    """Asked as an operator would ask."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._admin = AdminClient(settings)

    async def look(self) -> Bus:
        return await asyncio.to_thread(self._look)

    def _look(self) -> Bus:
        names = {topic.name for topic in TOPICS}
        described = self._admin.list_topics(timeout=ANSWER_WITHIN_SECONDS).topics
        partitions = [TopicPartition(name, number) for name in names for number in described[name].partitions]
        latest = self._admin.list_offsets({one: OffsetSpec.latest() for one in partitions})
        ends = {(one.topic, one.partition): found.result(ANSWER_WITHIN_SECONDS).offset for one, found in latest.items()}
        by_topic = {name: sum(end for (topic, _), end in ends.items() if topic == name) for name in names}
        return Bus(sum(ends.values()), self._behind(ends), by_topic)

    def _behind(self, ends: Mapping[tuple[str, int], int]) -> int:
        groups = self._admin.list_consumer_groups().result(ANSWER_WITHIN_SECONDS).valid
        behind = 0
        for group in groups:
            [asked] = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group.group_id)]).values()
            for one in asked.result(ANSWER_WITHIN_SECONDS).topic_partitions:
                if one.offset != OFFSET_INVALID and (one.topic, one.partition) in ends:
                    behind += ends[one.topic, one.partition] - one.offset
        return behind
