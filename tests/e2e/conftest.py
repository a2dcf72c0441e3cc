from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients import Access, ProjectClient
from tests.e2e.payload_server import Document, Editor, PayloadServer
from tests.integration.platform import Platform
from tests.postgres_server import Server, a_server


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    started = Platform(tmp_path_factory.mktemp("platform"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with a_server() as server:
        yield server


@dataclass(frozen=True)
class Newsroom:
    """A Payload with its editor and one project, and the same project as the service knows it."""

    server: PayloadServer
    editor: Editor
    project: Document
    service: ProjectClient


@dataclass(frozen=True)
class Newsrooms:
    """Opened for one test, which may break them, and closed after it."""

    platform: Platform
    folder: Path
    leaving: AsyncExitStack

    async def open(self, server: PayloadServer) -> Newsroom:
        """A new project on a server that runs."""
        http = httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False)
        editor = Editor(await self.leaving.enter_async_context(http))
        await editor.log_in()
        service = await self.leaving.enter_async_context(self.platform.project())
        return Newsroom(server, editor, await editor.connect(service.id, service.key), service)

    async def open_own(self, access: Access | None = None) -> Newsroom:
        return await self.open(self.start(PayloadServer(self.folder / "payload", access or self.platform.access)))

    def start(self, server: PayloadServer) -> PayloadServer:
        self.leaving.callback(server.stop)
        server.start()
        return server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> Iterator[PayloadServer]:
    """One Payload for all tests that leave it running."""
    started = PayloadServer(tmp_path_factory.mktemp("payload"), platform.access)
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def room(newsrooms: Newsrooms, server: PayloadServer) -> Newsroom:
    return await newsrooms.open(server)


@pytest.fixture
async def newsrooms(tmp_path: Path, platform: Platform) -> AsyncIterator[Newsrooms]:
    async with AsyncExitStack() as leaving:
        yield Newsrooms(platform, tmp_path, leaving)
