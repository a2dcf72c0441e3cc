"""The scorer of clips: right about what the renderer draws, and about everything that can go wrong."""

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from training.drawing import Floats
from training.motions import MOTIONS, Scene, render, scenes
from training.scoring.video import mistakes


def drawn(scene: Scene) -> Floats:
    frames: Floats = render([scene], np.random.default_rng(0))[0]
    return frames


@pytest.mark.parametrize("held_out", [False, True])
def test_what_the_renderer_draws_is_right_and_nothing_else(held_out: bool) -> None:
    rng = np.random.default_rng(1)
    asked = list(islice(scenes(rng, held_out=held_out), 50))
    clips = render(asked, rng)
    assert [mistakes(clip, scene) for clip, scene in zip(clips, asked, strict=True)] == [[]] * len(asked)
    assert all(
        mistakes(clip, other)
        for clip, (scene, other) in zip(clips, pairwise(asked), strict=False)
        if scene.meaning != other.meaning
    )


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_is_told_from_every_other(motion: str) -> None:
    scene = Scene("red", "circle", motion)
    clip = drawn(scene)
    for other in MOTIONS:
        expected = [] if other == motion else [f"{motion} instead of {other}"]
        assert mistakes(clip, replace(scene, motion=other)) == expected


def test_it_says_what_is_wrong_with_the_looks() -> None:
    clip = drawn(Scene("red", "circle", "up"))
    assert mistakes(clip, Scene("blue", "triangle", "up", "white")) == [
        "background default",
        "red instead of blue",
        "circle instead of triangle",
    ]


def test_a_jump_is_no_motion() -> None:
    scene = Scene("red", "circle", "right")
    clip = drawn(scene)
    jumping = np.concatenate([np.repeat(clip[:1], 9, 0), np.repeat(clip[-1:], 8, 0)])
    assert mistakes(jumping, scene) == ["jumping instead of right"]


def test_a_shape_that_goes_away_or_doubles_is_wrong() -> None:
    scene = Scene("red", "circle", "still")
    clip = drawn(scene)
    gone = clip.copy()
    gone[8:] = clip[0, 0, 0]
    assert mistakes(gone, scene) == ["one shape in 8 of 17 frames only"]
    doubled = np.minimum(clip, np.roll(clip, 60, axis=2))
    assert mistakes(doubled, scene)


def test_noise_is_wrong() -> None:
    assert mistakes(np.random.default_rng(0).random((17, 96, 128, 3), np.float32), Scene("red", "circle", "up"))
