"""One run from one seed, and what came of it."""

import gc
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.kinds import kind_of
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.trace import Trace
from tests.simulation.world import World


@dataclass(frozen=True)
class Report:
    seed: int
    violations: Sequence[str]
    digest: str
    tasks: int
    virtual_seconds: float
    faults: Counter[str]
    tail: Sequence[str]
    seconds: float


def simulate(seed: int, tail: int = 0, often: Collection[str] = ()) -> Report:
    """One run from one seed; the same seed is the same run. `often` names faults that it has in any case."""
    began = time.process_time()
    randomness = random.Random(seed)
    loop = VirtualLoop(random.Random(seed + 1))
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - files that need no disk
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=base))
    trace = Trace()
    collecting = gc.isenabled()
    gc.disable()
    try:
        world = World(loop, randomness, trace, folder, kind_of(seed), often)
        with world.patched():
            try:
                loop.run_until_complete(loop.create_task(world.run(), context=loop.outside))
            except Stuck as error:
                world.invariants.violated(str(error))
            virtual, digest = loop.time(), trace.digest
            lines = trace.tail(tail or 80)
            for failure in loop.failures:
                world.invariants.violated(failure)
            loop.forget_everything()
    finally:
        if collecting:
            gc.enable()
        shutil.rmtree(folder, ignore_errors=True)
    violations = world.invariants.violations
    return Report(
        seed=seed,
        violations=violations,
        digest=digest,
        tasks=len(world.invariants.tasks),
        virtual_seconds=virtual,
        faults=world.faults.counts,
        tail=lines if tail or violations else (),
        seconds=time.process_time() - began,
    )
