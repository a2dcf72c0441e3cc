"""Where a running platform is reached, and how others on this machine find out."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

FILE = "address.json"


@dataclass(frozen=True)
class Address:
    api: str
    dapr: str
    """Base address of the sidecar's HTTP API."""


def write_address(data: Path, address: Address) -> None:
    partial = data / f"{FILE}.part"
    partial.write_text(json.dumps(asdict(address)))
    partial.rename(data / FILE)


def forget_address(data: Path) -> None:
    (data / FILE).unlink(missing_ok=True)


def read_address(data: Path) -> Address | None:
    """Where the platform of this data folder runs, if it does."""
    try:
        address = Address(**json.loads((data / FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return address if _is_alive(address) else None


def _is_alive(address: Address) -> bool:
    try:
        return httpx.get(f"{address.api}/healthz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
