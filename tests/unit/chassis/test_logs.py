import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from asgi_correlation_id import correlation_id
from chassis.logs import configure_logs, hidden
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
