"""`movie-tasks webhooks`, against notification with a receiver, and submission with the audit."""

from collections.abc import AsyncIterator, Callable

import pytest
from contracts.events import Message
from contracts.topics import OPERATOR_ACTIONS
from notification.app import create as create_notification
from submission.app import create as create_submission
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, World, until
from tests.contract.notifying import Api, Receiver, settings_with
from tests.contract.operating import Terminal, terminal_to

GONE = b"HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def terminal(world: World, database_url: Callable[[str], str]) -> AsyncIterator[Terminal]:
    submission = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    services = [
        create_submission(submission, world.outside),
        create_notification(settings_with(database_url("notification")), world.outside),
    ]
    key = await world.add_project("p1", "k1")
    async with terminal_to(world, services, key) as found:

        async def hears(message: Message) -> None:
            assert await found.running.deliver(message) == "SUCCESS"

        world.bus.subscribe(OPERATOR_ACTIONS.name, hears)
        yield found


@pytest.fixture
async def api(terminal: Terminal) -> Api:
    return Api(terminal.running, terminal.world, terminal.key, terminal.key)


@pytest.fixture
async def hook(api: Api, receiver: Receiver) -> str:
    return str((await api.register(receiver.url))["endpoint"]["id"])


async def test_endpoints_and_deliveries_are_listed(terminal: Terminal, api: Api, hook: str, receiver: Receiver) -> None:
    await api.tell_of(1, 2, 3)
    await api.states(hook, *["delivered"] * 3)
    listed = await terminal.run("webhooks", "list", "--project", "p1")
    assert listed.code == 0
    assert hook in listed.out and f"http://127.0.0.1:{receiver.port}" in listed.out and "healthy" in listed.out
    [found] = (await terminal.run("webhooks", "list", "-p", "p1", "-o", "json")).json
    assert (found["id"], found["state"]) == (hook, "healthy")
    shown = await terminal.run("webhooks", "deliveries", hook, "-p", "p1", "--state", "delivered")
    assert "task.done.v1" in shown.out and "204 No Content" in shown.out
    assert len((await terminal.run("webhooks", "deliveries", hook, "-p", "p1", "-n", "2", "-o", "json")).json) == 2
    assert "none like that" in (await terminal.run("webhooks", "deliveries", hook, "-p", "p1", "-s", "failed")).out


async def test_a_log_is_read_page_by_page(
    terminal: Terminal, api: Api, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_cli.webhooks.LONGEST_PAGE", 2)
    await api.tell_of(1, 2, 3)
    await api.states(hook, *["delivered"] * 3)
    shown = (await terminal.run("webhooks", "deliveries", hook, "-p", "p1", "-o", "json")).json
    assert len({one["webhook_id"] for one in shown}) == 3


async def test_all_of_a_while_are_sent_again_after_a_dry_run(
    terminal: Terminal, api: Api, hook: str, receiver: Receiver
) -> None:
    await api.tell_of(1, 2)
    await api.states(hook, "delivered", "delivered")
    command = ("webhooks", "replay", hook, "--project", "p1", "--since", "9999d", "--state", "delivered")
    # What came lies by the tests' clock, and the command's is the machine's.
    said = await terminal.run(*command, "--dry-run")
    assert (said.code, said.out.strip()) == (0, "2 would go out again: 2 delivered.")
    assert len(receiver.received) == 2
    assert (await terminal.run(*command, "--dry-run", "-o", "json")).json["matched"] == 2
    said = await terminal.run(*command, MOVIE_TASKS_OPERATOR="Grace H.")
    assert said.out.strip() == "2 go out again, after what is fresh."
    await until(lambda: len(receiver.received) == 4)
    kept = await terminal.run("audit", "-o", "json")
    assert [(one["action"], one["target"], one["operator"]) for one in kept.json] == [
        ("webhooks.replay", f"p1/{hook}", "Grace H.")
    ]
    assert "delivered: 2 → 0" in (await terminal.run("audit")).out
    none = await terminal.run("webhooks", "replay", hook, "-p", "p1", "--since", "9999d", "--until", "9998d")
    assert none.out.strip() == "0 go out again, after what is fresh."


async def test_some_are_sent_again_by_their_ids(terminal: Terminal, api: Api, hook: str, receiver: Receiver) -> None:
    await api.tell_of(1)
    await api.states(hook, "delivered")
    [webhook] = [one["webhook_id"] for one in await api.log(hook)]
    said = await terminal.run("webhooks", "replay", hook, webhook, "none", "-p", "p1", "--dry-run", "-o", "json")
    assert (said.code, [one["outcome"][:8] for one in said.json]) == (1, ["would go", "refused:"])
    assert len(receiver.received) == 1
    assert "goes out again" in (await terminal.run("webhooks", "replay", hook, webhook, "-p", "p1")).out
    await until(lambda: len(receiver.received) == 2)


async def test_what_is_disabled_is_switched_on(terminal: Terminal, api: Api, hook: str, receiver: Receiver) -> None:
    receiver.answers = [GONE]
    await api.tell_of(1)
    await api.states(hook, "failed")
    assert (await terminal.run("webhooks", "replay", hook, "-p", "p1", "--since", "9999d")).code == 1
    would = await terminal.run("webhooks", "enable", hook, "-p", "p1", "--dry-run")
    assert "It would be on again. It was disabled: the receiver answered 410 Gone." in would.out
    assert (await api.endpoint(hook))["state"] == "disabled"
    assert "It is on again." in (await terminal.run("webhooks", "enable", hook, "-p", "p1")).out
    assert (await api.endpoint(hook))["state"] == "healthy"
    assert "It is on, and accepts" in (await terminal.run("webhooks", "enable", hook, "-p", "p1")).out


async def test_what_is_wrong_is_told(terminal: Terminal, hook: str) -> None:
    assert (await terminal.run("webhooks", "list")).code == 2
    assert (await terminal.run("webhooks", "list", "-p", "p1", MOVIE_TASKS_ADMIN_KEY="wrong")).code == 3
    assert (await terminal.run("webhooks", "list", "-p", "nobodys")).code == 1
    assert (await terminal.run("webhooks", "enable", "nothing", "-p", "p1")).code == 1
    assert (await terminal.run("webhooks", "replay", hook, "-p", "p1", "--since", "soon")).code == 2
    assert (await terminal.run("webhooks", "deliveries", "../..", "-p", "p1")).code == 1
