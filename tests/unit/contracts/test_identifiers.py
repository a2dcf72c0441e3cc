from datetime import UTC, datetime

import pytest
from contracts.identifiers import Moment
from pydantic import TypeAdapter, ValidationError

MOMENT = TypeAdapter[datetime](Moment)


@pytest.mark.parametrize("given", [1767225600, 1767225600.5, "1767225600", " -3 ", "+1.5", "0"])
def test_a_number_is_no_moment_however_it_is_written(given: object) -> None:
    with pytest.raises(ValidationError, match="RFC 3339"):
        MOMENT.validate_python(given)


def test_a_moment_is_kept_in_utc() -> None:
    assert MOMENT.validate_python("2026-01-01T01:00:00+01:00") == datetime(2026, 1, 1, tzinfo=UTC)
