"""Token counts of single fields, as in Table 1: no template, no special tokens, none in an empty text.

A tokenizer that comes with its SentencePiece model (LLaMA 1 and 2) counts with that model, as the paper did: by it
Table 1 comes out to the digit, while the fast tokenizer that transformers makes of it splits some texts otherwise (354
of 30,033 fields of real rows, all of them with runs of spaces). Training uses the fast tokenizer, the only one there.
"""

import re
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.study.hub import Unreachable, download, is_offline, kept_listing, list_files
from plw.study.pretrained import pretrained_location

CHUNK_TEXTS = 10_000  # texts per call: enough for the tokenizer's threads, small enough for memory
MODEL_FILE = "tokenizer.model"  # where transformers and the Hub's repositories keep a SentencePiece model
SENTENCEPIECE, FAST = "SentencePiece model", "fast tokenizer"
# LLaMA 3 keeps a file of the same name: lines of a piece in base64 and its rank, which SentencePiece cannot read.
RANKED_PIECES = re.compile(rb"[A-Za-z0-9+/]+=* [0-9]+\r?\n")


@dataclass(frozen=True)
class TokenCounter:
    """A function from texts to their numbers of tokens.

    encode        texts -> sequences as long as their numbers of tokens
    counted_with  what counts: SENTENCEPIECE or FAST
    """

    encode: Callable[[list[str]], Sequence[Sized]]
    counted_with: str

    def __call__(self, texts: Sequence[str]) -> list[int]:
        return [
            len(ids)
            for start in range(0, len(texts), CHUNK_TEXTS)
            for ids in self.encode(list(texts[start : start + CHUNK_TEXTS]))
        ]


def token_counter(source: dict, *, where: str | None = None) -> TokenCounter:
    """Return the counter of a tokenizer: its SentencePiece model where it has one, else the fast tokenizer.

    source  {path: folder of a tokenizer}, {path: file.model} (SentencePiece) or {hub: …, revision: …}
    Raises InputError when there is no tokenizer at that place.
    """
    file = _model_file(source, where)
    if file is not None and not (file.name == MODEL_FILE and _is_ranked_pieces(file)):
        return _sentencepiece_counter(file, where)
    pretrained_location(source, where=where)  # says by name that there is none
    try:
        tokenizer = load_tokenizer(source)
    except InputError as error:
        place = ", ".join(one for one in (where, error.where) if one) or None
        raise InputError(error.what, value=error.value, where=place, hint=error.hint) from None
    return TokenCounter(_encoder_of(tokenizer), FAST)


def _encoder_of(tokenizer) -> Callable[[list[str]], Sequence[Sized]]:
    """Without what its own calls do beside: where in the text each token lies, and lists of the ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return lambda texts: tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return lambda texts: backend.encode_batch_fast(texts, add_special_tokens=False)


def _model_file(source: dict, where: str | None) -> Path | None:
    """The SentencePiece model of a source: itself, in its folder, or in its repository; None where there is none."""
    path = source.get("path")
    if isinstance(path, str):
        if path.endswith(".model"):
            return Path(path)
        file = Path(path) / MODEL_FILE
        return file if file.is_file() else None
    if "hub" not in source:
        return None
    revision = source.get("revision") or "main"
    try:
        listing = kept_listing(source["hub"], revision, "model") if is_offline() else None
        listing = listing or list_files(source["hub"], revision, "model", where=where)
    except InputError as error:
        if not (is_offline() or isinstance(error, Unreachable)):
            raise
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source["hub"], MODEL_FILE, revision=revision)
        if found is None:
            raise  # a count that depends on whether a file happens to be here would be two numbers for one thing
        return Path(found) if isinstance(found, str) else None  # else the client knows that there is none
    return download(listing, MODEL_FILE, where=where) if MODEL_FILE in listing.files else None


def _is_ranked_pieces(path: Path) -> bool:
    with open(path, "rb") as stream:
        return RANKED_PIECES.match(stream.readline(4096)) is not None


def _sentencepiece_counter(path: Path, where: str | None) -> TokenCounter:
    if not path.is_file():
        hint = f"Paths are relative to {Path.cwd()}."
        raise InputError("There is no SentencePiece model.", value=str(path), where=where, hint=hint)
    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError):
        hint = "It may be damaged, or of another kind. Fetch it again, or name another `statistics_tokenizer`."
        raise InputError("This is no SentencePiece model.", value=str(path), where=where, hint=hint) from None
    # One thread: jobs of a workflow share the cores.
    return TokenCounter(lambda texts: processor.encode(texts, num_threads=1), SENTENCEPIECE)
