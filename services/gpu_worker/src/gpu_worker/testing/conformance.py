"""What every engine does, whether it has a device or a script.

A test module subclasses the suite and provides `engine`, and `job`, which makes a job of so many
steps under a name.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from gpu_worker.ports import Engine
from gpu_worker.protocol import (
    Encoded,
    Failed,
    Generated,
    Generating,
    JobReport,
    Original,
    RunJob,
    Shown,
    Stepped,
    Stopped,
)

Job = Callable[[str, int], RunJob]


async def run(engine: Engine, *jobs: RunJob) -> list[JobReport]:
    return [report async for report in engine.run(*jobs)]


def of(job: RunJob, reports: list[JobReport]) -> list[JobReport]:
    return [report for report in reports if (report.task_id, report.attempt) == (job.task_id, job.attempt)]


class EngineConformance:
    async def test_tells_every_step_and_ends_with_a_file(self, engine: Engine, job: Job) -> None:
        reports = await run(engine, job("a", 5))
        assert [type(report) for report in reports] == [Generating, *[Stepped] * 5, Generated, Encoded]
        assert [(r.step, r.total) for r in reports if isinstance(r, Stepped)] == [(n, 5) for n in range(1, 6)]
        encoded = reports[-1]
        assert isinstance(encoded, Encoded)
        content = Path(encoded.path).read_bytes()
        assert (encoded.size, encoded.sha256) == (len(content), hashlib.sha256(content).hexdigest())

    async def test_shows_how_far_it_is_when_it_is_asked_and_not_otherwise(self, engine: Engine, job: Job) -> None:
        shown, asked = [], False
        seen = job("seen", 50)
        async for report in engine.run(seen):
            if isinstance(report, Generating) and not asked:
                asked = True
                engine.show(seen.task_id, seen.attempt)
            if isinstance(report, Shown):
                shown.append(report)
                assert await asyncio.to_thread(Path(report.path).stat)
        assert isinstance(report, Encoded)
        assert len(shown) == 1
        assert not [report for report in await run(engine, job("unseen", 3)) if isinstance(report, Shown)]

    async def test_shows_one_of_those_that_share_a_pass(self, engine: Engine, job: Job) -> None:
        one, other = job("one", 50), job("other", 50)
        shown = []
        async for report in engine.run(one, other):
            if isinstance(report, Generating):
                engine.show(other.task_id, other.attempt)
            if isinstance(report, Shown):
                shown.append(report)
        assert shown
        assert {report.task_id for report in shown} == {other.task_id}

    async def test_asking_to_see_what_does_not_run_changes_nothing(self, engine: Engine, job: Job) -> None:
        engine.show(job("never", 1).task_id, 1)
        assert [type(report) for report in await run(engine, job("a", 1))] == [Generating, Stepped, Generated, Encoded]

    async def test_a_replay_is_compared_with_its_original(self, engine: Engine, job: Job) -> None:
        first = (await run(engine, job("original", 2)))[-1]
        assert isinstance(first, Encoded) and first.comparison is None
        for original, equal in (
            (Original(path=first.path, sha256=first.sha256), True),
            (Original(sha256=first.sha256), True),
            (Original(sha256="0" * 64), False),
            (Original(), None),
        ):
            again = (await run(engine, job("again", 2).model_copy(update={"original": original})))[-1]
            assert isinstance(again, Encoded) and again.comparison is not None
            assert again.comparison.equal is equal

    async def test_every_report_names_its_attempt(self, engine: Engine, job: Job) -> None:
        second = job("a", 1).model_copy(update={"attempt": 2})
        reports = await run(engine, job("a", 1)) + await run(engine, second)
        assert {(report.task_id, report.attempt) for report in reports} == {(second.task_id, 1), (second.task_id, 2)}

    async def test_says_what_it_is_and_has_loaded(self, engine: Engine, job: Job) -> None:
        await run(engine, job("a", 1))
        assert engine.ready
        assert engine.device.name
        assert engine.versions
        assert job("a", 1).model in engine.warm_models

    async def test_stops_at_the_next_step_and_goes_on_with_the_next_job(self, engine: Engine, job: Job) -> None:
        long, steps = job("long", 50), 0
        async for report in engine.run(long):
            if isinstance(report, Stepped):
                steps += 1
                engine.stop(long.task_id, long.attempt)
        assert isinstance(report, Stopped)
        assert steps < 10
        assert isinstance((await run(engine, job("next", 1)))[-1], Encoded)

    async def test_stopping_what_does_not_run_changes_nothing(self, engine: Engine, job: Job) -> None:
        engine.stop(job("never", 1).task_id, 1)
        assert isinstance((await run(engine, job("a", 1)))[-1], Encoded)

    async def test_a_replaced_child_fails_its_job_and_the_next_runs(self, engine: Engine, job: Job) -> None:
        async for report in engine.run(job("long", 50)):
            if isinstance(report, Stepped) and report.step == 1:
                engine.replace()
        assert isinstance(report, Failed)
        assert (report.problem.code, report.problem.retryable) == ("engine-crashed", True)
        assert isinstance((await run(engine, job("next", 1)))[-1], Encoded)

    async def test_a_job_that_nobody_follows_any_more_holds_nothing_up(self, engine: Engine, job: Job) -> None:
        long = job("long", 50)
        async with aclosing(engine.run(long)) as reports:
            async for _report in reports:
                break
        assert list(engine.on_device) == [(long.task_id, long.attempt)]
        engine.stop(long.task_id, long.attempt)
        assert isinstance((await run(engine, job("next", 1)))[-1], Encoded)
        assert not engine.on_device

    async def test_jobs_that_share_a_pass_are_reported_each_by_itself(self, engine: Engine, job: Job) -> None:
        jobs = [job(name, 3) for name in "abc"]
        reports = await run(engine, *jobs)
        for one in jobs:
            assert [type(report) for report in of(one, reports)] == [Generating, *[Stepped] * 3, Generated, Encoded]
        assert {report.execution.batch for report in reports if isinstance(report, Generated)} == {3}
        assert not engine.on_device

    async def test_stopping_one_does_the_others_of_its_pass_no_harm(self, engine: Engine, job: Job) -> None:
        unwanted, wanted = job("unwanted", 12), job("wanted", 12)
        reports = []
        async for report in engine.run(unwanted, wanted):
            reports.append(report)
            if isinstance(report, Stepped) and report.step == 1:
                engine.stop(unwanted.task_id, unwanted.attempt)
        assert isinstance(of(unwanted, reports)[-1], Stopped)
        assert len(of(unwanted, reports)) < 10
        assert [type(report) for report in of(wanted, reports)] == [Generating, *[Stepped] * 12, Generated, Encoded]

    async def test_a_pass_of_which_all_is_stopped_ends(self, engine: Engine, job: Job) -> None:
        jobs = [job(name, 50) for name in "ab"]
        reports = []
        async for report in engine.run(*jobs):
            reports.append(report)
            for one in jobs:
                engine.stop(one.task_id, one.attempt)
        assert [isinstance(of(one, reports)[-1], Stopped) for one in jobs] == [True, True]
        assert len(reports) < 20
        assert isinstance((await run(engine, job("next", 1)))[-1], Encoded)

    async def test_what_one_of_a_pass_is_refused_for_fails_nobody_else(self, engine: Engine, job: Job) -> None:
        good, bad = job("good", 2), job("bad", 2)
        bad = bad.model_copy(update={"params": {**bad.params, "prompt": 7}})
        reports = await run(engine, bad, good)
        failed = of(bad, reports)[-1]
        assert isinstance(failed, Failed)
        assert (failed.problem.code, failed.problem.retryable) == ("pipeline-refused", False)
        assert isinstance(of(good, reports)[-1], Encoded)

    async def test_a_replaced_child_fails_everybody_in_its_pass(self, engine: Engine, job: Job) -> None:
        jobs, reports = [job(name, 50) for name in "ab"], []
        async for report in engine.run(*jobs):
            reports.append(report)
            if isinstance(report, Stepped) and len(reports) == 3:
                engine.replace()
        assert [type(of(one, reports)[-1]) for one in jobs] == [Failed, Failed]
        assert isinstance((await run(engine, job("next", 1)))[-1], Encoded)
