"""Requests nobody thought of, made from the OpenAPI description, against all services over HTTP."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from chassis.service import Surroundings, build_app
from embedded.app import services
from embedded.credentials import Credentials
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.conftest import ADMIN_KEY, TOKEN, World
from tests.contract.conftest import embedded_in
from tests.contract.golden import FOLDER


@dataclass
class Address:
    url: str
    keys: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    folder: Path = tmp_path_factory.mktemp("services")
    world, credentials = World(), Credentials(admin_key=ADMIN_KEY)
    key = asyncio.run(world.add_project("p1", "k1"))
    public = [one for one in services(embedded_in(folder), credentials, "memory:///", world.outside) if one.routers]
    app = build_app(public, Surroundings(publisher=world.bus, clock=world.clock, app_api_token=TOKEN))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    running = threading.Thread(target=server.run)
    running.start()
    try:
        while not server.started:
            assert running.is_alive()
        [port] = [socket.getsockname()[1] for listening in server.servers for socket in listening.sockets]
        yield Address(f"http://127.0.0.1:{port}", {"X-API-Key": key, "X-Admin-Key": ADMIN_KEY})
    finally:
        server.should_exit = True
        running.join()


# A live feed has no end, and the checks wait for one.
described = schemathesis.openapi.from_path(FOLDER / "openapi.json").exclude(path_regex="/live/(projects|tasks|tags)/")
described.config.generation.update(allow_extra_parameters=False)


@described.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_is_described(case: schemathesis.Case[Any], address: Address) -> None:
    # A schema cannot say that an address must be public or that a file must hold a picture.
    case.call_and_validate(base_url=address.url, headers=address.keys, excluded_checks=[positive_data_acceptance])
