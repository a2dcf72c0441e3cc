import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clients import ProjectClient, Receiver, receiver
from tests.distributed.cluster_under_test import ClusterUnderTest, scripted


@pytest.fixture(scope="session")
def started_cluster() -> Iterator[ClusterUnderTest]:
    with scripted() as running:
        yield running


@pytest.fixture
async def cluster(started_cluster: ClusterUnderTest) -> AsyncIterator[ClusterUnderTest]:
    """The one cluster that tests break and mend again. Whatever a test did, at its end nothing is left behind."""
    await started_cluster.until_ready()
    letters = await started_cluster.letters()
    yield started_cluster
    await started_cluster.check_at_rest()
    assert await started_cluster.letters() == letters, "a dead letter that nobody provoked"


@pytest.fixture(scope="session")
def dapr_bin() -> Path:
    return Path(os.environ["MOVIE_TASKS_DAPR_BIN"])


@pytest.fixture
async def project(cluster: ClusterUnderTest) -> AsyncIterator[ProjectClient]:
    async with cluster.project() as made:
        yield made


@pytest.fixture
async def hooks(project: ProjectClient) -> AsyncIterator[Receiver]:
    async with receiver(project) as registered:
        yield registered


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which faults were run how often, and how often the platform held."""
    run: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call" or outcome == "error":
                fault = fault_of(report.nodeid)
                run[fault] += 1
                held[fault] += outcome == "passed"
    terminalreporter.section("faults")
    for fault in run:
        terminalreporter.write_line(f"{fault:100} run {run[fault]:3}, held {held[fault]:3}")


def fault_of(nodeid: str) -> str:
    """`…::test_all_replicas_killed_at_once[storage-process-storing]` as a person says it."""
    name, _, parameters = nodeid.rpartition("::")[2].partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    which = parameters.rstrip("]").rpartition("-")[0]
    return f"{words}: {which}" if which and "killed" in words else words
