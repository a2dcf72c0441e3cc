"""A ticket for the live feed is worth nothing anywhere else."""

from pathlib import Path

import httpx
from contracts.catalog import read_catalog
from contracts.views import API
from embedded.app import services
from embedded.credentials import Credentials

from tests.conftest import Serve, World
from tests.contract.conftest import embedded_in

LIVE = f"{API}/live/"


async def test_in_no_place_where_a_key_can_stand(world: World, serve: Serve, tmp_path: Path) -> None:
    world.catalog = read_catalog()
    key = await world.add_project("p1", "k1")
    everything = services(embedded_in(tmp_path), Credentials(), "memory:///", world.outside)
    async with serve([service for service in everything if service.routers]) as running:
        made = await running.http.post(f"{LIVE}tickets", json={}, headers={"X-API-Key": key})
        ticket = made.json()["ticket"]

        async def refused(method: str, path: str) -> None:
            for headers, query in (
                ({"X-API-Key": ticket}, {}),
                ({"X-Admin-Key": ticket}, {}),
                ({"Authorization": f"Bearer {ticket}"}, {}),
                ({}, {"api_key": ticket}),
                ({}, {} if path.startswith(LIVE) else {"ticket": ticket}),
            ):
                answer: httpx.Response = await running.http.request(method, path, headers=headers, params=query)
                assert answer.status_code == 401, (method, path, headers, query, answer.text)

        asked = 0
        for path, operations in running.app.openapi()["paths"].items():
            for method, operation in operations.items():
                if operation.get("security") or any("security" in one for one in operation):
                    await refused(method.upper(), path.replace("{", "").replace("}", ""))
                    asked += 1
        assert asked > 25
