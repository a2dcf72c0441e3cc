"""Dead letters in Prometheus' words. Each is heard by one replica."""

from chassis.metrics import OTHER
from contracts.topics import TOPICS, Component
from prometheus_client import Counter

KNOWN = frozenset(topic.name for topic in TOPICS)


class DeadLetterMetrics:
    def __init__(self) -> None:
        self.counter = Counter(
            "movie_tasks_dead_letters", "Events that could not be handled, by their topic", ["topic"], registry=None
        )
        for topic in TOPICS:
            if topic.component is Component.EVENTS:
                self.counter.labels(topic.name)

    def heard(self, topic: str) -> None:
        """A letter says itself which topic it is of."""
        self.counter.labels(topic if topic in KNOWN else OTHER).inc()
