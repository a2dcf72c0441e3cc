import random
from pathlib import Path
from typing import Any

import pytest
from contracts.catalog import CatalogError, RequestValidator, read_catalog
from contracts.catalog.parameters import IntegerParameter
from contracts.catalog.schema import LONGEST_TIME_LIMIT_MINUTES
from contracts.errors import FieldProblem, InvalidRequest
from contracts.identifiers import task_id_for
from contracts.media import Medium
from hypothesis import given
from hypothesis import strategies as st

CATALOG = read_catalog()
VALIDATOR = RequestValidator(CATALOG)


def accept(**raw: Any) -> Any:
    return VALIDATOR.accept({"model": "tiny-image", "params": {"prompt": "a red circle"}} | raw, random.Random(1))


def problems(**raw: Any) -> dict[str, FieldProblem]:
    with pytest.raises(InvalidRequest) as raised:
        accept(**raw)
    return {problem.field: problem for problem in raised.value.errors}


def test_every_medium_has_a_model_for_any_cpu_and_one_as_users_run_it() -> None:
    for medium in Medium:
        assert any(entry.medium is medium and entry.needs.cpu for entry in CATALOG.models)
        assert any(entry.medium is medium and not entry.needs.cpu and entry.licence for entry in CATALOG.models)


def test_hub_models_are_pinned_to_a_commit() -> None:
    for entry in CATALOG.models:
        if entry.source.kind == "hub":
            assert len(entry.source.revision) == 40, entry.key


def test_defaults_fill_in_what_a_request_leaves_out() -> None:
    request = accept()
    assert request.params["width"] == 128
    assert request.params["negative_prompt"] == ""
    assert request.time_limit_seconds == 300
    assert request.max_failures == 3


def test_every_accepted_request_has_the_defaults_and_what_must_be_given_or_is_drawn_besides() -> None:
    for entry in CATALOG.models:
        inputs = {name: task_id_for("p", name) for name in entry.inputs}
        given = {name: "a red circle" for name, p in entry.open_parameters.items() if p.default is None}
        request = accept(model=entry.key, params=given, inputs=inputs)
        drawn = {name for name, p in entry.parameters.items() if p.default == "random"}
        accepted = {name: value for name, value in request.params.items() if name not in drawn}
        assert accepted == {name: v for name, v in entry.defaults.items() if name in entry.open_parameters} | given


def test_a_random_default_is_drawn_for_each_request() -> None:
    raw = {"model": "tiny-image", "params": {"prompt": "a red circle"}}
    assert accept().params["seed"] != VALIDATOR.accept(raw, random.Random(2)).params["seed"]


def test_a_problem_names_field_allowed_range_and_given_value() -> None:
    found = problems(params={"prompt": "x", "width": 4096})["params.width"]
    assert found.allowed == {"type": "integer", "min": 64, "max": 256, "step": 8}
    assert found.given == 4096
    assert "256" in found.detail


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"params": {"prompt": "x", "width": 67}}, "params.width"),
        ({"params": {"prompt": "x", "width": "128"}}, "params.width"),
        ({"params": {"prompt": "x", "width": True}}, "params.width"),
        ({"params": {"prompt": "x", "guidance": float("nan")}}, "params.guidance"),
        ({"params": {"prompt": ""}}, "params.prompt"),
        ({"params": {"prompt": "x\x00y"}}, "params.prompt"),
        ({"params": {"prompt": "x" * 2001}}, "params.prompt"),
        ({"params": {"prompt": "\ud800"}}, "params.prompt"),
        ({"params": {"prompt": "x", "unknown": 1}}, "params.unknown"),
        ({"params": "prompt"}, "params"),
        ({"params": {}}, "params.prompt"),
        ({"model": "no-such-model"}, "model"),
        ({"model": ["tiny-image"]}, "model"),
        ({"model": "tiny-image-edit"}, "inputs"),
        ({"model": "tiny-image-edit", "inputs": {"image": "../../etc/passwd"}}, "inputs.image"),
        ({"inputs": {"image": "x"}}, "inputs.image"),
        ({"tags": list("abcdef")}, "tags"),
        ({"tags": [" "]}, "tags.0"),
        ({"priority": "urgent"}, "priority"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2026-01-01T00:00:00"}, "expires_at"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_outside_the_catalog_is_refused_by_name(raw: dict[str, Any], field: str) -> None:
    found = problems(**raw)
    assert field in found
    assert found[field].allowed is not None


def test_what_was_given_is_sent_back_cut_short() -> None:
    given = problems(params={"prompt": "x" * 100_000})["params.prompt"].given
    assert isinstance(given, str) and len(given) < 300


@given(st.integers(-1000, 1000))
def test_steps_count_from_the_minimum(value: int) -> None:
    parameter = IntegerParameter(type="integer", min=9, max=257, step=8)
    assert parameter.on_step(value) == ((value - 9) % 8 == 0)


def write(folder: Path, text: str) -> Path:
    path = folder / "catalog.yaml"
    path.write_text(text)
    return path


SHIPPED = (Path(read_catalog.__code__.co_filename).parent / "catalog.yaml").read_text()


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("time_limit_minutes: 5\n", f"time_limit_minutes: {LONGEST_TIME_LIMIT_MINUTES + 1}\n", "less than or equal"),
        ("key: tiny-image-edit", "key: tiny-image", "stand twice"),
        ("shares: tiny-image", "shares: nothing", "not in the catalog"),
        ("default: 128, size: true", "default: 127, size: true", "outside its own"),
        ("medium: image\n    generator: text_to_image", "medium: audio\n    generator: text_to_image", "does not make"),
        ("output: {format: png}", "output: {format: wav}", "does not hold"),
        ("frame_rate: frame_rate", "frame_rate: nothing", "no parameter"),
        ("default: 128, size: true", "size: true", "size and has no default"),
        ("run_seconds: 1\n", "run_seconds: 20\n", "one by one in time"),
        ("    inputs:", "    batching: {max: 2}\n    inputs:", "one task at a time"),
        ("{channels_last: true}", "{channels_last: 3}", "valid boolean"),
        ("{channels_last: true}", "{first_block_cache: 1.5}", "less than 1"),
        ("{channels_last: true}", "{first_block_cache: 0.1}", "whole batch"),
        ("{channels_last: true}", "{attention: [flash]}", "valid string"),
        ("{channels_last: true}", "{attention: flash_hub}", "code of others"),
        ("{channels_last: true}", "{quantise: true}", "Extra inputs"),
        ("version: 1", "version: 2", "version"),
        ("version: 1", "version: [", "while parsing"),
        ("version: 1", "version: !!python/object/apply:os.system ['true']", "constructor"),
    ],
)
def test_a_catalog_that_does_not_hang_together_says_why(tmp_path: Path, was: str, becomes: str, complaint: str) -> None:
    assert was in SHIPPED
    with pytest.raises(CatalogError, match=complaint):
        read_catalog(write(tmp_path, SHIPPED.replace(was, becomes, 1)))


