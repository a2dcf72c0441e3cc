"""Secrets that a machine's platform keeps for itself."""

from pathlib import Path

from embedded.credentials import Credentials, load_or_create


def test_what_was_made_is_found_again_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    made = load_or_create(tmp_path / "data")
    assert load_or_create(tmp_path / "data") == made
    assert (tmp_path / "data" / "credentials.json").stat().st_mode & 0o077 == 0


def test_what_an_earlier_version_did_not_know_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(Credentials(admin_key="kept").model_dump_json(exclude={"media_link_key"}))
    first = load_or_create(tmp_path)
    assert first.admin_key == "kept"
    assert load_or_create(tmp_path) == first
