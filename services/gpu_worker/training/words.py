"""Tokenizers for small vocabularies: a word of the training prompts is one token, anything else its bytes."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, END = "<pad>", "<unk>", "</s>"
LARGEST_VOCABULARY = 600


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
