import os
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
