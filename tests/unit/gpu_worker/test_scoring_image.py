"""The scorer of pictures: right about what the renderer draws, and about everything that can go wrong."""

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from training.drawing import Floats
from training.scoring.image import mistakes
from training.shapes import KINDS, OFFSETS, Scene, Thing, render, scene_of_kind, scenes

BLUE = Thing("blue", "circle")


def drawn(scene: Scene, seed: int = 0) -> Floats:
    pictures: Floats = render([scene], np.random.default_rng(seed))[0]
    return pictures


@pytest.mark.parametrize("held_out", [False, True])
def test_what_the_renderer_draws_is_right_and_nothing_else(held_out: bool) -> None:
    rng = np.random.default_rng(1)
    asked = list(islice(scenes(rng, held_out=held_out), 200))
    pictures = render(asked, rng)
    assert [mistakes(picture, scene) for picture, scene in zip(pictures, asked, strict=True)] == [[]] * len(asked)
    assert all(
        mistakes(picture, other)
        for picture, (scene, other) in zip(pictures, pairwise(asked), strict=False)
        if scene.meaning != other.meaning
    )


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (Scene((replace(BLUE, colour="red"),)), ["blue instead of red"]),
        (Scene((replace(BLUE, shape="square"),)), ["circle instead of square"]),
        (Scene((replace(BLUE, size="large"),)), ["middle size instead of large"]),
        (Scene((BLUE,), background="white"), ["background default"]),
        (Scene((BLUE,), count="two"), ["1 shapes"]),
        (Scene((BLUE, BLUE), relation="above"), ["1 shapes"]),
    ],
)
def test_it_says_what_is_wrong(asked: Scene, wrong: list[str]) -> None:
    assert mistakes(drawn(Scene((BLUE,))), asked) == wrong


@pytest.mark.parametrize("relation", OFFSETS)
def test_a_relation_the_other_way_round_is_wrong(relation: str) -> None:
    scene = Scene((BLUE, Thing("red", "square")), relation=relation)
    turned = replace(scene, things=scene.things[::-1])
    assert not mistakes(drawn(scene), scene)
    assert mistakes(drawn(turned), scene)


def test_noise_and_emptiness_are_wrong() -> None:
    rng = np.random.default_rng(2)
    scene = Scene((BLUE,))
    assert mistakes(rng.random((128, 128, 3), np.float32), scene)
    assert mistakes(np.full((128, 128, 3), 0.73, np.float32), scene) == ["0 shapes"]


def test_a_blurred_shape_passes_and_a_smeared_one_does_not() -> None:
    scene = Scene((Thing("green", "square"),))
    picture = drawn(scene)
    soft = np.mean([np.roll(picture, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    smeared = np.min([np.roll(picture, shift, 1) for shift in range(0, 30, 3)], axis=0)
    assert not mistakes(soft, scene)
    assert mistakes(smeared, scene)


def test_every_kind_of_scene_is_put_into_words_in_many_ways() -> None:
    rng = np.random.default_rng(3)
    for kind in KINDS:
        scene = scene_of_kind(rng, kind, "white")
        assert len({scene.prompt(rng) for _ in range(50)}) > 5
