"""Makes the tiny models of the catalog: real diffusers architectures of a few megabytes.

Their weights come from a fixed seed, so every machine makes the same ones and none is downloaded.
They exercise loading, generating and encoding for real; what they draw is not a picture.

    python -m gpu_worker.engine.tiny_models FOLDER
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLLTXVideo,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

SHIPPED = Path(__file__).parents[1] / "models"
"""Trained ones, by name; how is in services/gpu_worker/training."""
SEED = 20260101
TEXT_WIDTH = 64


def byte_tokenizer(longest: int, start: str | None, end: str) -> PreTrainedTokenizerFast:
    """One token a byte, so that every prompt in any language is told apart without a vocabulary."""
    specials = ["<pad>", "<unk>", *([start] if start else []), end]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={token: n for n, token in enumerate([*specials, *letters])}, merges=[], unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = f"{start} $A {end}" if start else f"$A {end}"
    ids = [(token, specials.index(token)) for token in (start, end) if token]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token=start,
        eos_token=end,
    )


def tiny_stable_diffusion(folder: Path) -> None:
    tokenizer = byte_tokenizer(77, "<start>", "<end>")
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=TEXT_WIDTH,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=8,
            sample_size=128,
        ),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=TEXT_WIDTH,
            attention_head_dim=8,
            norm_num_groups=8,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def tiny_ltx_video(folder: Path) -> None:
    tokenizer = byte_tokenizer(128, None, "</s>")
    LTXPipeline(
        vae=AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(16, 32, 32, 32),
            decoder_block_out_channels=(16, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, True, False),
            decoder_spatio_temporal_scaling=(True, True, True, False),
            decoder_inject_noise=(False, False, False, False, False),
            patch_size=4,
            patch_size_t=1,
            encoder_causal=True,
            decoder_causal=False,
        ),
        text_encoder=_tiny_t5(tokenizer),
        tokenizer=tokenizer,
        transformer=LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=4,
            attention_head_dim=16,
            cross_attention_dim=TEXT_WIDTH,
            num_layers=2,
            caption_channels=TEXT_WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def _tiny_t5(tokenizer: PreTrainedTokenizerFast) -> Any:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=TEXT_WIDTH,
            d_kv=16,
            d_ff=4 * TEXT_WIDTH,
            num_layers=2,
            num_heads=4,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "tiny-stable-diffusion": tiny_stable_diffusion,
    "tiny-ltx-video": tiny_ltx_video,
}


def make(name: str, models_folder: Path) -> Path:
    """A bundled model's folder, made now if it is neither shipped nor there. Raises `KeyError` for an unknown name."""
    if (SHIPPED / name / "model_index.json").is_file():
        return SHIPPED / name
    target = models_folder / name
    if not target.is_dir():
        partial = target.with_name(f"{name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        torch.manual_seed(SEED)
        MAKERS[name](partial)
        partial.rename(target)
    return target


if __name__ == "__main__":
    for model in MAKERS:
        print(make(model, Path(sys.argv[1])))
