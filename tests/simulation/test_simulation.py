"""The simulation finds nothing, replays exactly, and does find what is broken on purpose."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from unittest.mock import patch

import pytest
from contracts.pauses import Pauses
from scheduling.domain.riding import Waiting

from tests.simulation.kinds import CROWDED, kind_of
from tests.simulation.runs import Report, simulate

# Runs cost up to a second each; a machine that is busy with other things may take ten times that.
pytestmark = pytest.mark.timeout(900)
SEEDS = (*range(1, 241), *range(1000, 1500))
SOME = range(20)
"""What is broken on purpose is found by several of these; the first is enough."""
CROWDS = range(7, 307, 15)


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 20] for at in range(0, len(SEEDS), 20)], ids=lambda seeds: seeds[0])
def test_nothing_is_broken_whatever_fails(seeds: Sequence[int]) -> None:
    for seed in seeds:
        report = simulate(seed)
        assert not report.violations, _said(report)


@pytest.mark.parametrize("seed", [3, 42])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    assert simulate(seed).digest == simulate(seed).digest


def test_another_process_with_other_hashes_runs_the_same() -> None:
    command = "from tests.simulation.runs import simulate; print(simulate(42).digest)"
    found = subprocess.run(
        [sys.executable, "-c", command], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == simulate(42).digest


def test_some_runs_are_about_fair_turns() -> None:
    assert all(kind_of(seed) is CROWDED for seed in CROWDS)


def test_different_seeds_are_different_runs() -> None:
    assert len({simulate(seed).digest for seed in range(3)}) == 3


ZOMBIES = range(491, 494)
OF_ZOMBIES = ("engine is slow", "deaf to broadcasts", "cut off from the bus")
"""A worker that was given up is mostly told to stop, or notices by itself that it hears nothing: only without that is
the fence put to the test so often that a few runs show it."""


def _no_fence() -> AbstractContextManager[object]:
    return patch("contracts.tasks.transitions._fenced", lambda task, _attempt: task)


def workers_that_never_notice() -> AbstractContextManager[object]:
    """They hear no word to stop, and do not look whether they hear anything at all."""
    return _together(
        patch("gpu_worker.handlers.working.Worker.on_cancel", _never),
        patch("gpu_worker.handlers.working.Worker.keep_watching_the_bus", _forever),
    )


@contextmanager
def _together(*contexts: AbstractContextManager[object]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def test_the_fence_alone_keeps_off_workers_that_never_notice() -> None:
    with workers_that_never_notice():
        for seed in ZOMBIES:
            report = simulate(seed, often=OF_ZOMBIES)
            assert not report.violations, _said(report)


Breaking = Callable[[], AbstractContextManager[object]]


async def _never(*_given: object) -> None:
    """What is left out."""


async def _nothing_paused(*_given: object) -> Pauses:
    return Pauses()


async def _forever(*_given: object) -> None:
    await asyncio.Event().wait()


def _first_come(task: Waiting, *_given: object) -> tuple[datetime, str]:
    return task.since, task.task_id


@pytest.mark.parametrize(
    ("breaking", "seeds", "often"),
    [
        pytest.param(lambda: _together(_no_fence(), workers_that_never_notice()), ZOMBIES, OF_ZOMBIES, id="no fence"),
        pytest.param(lambda: patch("scheduling.handlers.watching.Watchdog.look", _never), SOME, (), id="no watchdog"),
        pytest.param(
            lambda: patch("scheduling.handlers.leading.still_leads", lambda *_given: True),
            SOME,
            ("bus away", "cut off from the bus"),
            id="leaders that never stop",
        ),
        pytest.param(
            lambda: patch("storage.handlers.sweeping.Sweeping.sweep", _never),
            range(10, 40),
            ("killed", "killed at work", "answer lost"),
            id="no sweep",
        ),
        pytest.param(lambda: patch("scheduling.domain.matching._turn", _first_come), CROWDS, (), id="no fair turns"),
        pytest.param(
            lambda: patch("scheduling.domain.riding.Shares.allow", lambda *_given: True), SOME, (), id="no budgets"
        ),
        pytest.param(
            lambda: patch("scheduling.handlers.pausing.Pausing.now", _nothing_paused), SOME, (), id="no pauses"
        ),
        pytest.param(
            lambda: patch("notification.domain.happenings.Happening.webhook_id", "msg_1"),
            SOME,
            (),
            id="one webhook id for all",
        ),
    ],
)
def test_what_is_broken_on_purpose_is_found(breaking: Breaking, seeds: range, often: Sequence[str]) -> None:
    with breaking():
        assert any(simulate(seed, often=often).violations for seed in seeds)


def _said(report: Report) -> str:
    trace = "\n".join(report.tail)
    return (
        f"{trace}\nseed {report.seed}: {'; '.join(report.violations)}\nmake simulate SEED={report.seed} RUNS=1 TRACE=1"
    )
