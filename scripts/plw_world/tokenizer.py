"""The tokenizer of the generated world: byte-level BPE with LLaMA's special tokens and no padding token."""

from collections.abc import Iterable

from plw.errors import InputError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ["<unk>", "<s>", "</s>"]  # ids 0, 1, 2 as in LLaMA; Alpaca's own code adds [PAD]
# A word with the space before it, punctuation, one line feed, or other white space. Digits stand alone, as in
# LLaMA.
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\n|[^\S\n]+"


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    """Learn a tokenizer of at most `vocabulary` tokens; every text survives encoding and decoding unchanged.

    `max_length` is written into the tokenizer as the model's longest sequence. Needs at least the 256 bytes
    and the special tokens in the vocabulary (InputError otherwise).
    """
    if vocabulary < 256 + len(SPECIAL_TOKENS):
        raise InputError("The vocabulary must hold 256 bytes and 3 special tokens.", value=vocabulary,
                         where="--vocabulary", hint="Give 259 or more.")  # fmt: skip
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
