"""Makes every topic with its partitions and retention, and mends those that exist. Safe to run again at any time.

Reads where the broker is from the variables that the components read, `MOVIE_TASKS_BROKER*`. Each partition gets as
many copies as the broker makes by default, or `MOVIE_TASKS_BROKER_REPLICATION`; of what exists that is left as it is.
On Kubernetes it runs as a hook before each release. Made of nothing that Redpanda lacks.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from contracts.topics import TOPICS, Topic

ANSWER_WITHIN_SECONDS = 30
BROKERS_OWN = "-1"


def main() -> None:
    if "MOVIE_TASKS_BROKERS" not in os.environ:
        sys.exit("MOVIE_TASKS_BROKERS is not set: where is the broker? host:port, comma separated")
    try:
        ensure_topics(
            AdminClient(client_settings(os.environ)), int(os.environ.get("MOVIE_TASKS_BROKER_REPLICATION", BROKERS_OWN))
        )
    except KafkaException as error:
        sys.exit(f"topics could not be made at {os.environ['MOVIE_TASKS_BROKERS']}: {error.args[0].str()}")


def client_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": environment["MOVIE_TASKS_BROKERS"],
        "socket.timeout.ms": ANSWER_WITHIN_SECONDS * 1000,
    }
    encrypted = environment.get("MOVIE_TASKS_BROKER_DISABLE_TLS") != "true"
    if environment.get("MOVIE_TASKS_BROKER_AUTH") == "password":
        settings |= {
            "security.protocol": "SASL_SSL" if encrypted else "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": environment["MOVIE_TASKS_BROKER_USER"],
            "sasl.password": environment["MOVIE_TASKS_BROKER_PASSWORD"],
        }
    elif encrypted:
        settings["security.protocol"] = "SSL"
    return settings


def ensure_topics(admin: AdminClient, replication: int, topics: Sequence[Topic] = TOPICS) -> None:
    existing = admin.list_topics(timeout=ANSWER_WITHIN_SECONDS).topics
    missing = [topic for topic in topics if topic.name not in existing]
    if missing:
        made = [
            NewTopic(
                topic.name, num_partitions=topic.partitions, replication_factor=replication, config=config_of(topic)
            )
            for topic in missing
        ]
        wait_for(admin.create_topics(made))
    kept = [topic for topic in topics if topic.name in existing]
    small = [topic for topic in kept if len(existing[topic.name].partitions) < topic.partitions]
    if small:
        wait_for(admin.create_partitions([NewPartitions(topic.name, topic.partitions) for topic in small]))
    if kept:
        wait_for(admin.incremental_alter_configs([alteration(topic) for topic in kept]))
    for topic in topics:
        what = "made" if topic in missing else "grown" if topic in small else "there"
        print(f"{topic.name:18} {topic.partitions:3} partitions, kept {topic.retention}: {what}")


def config_of(topic: Topic) -> dict[str, str]:
    return {"retention.ms": str(int(topic.retention.total_seconds() * 1000)), "cleanup.policy": "delete"}


def alteration(topic: Topic) -> ConfigResource:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config_of(topic).items()
    ]
    return ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)


def wait_for(results: "Mapping[Any, Future[Any]]") -> None:
    for result in results.values():
        result.result(ANSWER_WITHIN_SECONDS)


if __name__ == "__main__":
    main()
