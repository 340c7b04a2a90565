"""Load and save models: a Hub id with its revision or a local folder, by the same key.

Only safetensors weights and model code of the transformers library itself: nothing that a repository ships is
ever executed (`trust_remote_code` stays off).
"""

import os
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from plw.data.tokenizers import load_tokenizer, require_end
from plw.errors import InputError
from plw.files import read_json, write_json
from plw.models import settings
from plw.models.checking import check_tensors, check_vocabulary
from plw.study.pretrained import load_pretrained, pretrained_location, stored_tensors

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(device: str) -> str:
    """`auto` takes a GPU where there is one; InputError if `cuda` is asked for and absent."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("A GPU is asked for and none is visible.", value=device, hint="Set device: cpu or auto.")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def load_model(source: dict, dtype: str = "float32") -> PreTrainedModel:
    """Return the causal language model of `source` with weights in `dtype` (float32 | bfloat16).

    The dtype is always given: transformers 5 would otherwise keep the checkpoint's, and half-precision master
    weights lose updates of the size that a learning rate of 2e-5 makes. Its `overridden` is {file: {key: [the folder's
    value, ours]}} of what the folder would have decided beside its weights (`plw.models.settings`). InputError for
    weights that are missing, too many, of another shape or not finite.
    """
    if dtype not in DTYPES:
        raise InputError("Unknown dtype.", value=dtype, hint=f"Use one of {', '.join(DTYPES)}.")
    config = load_pretrained(AutoConfig, source, "model")
    dropout = settings.without_dropout(config)
    model, report = load_pretrained(
        AutoModelForCausalLM,
        source,
        "model",
        config=config,
        dtype=DTYPES[dtype],
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported with the others, and refused with their names
    )
    place, options = pretrained_location(source)
    check_tensors(model, report, source, {} if options else stored_tensors(Path(place)))
    model.overridden = _said({settings.CONFIG: dropout, settings.GENERATION: settings.without_settings(model)})
    return model


def load_with_tokenizer(source: dict, *, dtype: str = "float32", device: str = "cpu"):
    """Model and tokenizer of `source` for reading and writing texts: on `device`, in evaluation mode, and checked
    together. Both have `overridden`. InputError if the tokenizer has no end-of-sequence, or ids without an embedding.
    """
    tokenizer = load_tokenizer(source)
    require_end(tokenizer, source)
    model = load_model(source, dtype=dtype)
    check_vocabulary(model, tokenizer, source)
    end_texts(model, tokenizer)
    return model.to(device).eval(), tokenizer


def end_texts(model: PreTrainedModel, tokenizer) -> None:
    """Let the model's texts end where the tokenizer says, and keep what its folder said for the record."""
    if changed := settings.end_with(model, tokenizer):
        model.overridden = merged(model.overridden, {settings.GENERATION: changed})


def overridden_settings(source: dict) -> dict[str, dict]:
    """What the folder of a model that only writes would have decided beside its weights: {file: {key: [its, ours]}}."""
    tokenizer = load_tokenizer(source)
    name, place = pretrained_location(source)
    try:
        generation = GenerationConfig.from_pretrained(name, **place)
    except OSError:  # older folders have them in the configuration, where transformers looks next
        generation = GenerationConfig.from_pretrained(name, config_file_name=settings.CONFIG, **place)
    found = settings.settings_of(generation) | settings.end_of(generation, tokenizer)
    return merged(tokenizer.overridden, {settings.GENERATION: found})


def merged(*found: dict[str, dict]) -> dict[str, dict]:
    """What several loaders have overridden, by file."""
    result: dict[str, dict] = {}
    for one in found:
        for file, changes in one.items():
            result[file] = result.get(file, {}) | changes
    return _said(result)


def _said(changes: dict[str, dict]) -> dict[str, dict]:
    return {file: found for file, found in changes.items() if found}


def fit_embeddings(model: PreTrainedModel, tokenizer) -> int:
    """Give the model a row for every token id; new rows are the mean of the old ones. Returns the number added.

    A model whose table is larger than the tokenizer's (padded vocabularies) is left as it is.
    """
    old = model.get_input_embeddings().num_embeddings
    rows = max(tokenizer.get_vocab().values()) + 1  # more than len(tokenizer) where ids are left out
    added = rows - old
    if added > 0:
        model.resize_token_embeddings(rows, mean_resizing=False)
        weights = [model.get_input_embeddings().weight]
        head = model.get_output_embeddings()
        if head is not None and head.weight is not weights[0]:
            weights.append(head.weight)
        with torch.no_grad(), _gathered(weights):
            for weight in weights:
                weight[old:] = weight[:old].mean(dim=0, keepdim=True)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return max(added, 0)


def save_model(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer,
    *,
    state_dict: dict | None = None,
    dtype: str | None = None,
) -> None:
    """Write model (safetensors) and tokenizer into `folder`, which appears whole or not at all.

    state_dict  weights to save instead of the module's own (gathered from several ranks, or cast)
    dtype       what these are, for the configuration; None: the module's own
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        os.chmod(temporary, 0o755)
        model.save_pretrained(temporary, state_dict=state_dict)
        tokenizer.save_pretrained(temporary)
        if dtype is not None:  # save_pretrained writes down the module's, not the saved weights'
            config = read_json(temporary / "config.json") | {"dtype": dtype}
            write_json(temporary / "config.json", config)
        for path in temporary.iterdir():
            os.chmod(path, 0o644)  # weights are written so that only their owner can read them
        sync_folder(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush every file below `folder` to disk, so that a marker written afterwards can be trusted."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as stream:
                os.fsync(stream.fileno())


def _gathered(parameters: list[torch.Tensor]):
    """Context in which ZeRO-3 partitions are whole; does nothing for ordinary tensors."""
    import contextlib

    if not any(hasattr(parameter, "ds_id") for parameter in parameters):
        return contextlib.nullcontext()
    import deepspeed  # only loaded where DeepSpeed already runs

    return deepspeed.zero.GatheredParameters(parameters, modifier_rank=0)
