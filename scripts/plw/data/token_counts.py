"""Token counts of single fields, as in Table 1: no template, no special tokens, none in an empty text."""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer

from plw.data.ratios import Measure
from plw.errors import InputError
from plw.study.pretrained import pretrained_location

CHUNK_TEXTS = 10_000  # texts per call: enough for the tokenizer's threads, small enough for memory


def token_counter(source: dict, *, where: str | None = None) -> Measure:
    """Return a function from texts to their numbers of tokens.

    source  {path: folder of a tokenizer}, {path: file.model} (SentencePiece) or {hub: …, revision: …}
    Raises InputError when there is no tokenizer at that place.
    """
    path = source.get("path")
    if isinstance(path, str) and path.endswith(".model"):
        return _sentencepiece_counter(Path(path), where)
    location, options = pretrained_location(source, where=where)
    try:
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
    except (OSError, ValueError) as error:
        hint = str(error).splitlines()[0]
        raise InputError("The tokenizer cannot be loaded.", value=location, where=where, hint=hint) from None

    def count(texts: Sequence[str]) -> list[int]:
        return [
            len(ids)
            for chunk in _chunks(texts)
            for ids in tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]
        ]

    return count


def _sentencepiece_counter(path: Path, where: str | None) -> Measure:
    if not path.is_file():
        hint = f"Paths are relative to {Path.cwd()}."
        raise InputError("There is no SentencePiece model.", value=str(path), where=where, hint=hint)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def count(texts: Sequence[str]) -> list[int]:
        # One thread: jobs of a workflow share the cores.
        return [len(ids) for chunk in _chunks(texts) for ids in processor.encode(chunk, num_threads=1)]

    return count


def _chunks(texts: Sequence[str]) -> list[list[str]]:
    return [list(texts[start : start + CHUNK_TEXTS]) for start in range(0, len(texts), CHUNK_TEXTS)]
