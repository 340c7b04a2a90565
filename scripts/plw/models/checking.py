"""A loaded model and its tokenizer, looked at before anything trains, judges or is scored.

What a folder's files are is looked at before they are loaded (`plw.study.pretrained.check_folder`), what its tokenizer
does to texts where it is loaded (`plw.data.tokenizers`).
"""

import re
from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from plw.data.tokenizers import CONFIG, place_of
from plw.errors import InputError

SHOWN = 5
# In checkpoints of older versions, and no weights: angles of the rotary embedding, causal masks, numbers of positions.
NOT_WEIGHTS = re.compile(r"rotary_emb\.inv_freq$|\.(attn|attention)\.(masked_)?bias$|position_ids$")
FLOATS = {"F64", "F32", "F16", "BF16"}  # as safetensors calls them


def check_tensors(model: PreTrainedModel, report: dict, source: dict, stored: dict[str, dict]) -> None:
    """InputError unless the files held each of the model's tensors, in its shape, and nothing else.

    report  what from_pretrained gives with output_loading_info (tied weights are not missing there)
    stored  {name: {dtype, …}} of the files (`stored_tensors`); empty where they are not looked at
    """
    where = place_of(source)
    shapes = {
        f"{name}: {list(found)} in the files, {list(wanted)} by config.json"
        for name, found, wanted in report.get("mismatched_keys", ())
    }
    if shapes:
        hint = "The weights and config.json belong to different models (vocab_size, hidden_size, …)."
        raise InputError(_count("tensor", shapes, "another shape"), value=_few(shapes), where=where, hint=hint)
    missing = {name for name in report.get("missing_keys", ()) if not NOT_WEIGHTS.search(name)}
    if missing:
        hint = "They would be drawn at random. Fetch the weights again; a model that lacks them is none to start from."
        raise InputError(_count("tensor", missing, "no weights"), value=_few(missing), where=where, hint=hint)
    tied = model.get_output_embeddings() is not None and (
        model.get_output_embeddings().weight is model.get_input_embeddings().weight
    )
    extra = {
        name
        for name in report.get("unexpected_keys", ())
        if not NOT_WEIGHTS.search(name) and not (tied and name.endswith("lm_head.weight"))
    }
    if extra:
        hint = (
            "They would be left out without a word: config.json names a smaller or another architecture (layers, heads "
            "for other tasks). Mend it, or save the model without them."
        )
        raise InputError(
            _count("tensor", extra, "no place in the model"), value=_few(extra), where=f"{where}/config.json", hint=hint
        )
    names = {name for name, _ in model.named_parameters()}
    if getattr(model.config, "quantization_config", None) is None:
        whole = {f"{name}: {entry['dtype']}" for name, entry in stored.items() if entry["dtype"] not in FLOATS}
        whole = {told for told in whole if told.rpartition(":")[0] in names}
        if whole:
            hint = "Quantised weights without their scales are none: save the model in float32 or bfloat16."
            raise InputError(
                _count("tensor", whole, "no numbers of a model"), value=_few(whole), where=where, hint=hint
            )
    check_finite(model, source)


@torch.no_grad()
def check_finite(model: PreTrainedModel, source: dict) -> None:
    """InputError if a weight is not a finite number."""
    bad = set()
    for name, parameter in model.named_parameters():
        values = getattr(parameter, "ds_tensor", parameter)  # under ZeRO-3 each rank looks at its own part
        if not torch.isfinite(values.sum(dtype=torch.float32)) and not torch.isfinite(values).all():
            bad.add(name)
    if bad:
        hint = "The training that made them had diverged, or the file is damaged."
        raise InputError(
            _count("tensor", bad, "weights that are not finite"), value=_few(bad), where=place_of(source), hint=hint
        )


def check_vocabulary(model: PreTrainedModel, tokenizer, source: dict, *, added: int = 0) -> None:
    """InputError if the tokenizer has ids that the model has no embedding for.

    added  how many of its last ids were added here, and get rows of their own (`fit_embeddings`)
    """
    rows = model.get_input_embeddings().num_embeddings
    ids = tokenizer.get_vocab()
    own = {text: number for text, number in ids.items() if number >= rows}
    if added:
        ours = set(sorted(ids.values())[-added:])
        own = {text: number for text, number in own.items() if number not in ours}
    if not own:
        return
    where = place_of(source)
    raise InputError(
        f"The tokenizer has {len(own)} token{'s' * (len(own) > 1)} that the model has no embedding for.",
        value=[f"{text!r}: {number}" for text, number in sorted(own.items(), key=lambda item: item[1])][:SHOWN],
        where=f"{where}/{CONFIG} or tokenizer.json, against vocab_size {rows} of {where}/config.json",
        hint="Take the tokens out (added_tokens_decoder, added_tokens), or use the tokenizer that the model had.",
    )


def _count(noun: str, found: Iterable, has: str) -> str:
    count = len(list(found))
    return f"{count} {noun}{'s have' if count > 1 else ' has'} {has}."


def _few(found: Iterable[str]) -> list[str]:
    """The first names, and how many more there are."""
    names = sorted(found)
    return names[:SHOWN] + [f"and {len(names) - SHOWN} more"] * (len(names) > SHOWN)
