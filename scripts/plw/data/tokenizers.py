"""Load tokenizers by the same key as models, and give them the special tokens that Alpaca adds."""

from transformers import AutoTokenizer

from plw.study.pretrained import load_pretrained

PAD_TOKEN = "[PAD]"  # Alpaca's train.py; DEFAULT_* there
DEFAULT_SPECIAL_TOKENS = {"eos_token": "</s>", "bos_token": "<s>"}


def load_tokenizer(source: dict, *, max_length: int | None = None):
    """Return the tokenizer of `source` ({path} or {hub, revision}), padding on the right.

    max_length  becomes `model_max_length`; None keeps the tokenizer's own.
    """
    options = {"padding_side": "right"} | ({} if max_length is None else {"model_max_length": max_length})
    return load_pretrained(AutoTokenizer, source, "tokenizer", **options)


def prepare_tokenizer(tokenizer) -> int:
    """Add the special tokens that Alpaca adds; return how many ids are new.

    A padding token `[PAD]` if there is none, and `</s>`, `<s>` where end or begin are missing.
    # DEVIATION: no `<unk>` is added, because byte-level tokenizers (LLaMA 3) never need it.
    """
    missing = {name: text for name, text in DEFAULT_SPECIAL_TOKENS.items() if getattr(tokenizer, name) is None}
    if tokenizer.pad_token is None:
        missing["pad_token"] = PAD_TOKEN
    before = len(tokenizer)
    if missing:
        tokenizer.add_special_tokens(missing)
    return len(tokenizer) - before
