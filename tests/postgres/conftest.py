from collections.abc import Iterator

import pytest

from tests.postgres_server import Server, a_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with a_server() as started:
        yield started
