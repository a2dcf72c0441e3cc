import pytest
from contracts.errors import RangeNotSatisfiable, UnsupportedMedia
from contracts.media import Medium
from contracts.tasks import Checkpoint, Phase
from contracts.testing.examples import a_task_in, produced_media
from hypothesis import given
from hypothesis import strategies as st
from storage.domain import Checked, Probe, Span, canonical, check_claim, medium_of, read_range, staged_for_nobody


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("", None),
        ("bytes=0-", Span(0, 100)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=90-500", Span(90, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-500", Span(0, 100)),
        ("BYTES=1-2", Span(1, 3)),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=-", None),
        ("bytes=--1", None),
        ("bytes", None),
        ("bytes=" + "9" * 40 + "-", None),
        ("bytes=١-٢", None),
    ],
)
def test_ranges(header: str | None, span: Span | None) -> None:
    assert read_range(header, 100) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_ranges_outside_the_file(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        read_range(header, 100)


@given(st.text(max_size=30), st.integers(1, 10**12))
def test_whatever_a_range_header_says_the_answer_lies_within_the_file(header: str, size: int) -> None:
    try:
        span = read_range(f"bytes={header}", size)
    except RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.start < span.end <= size


def test_types_have_one_name_each() -> None:
    assert canonical("Audio/X-WAV; codecs=1") == "audio/wav"
    assert medium_of("video/mp4") is Medium.VIDEO
    with pytest.raises(UnsupportedMedia):
        medium_of("application/zip")


def test_a_claim_is_held_against_size_digest_and_content() -> None:
    claim = produced_media(a_task_in(Phase.STORING))
    right = Checked(Probe("image/png"), claim.size, claim.sha256)
    assert check_claim(claim, right) is None
    for wrong in (
        Checked(right.probe, claim.size + 1, claim.sha256),
        Checked(right.probe, claim.size, "f" * 64),
        Checked(Probe("image/jpeg"), claim.size, claim.sha256),
    ):
        problem = check_claim(claim, wrong)
        assert problem is not None
        assert problem.retryable


def test_staging_is_swept_of_what_nobody_will_come_for() -> None:
    storing = a_task_in(Phase.STORING)
    assert not staged_for_nobody(storing, 1, "staging/a/1/output.png")
    assert staged_for_nobody(storing, 0, "staging/a/0/output.png")
    assert staged_for_nobody(None, 1, "staging/a/1/output.png")
    assert staged_for_nobody(a_task_in(Phase.FAILED), 1, "staging/a/1/output.png")


def test_a_checkpoint_lies_in_staging_until_another_takes_its_place() -> None:
    kept, older = "staging/a/1/checkpoint-20.safetensors", "staging/a/1/checkpoint-10.safetensors"
    task = a_task_in(Phase.GENERATING, checkpoint=Checkpoint(key=kept, step=20)).model_copy(update={"attempt": 2})
    assert not staged_for_nobody(task, 1, kept)
    assert staged_for_nobody(task, 1, older)
    assert staged_for_nobody(task.model_copy(update={"phase": Phase.DONE}), 1, kept)
