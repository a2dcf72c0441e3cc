"""A project to try things out in, and a key of it, on a platform of one's own."""

import os
from pathlib import Path

import httpx
from contracts.views import API

from embedded.credentials import Credentials

PROJECT = "demo"
FILE = "demo-key"


class ProjectFailed(Exception):
    """The platform did not make the project or the key; the text says why."""


async def own_key(http: httpx.AsyncClient, credentials: Credentials, data: Path) -> str:
    """The key from last time while it is good, else a new one. Raises `ProjectFailed`."""
    kept = data / FILE
    if kept.is_file():
        key = kept.read_text()
        if (await http.get(f"{API}/models", headers={"X-API-Key": key})).is_success:
            return key
    admin = {"X-Admin-Key": credentials.admin_key}
    created = await http.post(f"{API}/admin/projects", headers=admin, json={"id": PROJECT, "name": "Demo"})
    if created.status_code not in (201, 409):
        raise ProjectFailed(f"The project could not be created: {created.text}")
    issued = await http.post(f"{API}/admin/projects/{PROJECT}/keys", headers=admin, json={"label": "demo"})
    if not issued.is_success:
        raise ProjectFailed(f"No key was issued: {issued.text}")
    key = str(issued.json()["key"])
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(key)
    return key
