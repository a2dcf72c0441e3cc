"""With its private tables away, each service answers what it can, says what it cannot, and resumes by itself."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from chassis.database import Database
from contracts.errors import DependencyUnavailable
from contracts.events import task_changed
from contracts.records import TaskRecords
from contracts.tasks import Phase
from contracts.testing.examples import a_task_in
from cryptography.fernet import Fernet
from notification.app import create as create_notification
from notification.settings import NotificationSettings
from PIL import Image
from storage.app import create as create_storage
from storage.settings import StorageSettings
from submission.app import create as create_submission
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World

Urls = Callable[[str], str]
TASK = {"model": "tiny-image", "params": {"prompt": "a red circle"}}
REASON = "the database films at db:5432 cannot be reached"


@contextmanager
def tables_away() -> Iterator[None]:
    def refuse(_database: Database) -> None:
        raise DependencyUnavailable(REASON)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "transaction", refuse)
        patch.setattr(Database, "statement", refuse)
        yield


def assert_not_now(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "dependency-unavailable"
    assert "db:5432" not in answer.text, "what is inside is told to operators"
    assert int(answer.headers["Retry-After"]) > 0


async def assert_ready(running: Running, service: str, ready: bool) -> None:
    answer = await running.http.get("/readyz")
    assert answer.status_code == (200 if ready else 503)
    assert answer.json()["checks"][f"{service}.database"] == ("ok" if ready else REASON)
    assert (await running.http.get("/healthz")).status_code == 200
    # What Kubernetes asks before it sends anybody here: the records are still shown, and the media still served.
    assert (await running.http.get("/readyz", params={"exclude": f"{service}.database"})).status_code == 200


@pytest.fixture
def submission(world: World, serve: Serve, database_url: Urls) -> AbstractAsyncContextManager[Running]:
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    return serve([create_submission(settings, world.outside)])


async def test_submission_shows_tasks_and_takes_none(
    world: World, submission: AbstractAsyncContextManager[Running]
) -> None:
    headers = {"X-API-Key": await world.add_project("p1", "k1")}
    async with submission as running:

        async def call(method: str, path: str, **options: object) -> httpx.Response:
            own = {**headers, **options.pop("headers", {})}  # type: ignore[dict-item]
            return await running.http.request(method, f"/api/v1{path}", headers=own, **options)  # type: ignore[arg-type]

        once = {"Idempotency-Key": "once"}
        task_id = (await call("POST", "/tasks/submit", json=TASK, headers=once)).json()["id"]
        await assert_ready(running, "submission", True)
        with tables_away():
            await assert_ready(running, "submission", False)
            assert (await call("GET", f"/tasks/{task_id}/status")).status_code == 200
            assert (await call("POST", "/tasks/submit", json=TASK, headers=once)).json()["id"] == task_id
            for path in ("/models", "/workers/status", "/health"):
                assert (await call("GET", path)).status_code == 200
            assert_not_now(await call("POST", "/tasks/submit", json=TASK, headers={"Idempotency-Key": "twice"}))
            assert_not_now(await call("DELETE", f"/tasks/{task_id}/cancel"))
            for path in ("/projects/p1/tasks", "/projects/p1/queue", f"/tasks/{task_id}/history"):
                assert_not_now(await call("GET", path))
            refused = await running.http.get("/api/v1/admin/audit", headers={"X-Admin-Key": ADMIN_KEY})
            assert_not_now(refused)
            assert await running.deliver(task_changed(a_task_in(Phase.DONE), "test")) == "RETRY"
        await assert_ready(running, "submission", True)
        assert (await call("POST", "/tasks/submit", json=TASK, headers={"Idempotency-Key": "twice"})).status_code == 202
        assert len((await call("GET", "/projects/p1/tasks")).json()["items"]) == 2
        assert (await call("DELETE", f"/tasks/{task_id}/cancel")).json()["status"] == "cancelled"


async def test_a_task_that_is_made_while_the_tables_go_is_accepted_and_listed_later(
    world: World, submission: AbstractAsyncContextManager[Running]
) -> None:
    headers = {"X-API-Key": await world.add_project("p1", "k1")}
    async with submission as running:
        with tables_away_once_a_record_is_made(world):
            answer = await running.http.post("/api/v1/tasks/submit", json=TASK, headers=headers)
        assert answer.status_code == 202
        for message in list(world.bus.messages):
            assert await running.deliver(message) == "SUCCESS"
        listed = (await running.http.get("/api/v1/projects/p1/tasks", headers=headers)).json()["items"]
        assert [task["id"] for task in listed] == [answer.json()["id"]]


@contextmanager
def tables_away_once_a_record_is_made(world: World) -> Iterator[None]:
    create = world.state.create
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        async def create_and_go(key: str, value: bytes) -> None:
            await create(key, value)
            stack.enter_context(tables_away())

        patch.setattr(world.state, "create", create_and_go)
        yield


async def test_storage_gives_files_out_and_takes_uploads(
    world: World, serve: Serve, database_url: Urls, tmp_path: Path
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(picture, "PNG")
    file = {"file": ("x.png", picture.getvalue(), "image/png")}
    headers = {"X-API-Key": await world.add_project("p1", "k1")}
    settings = StorageSettings(
        storage_database=database_url("storage"),
        storage_scratch=tmp_path,
        media_link_keys=Fernet.generate_key().decode(),
        media_url="memory:///",
        replica="test",
    )
    async with serve([create_storage(settings, world.outside)]) as running:
        with tables_away():
            await assert_ready(running, "storage", False)
            uploaded = await running.http.post("/api/v1/media", files=file, headers=headers)
            assert uploaded.status_code == 201
            for part in ("", "/thumbnail", "/details"):
                path = f"/api/v1/media/{uploaded.json()['id']}{part}"
                assert (await running.http.get(path, headers=headers)).status_code == 200
            assert await running.deliver(task_changed(a_task_in(Phase.STORING), "test")) == "RETRY"
        assert await running.deliver(task_changed(a_task_in(Phase.STORING), "test")) == "SUCCESS"


async def test_notification_puts_everybody_off_and_forgets_nothing(
    world: World, serve: Serve, database_url: Urls
) -> None:
    headers = {"X-API-Key": await world.add_project("p1", "k1")}
    settings = NotificationSettings(
        notification_database=database_url("notification"),
        admin_key=ADMIN_KEY,
        webhook_encryption_keys=Fernet.generate_key().decode(),
        webhook_private_hosts="127.0.0.0/8",
        media_url="memory:///",
        replica="test",
    )
    done = a_task_in(Phase.DONE)
    await TaskRecords(world.state, world.clock).create(done)
    async with serve([create_notification(settings, world.outside)]) as running:
        endpoint = {"url": "http://127.0.0.1:9/"}
        made = await running.http.post("/api/v1/webhooks", json=endpoint, headers=headers)
        log = f"/api/v1/webhooks/{made.json()['endpoint']['id']}/deliveries"
        with tables_away():
            await assert_ready(running, "notification", False)
            assert_not_now(await running.http.get("/api/v1/webhooks", headers=headers))
            assert_not_now(await running.http.post("/api/v1/webhooks", json=endpoint, headers=headers))
            for path in ("projects/p1", f"tasks/{done.id}"):
                assert_not_now(await running.http.get(f"/api/v1/live/{path}", headers=headers))
            assert await running.deliver(task_changed(done, "test")) == "RETRY"
        assert await running.deliver(task_changed(done, "test")) == "SUCCESS"
        assert len((await running.http.get(log, headers=headers)).json()["items"]) == 1
