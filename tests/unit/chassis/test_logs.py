import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from asgi_correlation_id import correlation_id
from chassis.about import about_event, about_task
from chassis.logs import configure_logs
from contracts.events import Assignment, CloudEvent, TaskChanged
from contracts.media import Medium
from contracts.secrets import hidden
from contracts.tasks import context_of
from contracts.testing.examples import a_task
from contracts.tracing import TraceContext, within
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process writes to its log."""
    kept, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs("INFO")
    yield stream
    logging.getLogger().handlers[:] = handlers
    structlog.configure(**kept)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_what_ties_it_to_others(written: io.StringIO) -> None:
    token = correlation_id.set("c-1")
    structlog.get_logger("x").info("task accepted", task_id="t-1")
    correlation_id.reset(token)
    [line] = lines(written)
    assert (line["event"], line["task_id"], line["correlation_id"]) == ("task accepted", "t-1", "c-1")
    assert (line["level"], line["logger"]) == ("info", "x")
    assert "timestamp" in line


def test_a_line_says_what_it_is_about_and_has_the_last_word(written: io.StringIO) -> None:
    log, click = structlog.get_logger("x"), TraceContext("a" * 32, "b" * 16, sampled=True)
    task = a_task(traceparent=str(click), attempt=2)
    assigned = Assignment(
        worker_id="w", medium=Medium.IMAGE, project_id="p1", task_id=task.id, attempt=3, lease_seconds=1
    )
    envelope = CloudEvent(id="e", source="s", type="t", correlationid="c-2", traceparent=str(click), data={})
    with about_task(task):
        log.info("one", attempt=1)
        logging.getLogger("library").warning("two")
        with about_event(envelope, TaskChanged(task=task)):
            log.info("three")
    with about_event(envelope, assigned):
        log.info("four")
    with within(click):
        log.info("five")
    log.info("six")
    own = context_of(task)
    assert own is not None
    about_the_task = {"task_id": task.id, "project_id": "p1", "correlation_id": "c-1", "span_id": own.span_id}
    expected = [
        {**about_the_task, "attempt": 1},
        {**about_the_task, "attempt": 2},
        {**about_the_task, "attempt": 2},
        {"task_id": task.id, "project_id": "p1", "correlation_id": "c-2", "span_id": "b" * 16, "attempt": 3},
        {"span_id": "b" * 16},
        {},
    ]
    names = ("task_id", "project_id", "correlation_id", "span_id", "attempt")
    assert [{name: line[name] for name in names if name in line} for line in lines(written)] == expected
    assert [line.get("trace_id") for line in lines(written)] == ["a" * 32] * 5 + [None]


def test_other_libraries_lines_are_of_the_same_form(written: io.StringIO) -> None:
    logging.getLogger("library").warning("hello %s", "world")
    assert lines(written)[0]["event"] == "hello world"


def test_no_secret_reaches_a_line(written: io.StringIO) -> None:
    key, secret = "mt_ab12_" + "s" * 43, "whsec_" + "x" * 44
    ticket, sealed = "t" * 120, "gAAAAAB" + "f" * 120
    log = structlog.get_logger("x")
    log.info(f"got {key}", path=f"/api/v1/media/1?api_key={key}&x=1", header=f"X-Admin-Key: {'a' * 32}")
    logging.getLogger("library").warning("posting with %s", secret)
    logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "x", f"/live/ws?a=b&ticket={ticket}&c=d")
    log.info("opened", url=f"https://studio.example/?next=%2Flive%2Fws%3Fticket%3D{sealed}")
    log.error("failed", exc_info=ValueError(key))
    text = written.getvalue()
    for part in ("s" * 43, "x" * 44, "a" * 32, "t" * 120, "f" * 120):
        assert part not in text
    assert lines(written)[0]["event"] == "got mt_ab12_…"


@given(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1), st.text(alphabet="abcXYZ019_-", min_size=8)
)
def test_every_key_is_cut_to_its_id(key_id: str, secret: str) -> None:
    shown = hidden(f"before mt_{key_id}_{secret} after")
    assert shown == f"before mt_{key_id}_… after"
