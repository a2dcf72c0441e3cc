"""The ports' conformance suites over what the distributed platform stands on: Kafka, Postgres, S3."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from chassis.objects import ObstoreObjects
from chassis.settings import SidecarSettings
from chassis.sidecar import Sidecar
from chassis.state import DaprStateStore
from confluent_kafka.admin import AdminClient
from contracts.testing.conformance import ObjectStoreConformance, PubSubConformance, StateStoreConformance
from contracts.topics import STATE_STORE, App, Component, Topic
from create_topics import ensure_topics

from tests.distributed.cluster_under_test import ClusterUnderTest
from tests.integration.sidecar import SidecarLine, sidecar_for

DISTRIBUTED = Path(__file__).parents[2] / "charts" / "movie-tasks" / "dapr"


class TestPostgresState(StateStoreConformance):
    @pytest.fixture
    def prefix(self) -> str:
        return secrets.token_hex(4)

    @pytest.fixture
    async def store(self, started_cluster: ClusterUnderTest) -> AsyncIterator[DaprStateStore]:
        """By the sidecar of one of the services."""
        plan = started_cluster.running.plan
        replica = next(one for one in plan.replicas if one.app is App.STORAGE)
        tokens = plan.secrets.tokens[replica.app]
        settings = SidecarSettings(
            dapr_http_port=replica.ports.http,
            dapr_grpc_port=replica.ports.grpc,
            dapr_api_token=tokens.dapr,
            app_api_token=tokens.app,
        )
        sidecar = Sidecar(settings)
        async with sidecar.connected():
            yield DaprStateStore(sidecar, STATE_STORE)


class TestKafkaBus(PubSubConformance):
    @pytest.fixture
    async def line(
        self, started_cluster: ClusterUnderTest, dapr_bin: Path, tmp_path: Path
    ) -> AsyncIterator[SidecarLine]:
        """By the component as it is shipped, but for who may use it: the topic and the app are the test's own."""
        name = f"conformance-{secrets.token_hex(4)}"
        topic = Topic(name, Component.EVENTS, (), (), 3, timedelta(hours=1))
        ensure_topics(AdminClient(started_cluster.broker_settings()), 1, [topic])
        line = SidecarLine(topic)
        plan = started_cluster.running.plan
        async with sidecar_for(
            line.app, open_to_all(tmp_path / "components"), dapr_bin, tmp_path / "line", plan.broker_environment()
        ) as connected:
            line.speak_through(connected)
            yield line


def open_to_all(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.yaml", "environment.yaml", "resiliency.yaml"):
        (folder / name).write_text((DISTRIBUTED / name).read_text())
    events = yaml.safe_load((DISTRIBUTED / "events.yaml").read_text())
    del events["scopes"]
    limits = ("allowedTopics", "publishingScopes", "subscriptionScopes")
    events["spec"]["metadata"] = [item for item in events["spec"]["metadata"] if item["name"] not in limits]
    (folder / "events.yaml").write_text(yaml.safe_dump(events))
    return folder


class TestS3(ObjectStoreConformance):
    @pytest.fixture
    def objects(self, started_cluster: ClusterUnderTest, monkeypatch: pytest.MonkeyPatch) -> ObstoreObjects:
        bucket = f"conformance-{secrets.token_hex(4)}"
        (started_cluster.objects.parent / bucket).mkdir()
        for name, value in started_cluster.running.plan.object_store_environment().items():
            monkeypatch.setenv(name, value)
        return ObstoreObjects(f"s3://{bucket}")
