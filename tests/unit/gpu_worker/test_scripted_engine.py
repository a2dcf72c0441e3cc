from pathlib import Path

import pytest
from contracts.identifiers import task_id_for
from gpu_worker.protocol import RunJob
from gpu_worker.testing import ScriptedEngine
from gpu_worker.testing.conformance import EngineConformance, Job


class TestScriptedEngine(EngineConformance):
    @pytest.fixture
    def engine(self) -> ScriptedEngine:
        return ScriptedEngine()

    @pytest.fixture
    def job(self, tmp_path: Path) -> Job:
        def make(name: str, steps: int) -> RunJob:
            return RunJob(
                task_id=task_id_for("p", name),
                attempt=1,
                correlation_id="c",
                model="tiny-image",
                params={"steps": steps},
                inputs={},
                folder=str(tmp_path),
            )

        return make
