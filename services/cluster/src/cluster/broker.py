"""Apache Kafka in one process: the wire protocol of Redpanda, with the same login."""

import os
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from cluster.units import Unit, listens

USER = "movie-tasks"
JAVA = ["java", "-Xmx512m", "-Xms256m"]

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://{host}:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://{host}:{port}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="{user}" password="{password}";
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Topics are made by create_topics.py, with their partitions and retention.
auto.create.topics.enable=false
"""


class BrokerFailed(Exception):
    """Kafka's storage could not be formatted; the text is its own."""


def kafka(jars: Path, data: Path, host: str, port: int, controller: int, password: str) -> Unit:
    properties = data.with_name("kafka.properties")
    classpath = f"{jars}/*"

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        text = PROPERTIES.format(host=host, port=port, controller=controller, user=USER, password=password, data=data)
        with os.fdopen(os.open(properties, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        if not (data / "meta.properties").is_file():
            _format(classpath, properties, password)

    return Unit(
        name="broker",
        command=[*JAVA, "-cp", classpath, "kafka.Kafka", str(properties)],
        ready=listens(port, host),
        address=f"{host}:{port}",
        prepare=prepare,
        stop_within=20,
    )


def _format(classpath: str, properties: Path, password: str) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    arguments = [
        "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties),
        "--add-scram", f"SCRAM-SHA-512=[name={USER},password={password}]",
    ]  # fmt: skip
    with tempfile.NamedTemporaryFile("w", dir=properties.parent) as file:
        # In a file that only its owner reads: everybody may look at a command line.
        file.write("\n".join(arguments))
        file.flush()
        command = [*JAVA, "-cp", classpath, f"@{file.name}"]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode != 0:
        raise BrokerFailed(f"Kafka's storage could not be formatted:\n{answer.stdout[-2000:]}{answer.stderr[-2000:]}")
