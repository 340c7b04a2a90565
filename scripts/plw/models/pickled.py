"""Pickled weights (pytorch_model*.bin) as safetensors, once: PandaLM-7B is published in no other form.

A pickle can hold programs. `weights_only` lets tensors and plain containers through and nothing else, and afterwards
only the safetensors files are loaded.
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from plw.errors import InputError
from plw.files import write_json
from plw.models.loading import sync_folder
from plw.study.pretrained import CONVERSION, INDEX


def convert_pickled(weights: Sequence[Path], others: Sequence[Path], folder: Path, *, origin: dict) -> None:
    """Write a model folder with the tensors of `weights`, one safetensors file for each, and copies of `others`.

    origin  where they come from, for the record (conversion.json) beside the sha256 of all pickles and of what was made
    The folder appears whole or not at all; one that is there is kept. InputError if a file holds more than tensors.
    """
    if (folder / CONVERSION).is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        os.chmod(temporary, 0o755)
        placed: dict[str, str] = {}
        made: dict[str, str] = {}
        total = 0
        for number, file in enumerate(weights, start=1):
            tensors = _read(file)
            name = f"model-{number:05d}-of-{len(weights):05d}.safetensors" if len(weights) > 1 else "model.safetensors"
            save_file(tensors, temporary / name, metadata={"format": "pt"})
            os.chmod(temporary / name, 0o644)
            placed |= dict.fromkeys(tensors, name)
            total += sum(tensor.nbytes for tensor in tensors.values())
            made[name] = _sha256(temporary / name)
        if len(weights) > 1:
            write_json(temporary / INDEX, {"metadata": {"total_size": total}, "weight_map": placed})
        for other in others:
            shutil.copyfile(other, temporary / other.name)
        pickles = {file.name: _sha256(file) for file in weights}
        record = {"from": origin, "torch": torch.__version__, "pickled": pickles, "safetensors": made}
        write_json(temporary / CONVERSION, record)
        sync_folder(temporary)
        try:
            os.replace(temporary, folder)
        except OSError:
            if not (folder / CONVERSION).is_file():  # else another fetch was quicker
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a pickle, each with memory of its own, as safetensors asks for."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except MemoryError:
        raise
    except Exception as error:  # what a broken pickle raises is no fixed set
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = f"Nothing that a repository ships is executed. Details: {reason}"
        raise InputError(
            "Pickled weights hold more than tensors, or are damaged.", value=file.name, hint=hint
        ) from None
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        hint = "Expected a mapping from names to tensors, as `torch.save(model.state_dict())` writes."
        raise InputError("Pickled weights are no state of a model.", value=file.name, hint=hint)
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in content.items():
        storage = tensor.untyped_storage()
        shared = storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes
        seen.add(storage.data_ptr())
        tensors[name] = tensor.clone(memory_format=torch.contiguous_format) if shared else tensor.contiguous()
    return tensors


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
