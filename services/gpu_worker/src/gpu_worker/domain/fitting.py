"""What of the catalog a device can run."""

from contracts.catalog import Catalog, ModelEntry
from contracts.media import Medium
from contracts.workers import Device


def runnable_models(catalog: Catalog, medium: Medium, device: Device) -> tuple[str, ...]:
    """What of the catalog this worker can run on its device."""
    return tuple(entry.key for entry in catalog.models if entry.medium is medium and _fits(entry, device))


def _fits(entry: ModelEntry, device: Device) -> bool:
    if device.kind == "cpu":
        return entry.needs.cpu
    return entry.needs.vram_mb <= device.vram_total_mb
