"""What the video model's decoder is set to do, and does not learn."""

import numpy as np
import torch
from training import codes, motions, video_autoencoder


def test_latents_are_told_to_every_patch_of_every_frame_as_seen_from_there() -> None:
    rng = np.random.default_rng(1)
    scene = motions.scene_of_kind(rng, "right", "white")
    path = scene.path(rng)
    latents = torch.from_numpy(codes.codes([scene], [path])).movedim(-1, 1)[..., None, None]
    decoder = video_autoencoder.autoencoder().decoder
    told = decoder.conv_in(latents)
    for block in decoder.up_blocks:
        told = block.upsamplers[0](told)
    column, row, patch = 5, 2, video_autoencoder.PATCH
    from_there = path.centres - patch * (np.array([column, row]) + 0.5)
    seen = told[0, codes.ACROSS : codes.SIZE, :, row, column].T.detach().numpy() * codes.PLACE_SCALE
    np.testing.assert_allclose(seen, from_there, atol=1e-3)
    colours = told[0, : codes.ACROSS, :, row, column]
    torch.testing.assert_close(colours, latents[0, : codes.ACROSS, :1, 0, 0].expand_as(colours))
