"""Pipelines, loaded once and kept warm until their memory is needed for others."""

import gc
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from contracts.catalog import Catalog, ModelEntry
from contracts.workers import MB, Device

from gpu_worker.engine import speedups, weights
from gpu_worker.engine.failures import ModelUnusable, TooLarge


@dataclass
class Family:
    """Pipelines that share components: one that was loaded, and those made from it."""

    root: ModelEntry
    pipelines: dict[str, Any] = field(default_factory=dict)
    size_mb: int = 0
    speedups: tuple[str, ...] = ()


class Pipelines:
    """Least recently used families make way when the next one would not fit into `budget_mb`."""

    def __init__(self, catalog: Catalog, device: torch.device, models_folder: Path, budget_mb: int) -> None:
        self._catalog = catalog
        self._device = device
        self._models_folder = models_folder
        self._budget_mb = budget_mb
        self._families: OrderedDict[str, Family] = OrderedDict()

    @property
    def warm(self) -> tuple[str, ...]:
        """Models that can start without loading anything."""
        return tuple(entry.key for entry in self._catalog.models if entry.generator.edits or self._is_loaded(entry))

    def _is_loaded(self, entry: ModelEntry) -> bool:
        return (entry.shares or entry.key) in self._families

    def get(self, key: str) -> Any:
        """The pipeline, loaded now if it has to be. Raises `ModelUnusable` and `ModelAway`."""
        entry = self._catalog[key]
        root = self._catalog[entry.shares] if entry.shares else entry
        family = self._families.get(root.key) or self._load(root)
        self._families.move_to_end(root.key)
        if key not in family.pipelines:
            family.pipelines[key] = weights.assemble(entry, family.pipelines[root.key])
            _silence(family.pipelines[key])
        return family.pipelines[key]

    def speedups(self, key: str) -> tuple[str, ...]:
        """What was switched on for a warm model when it was loaded."""
        return self._families[self._catalog[key].shares or key].speedups

    def _load(self, root: ModelEntry) -> Family:
        self._make_room(root)
        before = self._allocated_mb()
        pipeline = weights.load(root, weights.fetch(root, self._models_folder))
        pipeline.to(self._device)
        _silence(pipeline)
        # What is pinned in the driver's pools or padded by its allocator counts as well, where it can be measured.
        size_mb = self._allocated_mb() - before or _size_mb(pipeline)
        family = Family(root, {root.key: pipeline}, size_mb, _sped_up(root, pipeline))
        self._families[root.key] = family
        return family

    def _make_room(self, root: ModelEntry) -> None:
        needed_mb = root.needs.vram_mb
        if needed_mb > self._budget_mb:
            raise TooLarge(f"{root.key} needs {needed_mb} MB, and models may take {self._budget_mb} MB of this device")
        while sum(family.size_mb for family in self._families.values()) + needed_mb > self._budget_mb:
            if not self.evict(root.key):
                raise TooLarge(f"{root.key} needs {needed_mb} MB, and what is pinned leaves less than that")

    def evict(self, needed: str) -> bool:
        """Unloads what was used least recently and is neither pinned nor needed now; false when there is nothing."""
        entry = self._catalog[needed]
        idle = (key for key, family in self._families.items() if not family.root.pinned)
        key = next((key for key in idle if key != (entry.shares or entry.key)), None)
        if key is None:
            return False
        del self._families[key]
        self.clean_up()
        return True

    def _allocated_mb(self) -> int:
        return torch.cuda.memory_allocated(self._device) // MB if self._device.type == "cuda" else 0

    def clean_up(self) -> None:
        """Gives memory that nothing holds any more back to the device."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> Device:
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        return Device(name=name, kind="cuda", vram_total_mb=int(total // MB), vram_free_mb=int(free // MB))
    return Device(name=f"{psutil.cpu_count()} CPU cores", kind="cpu")


def memory_budget_mb(device: torch.device) -> int:
    """How much loaded models may take: most of a GPU's memory, half of the machine's on a CPU."""
    if device.type == "cuda":
        return describe(device).vram_total_mb * 9 // 10
    total: int = psutil.virtual_memory().total
    return total // MB // 2


def _sped_up(root: ModelEntry, pipeline: Any) -> tuple[str, ...]:
    try:
        return speedups.apply(root.speedups, pipeline)
    except (AttributeError, ValueError) as error:
        raise ModelUnusable(f"{root.key} cannot be sped up as the catalog says: {error}") from error


def _size_mb(pipeline: Any) -> int:
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    total: int = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return total // MB


def _silence(pipeline: Any) -> None:
    pipeline.set_progress_bar_config(disable=True)
