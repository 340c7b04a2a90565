"""Load tokenizers by the same key as models, so that only the study's settings decide, and add Alpaca's special tokens.

A tokenizer's folder can say that texts are cut or filled, that tokens are appended, that a space is put in front or
that spaces are mended after decoding. None of that is believed: `load_tokenizer` takes it off, in training, counting,
generation, the harness and judges alike, and keeps what it took off for the record. What it cannot take off is refused.
What tokens a text *is* stays the tokenizer's: its vocabulary, what it puts before a text (a beginning-of-sequence
mark), and the space that SentencePiece takes every text to begin with.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import transformers
from tokenizers import pre_tokenizers, processors
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from plw.data.template import format_prompt
from plw.errors import InputError
from plw.study.pretrained import load_pretrained, pretrained_location

PAD_TOKEN = "[PAD]"  # Alpaca's train.py; DEFAULT_* there
DEFAULT_SPECIAL_TOKENS = {"eos_token": "</s>", "bos_token": "<s>"}
UNBOUNDED = int(1e30)  # what transformers takes for "no limit"
CONFIG, BACKEND = "tokenizer_config.json", "tokenizer.json"
# Keys of CONFIG that would change what a text is made of, and what the study reads by.
OURS = {
    "padding_side": "right",
    "truncation_side": "right",
    "clean_up_tokenization_spaces": False,
    "split_special_tokens": False,  # else the end-of-sequence, which is joined to texts, is cut into letters
}
PROBE = format_prompt("Name the stones of the river, please.", "a list: two, or three") + "Here it is (see below)."


def load_tokenizer(source: dict, *, max_length: int | None = None):
    """Return the tokenizer of `source` ({path} or {hub, revision}), as the head of this module says.

    max_length  becomes `model_max_length`; None: no limit
    Its `overridden` is {file: {key: [the folder's value, ours]}}. InputError for what cannot be taken off.
    """
    options = {"padding_side": "right"} | ({} if max_length is None else {"model_max_length": max_length})
    tokenizer = load_pretrained(AutoTokenizer, source, "tokenizer", **options)
    name, place = pretrained_location(source)
    said = get_tokenizer_config(name, **place)
    changes: dict[str, dict] = {CONFIG: {}, BACKEND: {}}
    for key, value in OURS.items():
        if said.get(key, value) != value:
            changes[CONFIG][key] = [said[key], value]
        if getattr(tokenizer, key, value) != value:
            setattr(tokenizer, key, value)
    if max_length is None:
        tokenizer.model_max_length = UNBOUNDED
    elif (said.get("model_max_length") or UNBOUNDED) < max_length:
        changes[CONFIG]["model_max_length"] = [said["model_max_length"], max_length]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        _reset_backend(backend, changes[BACKEND])
        if "pre_tokenizer" in changes[BACKEND]:
            tokenizer.add_prefix_space = False
        if "padding" in changes[BACKEND] and said.get("pad_token") is None:
            tokenizer.pad_token = None  # transformers took it from there
    _take_off_appended(tokenizer, source, changes, said)
    if tokenizer.eos_token is not None:
        check_end(tokenizer, source)
    _check_spaces(tokenizer, source)
    tokenizer.overridden = {file: found for file, found in changes.items() if found}
    return tokenizer


def prepare_tokenizer(tokenizer) -> int:
    """Add the special tokens that Alpaca adds; return how many ids are new.

    A padding token `[PAD]` if there is none, and `</s>`, `<s>` where end or begin are missing.
    # DEVIATION: no `<unk>` is added, because byte-level tokenizers (LLaMA 3) never need it.
    """
    missing = {name: text for name, text in DEFAULT_SPECIAL_TOKENS.items() if getattr(tokenizer, name) is None}
    overridden = getattr(tokenizer, "overridden", {})
    for name, text in missing.items():
        overridden.setdefault(CONFIG, {})[name] = [None, text]
    if tokenizer.pad_token is None:
        missing["pad_token"] = PAD_TOKEN
    before = len(tokenizer)
    if missing:
        tokenizer.add_special_tokens(missing)
    return len(tokenizer) - before


def require_end(tokenizer, source: dict) -> None:
    """InputError if the tokenizer has no end-of-sequence: a text of a model that is not trained here would not end."""
    if tokenizer.eos_token_id is None:
        raise InputError(
            "The tokenizer has no end-of-sequence token.",
            value=tokenizer.eos_token,
            where=_file(source, CONFIG, "eos_token"),
            hint="Name the token that the model's texts end with, as in the folder that the model came from.",
        )


def check_end(tokenizer, source: dict) -> None:
    """InputError unless an end-of-sequence that is joined to a text becomes its one token there, and nothing else."""
    for text in (PROBE, PROBE + " \n"):
        alone = tokenizer(text, verbose=False)["input_ids"]
        if tokenizer(text + tokenizer.eos_token, verbose=False)["input_ids"] != [*alone, tokenizer.eos_token_id]:
            raise InputError(
                "The end-of-sequence token does not become one token at the end of a text.",
                value=tokenizer.eos_token,
                where=_file(source, CONFIG, "eos_token"),
                hint="It must be a special token of the vocabulary, with lstrip: false (added_tokens_decoder there, or "
                f"added_tokens of {BACKEND}).",
            )


def _reset_backend(backend, changes: dict) -> None:
    """No cutting, no filling, special tokens as such, and no space in front of a text that has none."""
    for key, reset in (("truncation", backend.no_truncation), ("padding", backend.no_padding)):
        if getattr(backend, key) is not None:
            changes[key] = [getattr(backend, key), None]
            reset()
    if backend.encode_special_tokens:
        backend.encode_special_tokens = False
    spaced = [part for part in _byte_level(backend.pre_tokenizer) if part.add_prefix_space]
    if spaced:
        changes["pre_tokenizer"] = ["add_prefix_space: true", "add_prefix_space: false"]
        whole = backend.pre_tokenizer
        for part in _byte_level(whole):
            part.add_prefix_space = False
        backend.pre_tokenizer = whole


def _byte_level(part) -> Iterator[pre_tokenizers.ByteLevel]:
    """The byte-level pre-tokenizers of one that may be a sequence."""
    if isinstance(part, pre_tokenizers.ByteLevel):
        yield part
    elif isinstance(part, pre_tokenizers.Sequence):
        parts: Any = part  # iterable, which its types do not say
        for inner in parts:
            yield from _byte_level(inner)


def _take_off_appended(tokenizer, source: dict, changes: dict, said: dict) -> None:
    """Leave a text's own tokens as its last; what stands before them stays."""
    before, after = _around(tokenizer)
    if not after:
        return
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        ids = [*tokenizer.convert_tokens_to_ids(before)]
        front = "".join(f"{token} " for token in before)
        tokenizer._add_eos_token = False  # not by its setter, which would make the post-processor anew
        backend.post_processor = processors.TemplateProcessing(
            single=[*before, "$A"],
            pair=[*before, "$A", *before, "$B"],
            special_tokens=list(zip(before, ids, strict=True)),
        )
        changes[BACKEND]["post_processor"] = [f"{front}$A {' '.join(after)}", f"{front}$A"]
    if said.get("add_eos_token"):
        changes[CONFIG]["add_eos_token"] = [said["add_eos_token"], False]
    if backend is None or _around(tokenizer) != (before, []):
        raise InputError(
            "The tokenizer appends tokens to every text, and they cannot be taken off.",
            value=after,
            where=_file(source, CONFIG, "add_eos_token"),
            hint=f"Switch it off there, or in the post_processor of {BACKEND}.",
        )


def _around(tokenizer) -> tuple[list[str], list[str]]:
    """The tokens that the tokenizer puts before a text and behind it."""
    whole = tokenizer(PROBE, verbose=False)["input_ids"]
    own = tokenizer(PROBE, add_special_tokens=False, verbose=False)["input_ids"]
    places = [start for start in range(len(whole) - len(own) + 1) if whole[start : start + len(own)] == own]
    start = places[0] if places else 0
    behind = whole[start + len(own) :] if places else []
    return tokenizer.convert_ids_to_tokens(whole[:start]), tokenizer.convert_ids_to_tokens(behind)


def _check_spaces(tokenizer, source: dict) -> None:
    """InputError if decoding puts spaces into a text (beyond one in front, which SentencePiece's first token has)."""
    ids = tokenizer(PROBE, add_special_tokens=False, verbose=False)["input_ids"]
    found = tokenizer.decode(ids, skip_special_tokens=True)
    if sum(map(str.isspace, found)) > sum(map(str.isspace, PROBE)) + 1:
        raise InputError(
            "The tokenizer puts spaces into the texts that it decodes.",
            value=found[:60],
            where=_file(source, BACKEND, "decoder"),
            hint="Name the decoder that belongs to the pre_tokenizer, as in the folder that the model came from.",
        )


def place_of(source: dict) -> str:
    """Where a model or tokenizer comes from, for messages: its folder, or id@revision."""
    return str(source["path"]) if "path" in source else f"{source['hub']}@{source.get('revision', 'main')}"


def _file(source: dict, name: str, key: str) -> str:
    return f"{place_of(source)}/{name}: {key}"


def tokenizer_digest(tokenizer) -> str:
    """Hash of all that decides which token ids a text becomes, wherever the tokenizer lies.

    InputError for a tokenizer of another library than `tokenizers`, whose rules cannot be read.
    """
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise InputError("The rules of this tokenizer cannot be read.", value=type(tokenizer).__name__)
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    for momentary in ("padding", "truncation"):  # as the last call left them
        rules.pop(momentary, None)
    settings = [type(tokenizer).__name__, tokenizer.bos_token, tokenizer.eos_token, transformers.__version__]
    return hashlib.sha256(json.dumps([rules, settings], sort_keys=True).encode()).hexdigest()
