"""A GPU seen through NVIDIA's management library, which needs no CUDA and works while the engine hangs."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pynvml
import structlog
from contracts.workers import MB, GpuReading

from gpu_worker.ports import Monitor

log = structlog.get_logger(__name__)

XIDS_OF_PROGRAMS = frozenset({13, 31, 43, 45, 68, 109})
"""Faults that a program brings about and the next one does not meet, as NVIDIA's own device plugin for Kubernetes
sorts them: https://github.com/NVIDIA/k8s-device-plugin, `internal/rm/health.go`."""


class Unwatched:
    """The `Monitor` of a machine that has no GPU."""

    def read(self) -> GpuReading | None:
        return None


class NvmlMonitor:
    """One GPU. `nvml` is the module `pynvml`, or one that answers like it."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._xid: int | None = None
        self._events = self._listen()

    @classmethod
    def of_this_process(cls, nvml: Any = pynvml, environment: Mapping[str, str] = os.environ) -> Monitor:
        """The GPU that CUDA would take in this process; on a machine without one, a monitor that sees nothing."""
        try:
            nvml.nvmlInit()
            first = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
            by_index = first.isdigit()
            found = nvml.nvmlDeviceGetHandleByIndex(int(first)) if by_index else nvml.nvmlDeviceGetHandleByUUID(first)
        except nvml.NVMLError as error:
            log.info("no GPU is monitored", reason=str(error))
            return Unwatched()
        return cls(nvml, found)

    def read(self) -> GpuReading | None:
        nvml, handle = self._nvml, self._handle
        self._hear_events()
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            temperature = nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        except nvml.NVMLError as error:
            log.warning("the GPU's driver does not answer", reason=str(error))
            return None
        return GpuReading(
            utilisation=self._optional(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100) or 0.0,
            memory_used_mb=memory.used // MB,
            memory_total_mb=memory.total // MB,
            temperature_celsius=temperature,
            power_watts=self._optional(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            xid=self._xid,
        )

    def _listen(self) -> Any:
        """An event set, or None: a slice of a GPU has no events of its own."""
        nvml = self._nvml
        try:
            events = nvml.nvmlEventSetCreate()
            nvml.nvmlDeviceRegisterEvents(self._handle, nvml.nvmlEventTypeXidCriticalError, events)
        except nvml.NVMLError as error:
            log.info("the GPU's faults are not told by its driver", reason=str(error))
            return None
        return events

    def _hear_events(self) -> None:
        with suppress(self._nvml.NVMLError):  # a timeout: nothing has happened
            while self._events is not None:
                xid = int(self._nvml.nvmlEventSetWait_v2(self._events, 0).eventData)
                log.error("the GPU reported a fault", xid=xid)
                if xid not in XIDS_OF_PROGRAMS:
                    self._xid = xid

    def _optional(self, read: Any) -> float | None:
        try:
            return float(read())
        except self._nvml.NVMLError:
            return None
