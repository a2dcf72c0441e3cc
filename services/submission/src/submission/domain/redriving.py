"""What a dead letter becomes when it is said again."""

from collections.abc import Mapping

from contracts.errors import CannotRedrive, MalformedEvent
from contracts.events import Message, read_cloud_event
from contracts.topics import DEAD_LETTERS, TOPICS, App, Component, Topic

REDRIVABLE: Mapping[str, Topic] = {
    topic.name: topic
    for topic in TOPICS
    if topic.component is Component.EVENTS and topic is not DEAD_LETTERS and App.SUBMISSION in topic.publishers
}
"""A broadcast is about its moment: said again later, it would be wrong. What operators did is kept as who said it has
said it: a letter, which every service can write, is no way into the audit."""


def message_of(topic_name: str, text: str) -> Message:
    """The event as it was, id and all, so that who has handled it knows it again. Raises `CannotRedrive`.

    It is not looked into: who hears it does that, as with any event, and dead-letters it again if it must.
    """
    topic = REDRIVABLE.get(topic_name)
    if topic is None:
        raise CannotRedrive(f"letters of {topic_name[:100]!r} are not said again; only of {', '.join(REDRIVABLE)}")
    try:
        event = read_cloud_event(text.encode())
    except MalformedEvent as error:
        raise CannotRedrive(f"what was kept is no whole event, and would fail again: {error.detail}") from None
    return Message(topic, event.subject or event.id, event)
