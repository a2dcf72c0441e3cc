"""What was not as it had been when the original of a replay was made."""

from collections.abc import Iterator, Mapping

from contracts.media import Comparison, Provenance

TOLD = {
    "device": "device",
    "source": "source",
    "revision": "revision",
    "pipeline": "pipeline",
    "dtype": "dtype",
    "speedups": "speedups",
    "degraded": "ways to fit into memory",
    "batch": "tasks in the forward pass",
    "resumed_at_step": "resumed at step",
}
"""What of a provenance may change the bytes, beside versions and parameters, and how it is called."""


def with_circumstances(found: Comparison | None, then: Provenance | None, now: Provenance) -> Comparison | None:
    """The comparison, with everything in its note that was different when the original was made."""
    if found is None or then is None:
        return found
    notes = [*([found.note] if found.note else []), *_differences(then, now)]
    return found.model_copy(update={"note": "; ".join(notes) or None})


def _differences(then: Provenance, now: Provenance) -> Iterator[str]:
    yield from _changed(then.versions, now.versions)
    yield from _changed(
        {called: getattr(then, name) for name, called in TOLD.items()},
        {called: getattr(now, name) for name, called in TOLD.items()},
    )
    # The catalog may have got a parameter since.
    yield from _changed(then.params, now.params)


def _changed(then: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            yield f"{name} {_shown(then.get(name))} then, {_shown(now.get(name))} now"


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if value is not None and text else "none"