def test_tasks_share_a_pass_whose_parameters_are_alike_but_for_those_per_item() -> None:
    entry = CATALOG["tiny-image"]
    one = accept()
    other = accept(params={"prompt": "a blue square", "negative_prompt": "red", "seed": 9})
    assert entry.shared(one.params) == entry.shared(other.params)
    assert entry.shared(one.params) != entry.shared({**one.params, "steps": 13})
    assert entry.shared({"prompt": "x"}) == entry.shared({"prompt": "x", "steps": 12}), "a default may be left out"


@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({}, 8),
        ({"width": 64, "height": 64}, 8),
        ({"width": 256}, 4),
        ({"width": 256, "height": 256}, 2),
        ({"width": 64, "height": 256}, 8),
    ],
)
def test_fewer_tasks_share_a_pass_when_each_is_larger(params: dict[str, Any], most: int) -> None:
    assert CATALOG["tiny-image"].most_together(params) == most


def test_a_model_that_says_nothing_of_batches_runs_one_task_at_a_time() -> None:
    assert CATALOG["flux-schnell"].most_together({}) == 1


def test_a_deployment_offers_what_it_names() -> None:
    assert {entry.key.partition("-")[0] for entry in read_catalog(only=["tiny-*"]).models} == {"tiny"}
    with pytest.raises(CatalogError, match="no model"):
        read_catalog(only=["huge-*"])


def test_of_two_catalogs_each_has_its_own_ranges_for_the_same_model() -> None:
    """What requests are checked by is kept for the whole process."""
    entry = CATALOG["tiny-image"]
    steps = entry.parameters["steps"]
    assert isinstance(steps, IntegerParameter)
    shorter = entry.model_copy(
        update={"parameters": entry.parameters | {"steps": steps.model_copy(update={"max": steps.max - 1})}}
    )
    other = RequestValidator(CATALOG.model_copy(update={"models": (shorter,)}))
    raw = {"model": "tiny-image", "params": {"prompt": "a red circle", "steps": steps.max}}
    assert VALIDATOR.accept(raw, random.Random(1)).params["steps"] == steps.max
    with pytest.raises(InvalidRequest):
        other.accept(raw, random.Random(1))


class TestInputsFromTasks:
    def test_they_are_kept_apart_from_files(self) -> None:
        task_id = task_id_for("p", "keyframe")
        request = accept(model="tiny-image-edit", inputs={"image": {"from_task": task_id}})
        assert (request.inputs, request.needs) == ({}, {"image": task_id})

    @pytest.mark.parametrize(
        "given",
        [
            {"from_task": "x"},
            {"from_task": None},
            {},
            {"from": "keyframe"},
            {"from_task": task_id_for("p", "a"), "x": 1},
        ],
    )
    def test_what_names_no_task_is_told_what_is_allowed(self, given: object) -> None:
        found = problems(model="tiny-image-edit", inputs={"image": given})
        [(field, problem), *_] = found.items()
        assert field == "inputs.image"
        assert "from_task" in str(problem.allowed)
