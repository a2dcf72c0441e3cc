"""How prompts are read: a word of the training prompts is one token, anything else its bytes."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

PAD, UNKNOWN, END = "<pad>", "<unk>", "</s>"
LARGEST_VOCABULARY = 600
TEXT_WIDTH = 96
"""Of what an encoder makes of a token."""


def tokenizer_for(prompts: Iterable[str], longest: int, start: str | None = None) -> PreTrainedTokenizerFast:
    """A byte-level BPE learned from the prompts, whose every word becomes one token; no text is unknown to it.

    `start` is for encoders in the manner of CLIP, which begin every text with a token of its own.
    """
    specials = [PAD, UNKNOWN, *([start] if start else []), END]
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        prompts,
        trainers.BpeTrainer(
            vocab_size=LARGEST_VOCABULARY,
            special_tokens=specials,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {END}" if start else f"$A {END}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, END) if token],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=start,
        eos_token=END,
    )


def tokens_of(tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> Any:
    """As the pipelines make them: cut or padded to the longest."""
    return tokenizer(
        prompts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )


def text_encoder_for(tokenizer: PreTrainedTokenizerFast) -> T5EncoderModel:
    """A T5 of two layers, untrained."""
    return T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=TEXT_WIDTH,
            d_kv=24,
            d_ff=2 * TEXT_WIDTH,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
