"""The distributed components say the same as the code: who may publish and hear what, and nothing more."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.topics import SERVICES, STATE_STORE, TOPICS, App, Component

FOLDER = Path(__file__).parents[2] / "charts" / "movie-tasks" / "dapr"


def component(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def metadata(name: str) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in component(name)["spec"]["metadata"]}


def scoped(text: str) -> dict[str, set[str]]:
    pairs = (entry.strip().split("=") for entry in text.split(";"))
    return {app: set(filter(None, topics.split(","))) for app, topics in pairs}


@pytest.mark.parametrize("which", Component)
def test_every_app_may_say_and_hear_its_own_topics_only(which: Component) -> None:
    topics = [topic for topic in TOPICS if topic.component is which]
    found = metadata(which.value)
    assert set(found["allowedTopics"].split(",")) == {topic.name for topic in topics}
    apps = [app for app in App if any(app in topic.publishers + topic.subscribers for topic in topics)]
    # An app that a scope does not name may do everything.
    assert component(which.value)["scopes"] == apps
    assert scoped(found["publishingScopes"]) == {a: {t.name for t in topics if a in t.publishers} for a in apps}
    assert scoped(found["subscriptionScopes"]) == {a: {t.name for t in topics if a in t.subscribers} for a in apps}


def test_the_content_system_cannot_reach_the_tasks_state() -> None:
    assert component(STATE_STORE)["scopes"] == list(SERVICES)


def test_events_of_before_the_first_commit_are_heard_and_broadcasts_are_not() -> None:
    assert metadata("events")["initialOffset"] == "oldest"
    assert metadata("broadcast")["initialOffset"] == "newest"


@pytest.mark.parametrize("name", ["events", "broadcast", "taskstate"])
def test_no_secret_is_written_into_a_component(name: str) -> None:
    secret = ("password", "brokers", "connectionstring", "username")
    for item in component(name)["spec"]["metadata"]:
        if any(part in item["name"].lower() for part in secret):
            assert "secretKeyRef" in item and "value" not in item
