"""Structured JSON logs with the correlation id, and no secret in any of them."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from asgi_correlation_id import correlation_id

_SECRETS = (
    (re.compile(r"\bmt_([A-Za-z0-9]+)_[A-Za-z0-9_-]+"), r"mt_\1_…"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), "whsec_…"),
    # What Fernet has sealed: tickets and links, which browsers send in the address.
    (re.compile(r"gAAAA[A-Za-z0-9_-]{40,}"), "gAAAA…"),
    (re.compile(r"(?i)\b(api_key|link|ticket|x-api-key|x-admin-key|dapr-api-token)([=:]\s*)[^\s&\"']+"), r"\1\2…"),
)


def configure_logs(level: str, *, json: bool = True) -> None:
    """Sends structlog and the standard library's logging to stderr, as JSON or for a person to read."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_correlation_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # httpx logs whole URLs, uvicorn a line per request that ours says better.
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _add_correlation_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (current := correlation_id.get()) is not None:
        event.setdefault("correlation_id", current)
    return event


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = hidden(value)
    return event


def hidden(text: str) -> str:
    """The text with every API key, webhook secret and token in it cut to what tells them apart."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
