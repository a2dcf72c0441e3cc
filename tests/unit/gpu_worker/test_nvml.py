"""The GPU monitor against drivers that answer, refuse, and report faults."""

from types import SimpleNamespace
from typing import Any

import pytest
from contracts.testing.examples import NOON, a_worker
from contracts.workers import MB, GpuReading, WorkerState, WorkerStatus
from gpu_worker.adapters.metrics import Fenced, WorkerMetrics
from gpu_worker.adapters.nvml import NvmlMonitor
from prometheus_client import CollectorRegistry, generate_latest


class DriverError(Exception):
    pass


class Driver:
    """Answers like `pynvml`, with one GPU of an H100's size."""

    NVMLError = DriverError
    NVML_TEMPERATURE_GPU = 0
    nvmlEventTypeXidCriticalError = 8  # noqa: N815

    def __init__(self, *, missing: tuple[str, ...] = (), xids: tuple[int, ...] = ()) -> None:
        self.missing, self.xids = missing, list(xids)
        self.asked_for: Any = None

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            if name in self.missing:
                raise DriverError("Not Supported")
            return getattr(self, f"_{name.removeprefix('nvml')}", lambda *_: None)(*arguments)

        return call

    def _DeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self.asked_for = index
        return index

    def _DeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked_for = uuid
        return uuid

    def _DeviceGetMemoryInfo(self, _handle: Any) -> Any:  # noqa: N802
        return SimpleNamespace(used=20_000 * MB, total=81_559 * MB)

    def _DeviceGetTemperature(self, _handle: Any, _sensor: int) -> int:  # noqa: N802
        return 61

    def _DeviceGetUtilizationRates(self, _handle: Any) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=97)

    def _DeviceGetPowerUsage(self, _handle: Any) -> int:  # noqa: N802
        return 402_500

    def _EventSetCreate(self) -> str:  # noqa: N802
        return "events"

    def _EventSetWait_v2(self, _events: str, _timeout: int) -> Any:  # noqa: N802
        if not self.xids:
            raise DriverError("Timeout")
        return SimpleNamespace(eventData=self.xids.pop(0))


def read(driver: Driver, **environment: str) -> GpuReading | None:
    return NvmlMonitor.of_this_process(driver, environment).read()


def test_reads_what_the_driver_says() -> None:
    assert read(Driver()) == GpuReading(
        utilisation=0.97, memory_used_mb=20_000, memory_total_mb=81_559, temperature_celsius=61, power_watts=402.5
    )


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    assert read(Driver(missing=("nvmlInit",))) is None


@pytest.mark.parametrize(("visible", "asked_for"), [("2,3", 2), ("GPU-8f2c", "GPU-8f2c"), ("MIG-1a2b", "MIG-1a2b")])
def test_looks_at_the_gpu_that_cuda_takes(visible: str, asked_for: object) -> None:
    driver = Driver()
    read(driver, CUDA_VISIBLE_DEVICES=visible)
    assert driver.asked_for == asked_for


def test_a_slice_of_a_gpu_has_neither_power_nor_events() -> None:
    reading = read(Driver(missing=("nvmlDeviceGetPowerUsage", "nvmlDeviceRegisterEvents"), xids=(79,)))
    assert reading is not None
    assert (reading.power_watts, reading.xid) == (None, None)


def test_a_driver_that_stops_answering_is_no_reading() -> None:
    assert read(Driver(missing=("nvmlDeviceGetMemoryInfo",))) is None


@pytest.mark.parametrize(("xids", "kept"), [((79,), 79), ((13, 31), None), ((48, 13), 48)])
def test_faults_of_the_hardware_are_kept_and_those_of_programs_are_not(xids: tuple[int, ...], kept: int | None) -> None:
    reading = read(Driver(xids=xids))
    assert reading is not None
    assert reading.xid == kept


def scrape(worker: WorkerStatus) -> str:
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(lambda: worker, Fenced()))
    return generate_latest(registry).decode()


def test_prometheus_is_told_the_same() -> None:
    told = scrape(a_worker(state=WorkerState.BUSY, gpu=read(Driver()), sent_at=NOON))
    assert 'movie_tasks_worker_state{state="busy",worker="worker-1"} 1.0' in told
    assert 'movie_tasks_worker_state{state="ready",worker="worker-1"} 0.0' in told
    assert 'movie_tasks_gpu_utilisation_ratio{worker="worker-1"} 0.97' in told
    assert 'movie_tasks_gpu_power_watts{worker="worker-1"} 402.5' in told
    assert 'movie_tasks_gpu_memory_used_bytes{worker="worker-1"} 2.097152e+10' in told
    assert 'movie_tasks_gpu_temperature_celsius{worker="worker-1"} 61.0' in told


def test_who_renders_what_on_what_is_told_beside_it() -> None:
    worker = a_worker()
    told = scrape(worker)
    assert f'movie_tasks_worker_info{{device="{worker.device.name}",medium="image",worker="worker-1"}} 1.0' in told
    assert 'movie_tasks_worker_slots{worker="worker-1"} 1.0' in told


def test_a_cpu_has_no_gpu_metrics() -> None:
    assert "movie_tasks_gpu" not in scrape(a_worker())
