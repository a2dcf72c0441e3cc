"""Which processes the cluster consists of, with what each is told. Decides everything and starts nothing."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.media import Medium
from contracts.topics import App, worker_app
from embedded.processes import SchedulerPorts, SidecarPorts, answers, daprd_command, free_ports, scheduler_command

from cluster.broker import USER, kafka
from cluster.gateway import gateway
from cluster.postgres import database_url, find_postgres, postgres
from cluster.secrets_file import AppTokens, ClusterSecrets
from cluster.settings import ClusterSettings
from cluster.units import Unit, listens

BUCKET = "movie-tasks"
STATE = "state"
MODULES: Mapping[App, str] = {
    App.SUBMISSION: "submission",
    App.SCHEDULING: "scheduling",
    App.STORAGE: "storage",
    App.NOTIFICATION: "notification",
}
DATABASES = (STATE, *MODULES.values())
INFRASTRUCTURE, SERVICES, FRONT = 0, 1, 2


@dataclass(frozen=True)
class Ports:
    broker: int
    controller: int
    postgres: int
    s3: int
    gateway: int
    scheduler: SchedulerPorts

    @classmethod
    def choose(cls, gateway: int) -> "Ports":
        broker, controller, database, s3, front = free_ports(5)
        return cls(broker, controller, database, s3, gateway or front, SchedulerPorts.choose())


@dataclass(frozen=True)
class Replica:
    """One replica of a service: its process and the sidecar beside it."""

    app: App
    name: str
    number: int
    ports: SidecarPorts


@dataclass(frozen=True)
class Plan:
    settings: ClusterSettings
    secrets: ClusterSecrets
    ports: Ports
    replicas: tuple[Replica, ...]

    @classmethod
    def make(cls, settings: ClusterSettings, secrets: ClusterSecrets) -> "Plan":
        return cls(settings, secrets, Ports.choose(settings.port), tuple(_replicas(settings)))

    @property
    def data(self) -> Path:
        return self.settings.data.resolve()

    def units(self) -> list[Unit]:
        """In the order in which they are started."""
        return [
            *self.infrastructure(),
            self._scheduler(),
            *(unit for replica in self.replicas for unit in (self._sidecar(replica), self._process(replica))),
            self._content_system(),
            self._gateway(),
        ]

    def broker_environment(self) -> dict[str, str]:
        """Where the broker is and how to log in: for sidecars, and for whoever makes topics."""
        return {
            "MOVIE_TASKS_BROKERS": f"{self.settings.host}:{self.ports.broker}",
            "MOVIE_TASKS_BROKER_AUTH": "password",
            "MOVIE_TASKS_BROKER_USER": USER,
            "MOVIE_TASKS_BROKER_PASSWORD": self.secrets.broker_password,
            "MOVIE_TASKS_BROKER_DISABLE_TLS": "true",
        }

    def object_store_environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://{self.settings.host}:{self.ports.s3}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.secrets.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.secrets.s3_secret_key,
        }

    def database_url(self, name: str) -> str:
        return database_url(self.settings.host, self.ports.postgres, name, self.secrets.database_passwords[name])

    def infrastructure(self) -> list[Unit]:
        """Broker, Postgres and S3 server: what the services stand on wherever they run."""
        settings, ports, data = self.settings, self.ports, self.data
        objects, jars = data / "objects", settings.programs / "kafka"
        return [
            kafka(jars, data / "kafka", settings.host, ports.broker, ports.controller, self.secrets.broker_password),
            postgres(
                find_postgres(settings.postgres_bin),
                data / "postgres",
                ports.postgres,
                self.secrets.postgres_password,
                self.secrets.database_passwords,
                settings.host,
            ),
            Unit(
                name="s3",
                command=[
                    str(settings.programs / "versitygw"), "--port", f"{settings.host}:{ports.s3}",
                    "--keep-alive", "--quiet", "posix", str(objects),
                ],
                environment={
                    "ROOT_ACCESS_KEY": self.secrets.s3_access_key,
                    "ROOT_SECRET_KEY": self.secrets.s3_secret_key,
                },
                # To this server a folder is a bucket.
                prepare=lambda: (objects / BUCKET).mkdir(parents=True, exist_ok=True),
                ready=listens(ports.s3, settings.host),
                address=f"http://{settings.host}:{ports.s3}",
            ),
        ]  # fmt: skip

    def _scheduler(self) -> Unit:
        ports = self.ports.scheduler
        return Unit(
            name="scheduler",
            command=scheduler_command(self.settings.dapr_bin / "scheduler", self.data / "scheduler", ports),
            ready=lambda: answers(f"http://127.0.0.1:{ports.health}/healthz"),
            address=f"127.0.0.1:{ports.listen}",
        )

    def _sidecar(self, replica: Replica) -> Unit:
        tokens = self.secrets.tokens[replica.app]
        secrets = self.broker_environment() | {"MOVIE_TASKS_STATE_DSN": self.database_url(STATE)}
        return self._daprd(replica.app, f"{replica.name}-daprd", replica.ports, tokens, secrets)

    def _content_system(self) -> Unit:
        """A sidecar alone: whoever shows its token publishes as PayloadCMS would."""
        tokens = self.secrets.tokens[App.PAYLOADCMS]
        ports = SidecarPorts(None, *free_ports(4))
        return self._daprd(App.PAYLOADCMS, "payloadcms-daprd", ports, tokens, self.broker_environment())

    def _daprd(self, app: App, name: str, ports: SidecarPorts, tokens: AppTokens, secrets: Mapping[str, str]) -> Unit:
        binary, components = self.settings.dapr_bin / "daprd", self.settings.components.resolve()
        return Unit(
            name=name,
            command=daprd_command(binary, app.value, components, ports, self.ports.scheduler.listen),
            environment={"DAPR_API_TOKEN": tokens.dapr, "APP_API_TOKEN": tokens.app, **secrets},
            ready=lambda: answers(f"http://127.0.0.1:{ports.http}/v1.0/healthz/outbound"),
            address=f"http://127.0.0.1:{ports.http}",
            stage=SERVICES,
        )

    def _process(self, replica: Replica) -> Unit:
        tokens, at = self.secrets.tokens[replica.app], f"http://127.0.0.1:{replica.ports.app}"
        return Unit(
            name=replica.name,
            command=[sys.executable, "-m", *self.settings.launcher, MODULES.get(replica.app, "gpu_worker")],
            environment={
                "DAPR_HTTP_PORT": str(replica.ports.http),
                "DAPR_GRPC_PORT": str(replica.ports.grpc),
                "DAPR_API_TOKEN": tokens.dapr,
                "APP_API_TOKEN": tokens.app,
                **self.object_store_environment(),
                **{f"MOVIE_TASKS_{name}": value for name, value in self._settings_of(replica).items()},
                **{f"MOVIE_TASKS_{name.upper()}": value for name, value in self.settings.services.items()},
            },
            ready=lambda: answers(f"{at}/healthz"),
            address=at,
            stage=SERVICES,
            stop_within=40,
        )

    def _settings_of(self, replica: Replica) -> dict[str, str]:
        scratch = self.data / "scratch" / replica.name
        common = {
            "HOST": "127.0.0.1",
            "PORT": str(replica.ports.app),
            "REPLICA": str(replica.number),
            "LOG_LEVEL": self.settings.log_level,
            "MEDIA_URL": f"s3://{BUCKET}",
            "MODELS": ",".join(self.settings.models),
        }
        match replica.app:
            case App.SUBMISSION:
                own = {"ADMIN_KEY": self.secrets.admin_key}
            case App.STORAGE:
                own = {
                    "STORAGE_SCRATCH": str(scratch),
                    "MEDIA_LINK_KEYS": self.secrets.media_link_key,
                    "PREVIEW_LINK_KEYS": self.secrets.preview_link_key,
                }
            case App.NOTIFICATION:
                own = {
                    "ADMIN_KEY": self.secrets.admin_key,
                    "WEBHOOK_ENCRYPTION_KEYS": self.secrets.webhook_encryption_key,
                    "PREVIEW_LINK_KEYS": self.secrets.preview_link_key,
                    "WEBHOOK_PRIVATE_HOSTS": "127.0.0.0/8,::1/128",
                }
            case App.SCHEDULING:
                own = {}
            case worker:
                own = {
                    "WORKER_MEDIUM": next(medium for medium in Medium if worker_app(medium) is worker).value,
                    "WORKER_MODELS_FOLDER": str(self.data / "models"),
                    "WORKER_SCRATCH": str(scratch),
                    "WORKER_THREADS": "1",
                }
        if replica.app in MODULES:
            module = MODULES[replica.app]
            own = own | {f"{module.upper()}_DATABASE": self.database_url(module)}
        return common | own

    def _gateway(self) -> Unit:
        upstreams = {
            app: [f"127.0.0.1:{replica.ports.app}" for replica in self.replicas if replica.app is app]
            for app in MODULES
        }
        return gateway(self.settings.programs / "caddy", self.data, self.ports.gateway, upstreams)


def _replicas(settings: ClusterSettings) -> list[Replica]:
    wanted: dict[App, int] = dict.fromkeys(MODULES, settings.replicas)
    workers = {
        Medium.IMAGE: settings.image_workers,
        Medium.VIDEO: settings.video_workers,
        Medium.AUDIO: settings.audio_workers,
    }
    wanted |= {worker_app(medium): count for medium, count in workers.items()}
    ports = iter(free_ports(5 * sum(wanted.values())))
    return [
        Replica(app, f"{app.value}-{number}", number, SidecarPorts(*(next(ports) for _ in range(5))))
        for app, count in wanted.items()
        for number in range(count)
    ]
