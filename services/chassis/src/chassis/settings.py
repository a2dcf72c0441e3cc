"""Settings every service process has in common. Read by composition roots only, then passed inwards."""

import re
import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _seconds(value: object) -> object:
    return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdigit() else value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""Seconds as a number, or any ISO 8601 duration."""


def _no_secret_in_it(value: AnyHttpUrl) -> AnyHttpUrl:
    if value.username or value.password or value.query or value.fragment:
        raise ValueError("an address and nothing else; what the collector wants to see goes into tracing_headers")
    return value


Collector = Annotated[AnyHttpUrl, AfterValidator(_no_secret_in_it)]


def _all_headers(value: SecretStr) -> SecretStr:
    # Refused here, because OpenTelemetry logs what it cannot read.
    for header in filter(None, value.get_secret_value().split(",")):
        if not re.fullmatch(r" *[A-Za-z0-9-]+=[ !#-:<-\[\]-~]+", header):
            raise ValueError("headers are name=value, comma separated, with everything unusual percent-encoded")
    return value


Headers = Annotated[SecretStr, AfterValidator(_all_headers)]

SHORTEST_TOKEN = 16
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode, BeforeValidator(_split)]
"""Port numbers, comma separated."""


def _all_origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", value):
            raise ValueError("an origin is a scheme and a host, such as https://studio.example.com, and no path")
    return values


Origins = Annotated[CommaSeparated, AfterValidator(_all_origins)]
"""Origins of web pages as browsers name them, or `*` for all."""


class SidecarSettings(BaseSettings):
    """How the process and its daprd find and trust each other; the names are Dapr's own."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    dapr_http_port: int = 3500
    dapr_grpc_port: int = 50001
    dapr_api_token: SecretStr = Field(min_length=SHORTEST_TOKEN)
    """What this process shows to daprd."""
    app_api_token: SecretStr = Field(min_length=SHORTEST_TOKEN)
    """What daprd must show to this process."""


class ProcessSettings(BaseSettings):
    """Read from `MOVIE_TASKS_*`."""

    # What is wrong with a setting is told by its name: its value, or another beside it, may be a secret.
    model_config = SettingsConfigDict(env_prefix="MOVIE_TASKS_", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = 8000
    replica: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Tells the replicas of a service apart."""
    log_level: LogLevel = "INFO"
    catalog: Path | None = None
    """A catalog file to use instead of the shipped one."""
    models: CommaSeparated = ("*",)
    """Shell patterns over the catalog's model keys, comma separated: what this deployment offers."""
    media_url: str
    """Where media lie: `file:///…`, or `s3://bucket` with the usual AWS_* variables."""
    cors_origins: Origins = ()
    """Origins of browser applications that may call the API, comma separated."""
    tracing_endpoint: Collector | None = None
    """Where OpenTelemetry's collector takes OTLP over HTTP: `http://collector:4318`. Without it nothing is traced."""
    tracing_headers: Headers = SecretStr("")
    """What the collector wants to see: `name=value`, comma separated."""
    tracing_sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Which part of all traces is told."""
