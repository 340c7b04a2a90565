"""The tokenizer that a user names: to count with, and to train with."""

from pathlib import Path
from typing import Any

from plw.data.ratios import Measure


def token_counter_of(tokenizer: str | None) -> Measure | None:
    """The counter of `plw.data.token_counts.token_counter`; None where no tokenizer is named.

    tokenizer  folder, SentencePiece file (.model) or Hub id
    """
    if tokenizer is None:
        return None
    from plw.data.token_counts import token_counter

    return token_counter(_source(tokenizer), where="--tokenizer")


def encoder(tokenizer: str | None) -> Any:
    """The tokenizer as training has it; None where none is named, or where the file can only count."""
    if tokenizer is None or tokenizer.endswith(".model"):
        return None
    from plw.data.tokenizers import load_tokenizer, prepare_tokenizer

    found = load_tokenizer(_source(tokenizer))
    prepare_tokenizer(found)
    return found


def _source(tokenizer: str) -> dict:
    place = Path(tokenizer).expanduser()
    return {"path": str(place)} if place.exists() or tokenizer.endswith(".model") else {"hub": tokenizer}
