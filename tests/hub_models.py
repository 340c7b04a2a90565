"""Small models in the layout of the real repositories that config/sources.yaml names, to be served by `hub_server`."""

import json
from pathlib import Path

import torch
from hub_server import HubServer
from tiny import tiny_model, tiny_tokenizer
from transformers import LlamaForCausalLM, MixtralConfig, MixtralForCausalLM, Qwen2Config, Qwen2ForCausalLM

NEVER = b"other weights, which nothing here reads"


def folder_files(folder: Path) -> dict[str, bytes]:
    """The files of a model folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def sharded(folder: Path, size: str = "100KB") -> dict[str, bytes]:
    """A tiny LLaMA with its weights in several safetensors files and their list."""
    model = LlamaForCausalLM.from_pretrained(tiny_model(folder))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size=size)
    return folder_files(folder)


def pickled(folder: Path, parts: int = 2) -> dict[str, bytes]:
    """A tiny LLaMA with pickled weights only, as PandaLM-7B is published; `parts` 1 is an undivided file."""
    model = LlamaForCausalLM.from_pretrained(tiny_model(folder))
    (folder / "model.safetensors").unlink()
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    names = list(state)
    placed = {}
    for part in range(parts):
        file = f"pytorch_model-{part + 1:05d}-of-{parts:05d}.bin" if parts > 1 else "pytorch_model.bin"
        chosen = {name: state[name] for name in names[part::parts]}
        torch.save(chosen, folder / file)
        placed |= dict.fromkeys(chosen, file)
    if parts > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": placed}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder_files(folder)


def mixtral(folder: Path) -> dict[str, bytes]:
    """A tiny mixture of experts, with the consolidated files that lie beside the real one's weights."""
    tokenizer = tiny_tokenizer(folder)
    config = MixtralConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
                           num_attention_heads=4, num_key_value_heads=2, num_local_experts=2)  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(folder)
    return {**folder_files(folder), "consolidated.00.pt": NEVER}


def qwen(folder: Path) -> dict[str, bytes]:
    """A tiny Qwen2, its weights in several safetensors files as the real one's."""
    tokenizer = tiny_tokenizer(folder)
    config = Qwen2Config(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder, max_shard_size="50KB")
    return folder_files(folder)


def add_models(server: HubServer, sources: dict[str, dict], folder: Path) -> None:
    """Every model and judge of config/sources.yaml at the revision that it is pinned to; LLaMA 2 and 3 are gated."""

    def add(name: str, files: dict[str, bytes], *, gated: bool = False) -> None:
        entry = sources[name]
        pinned = {} if entry["revision"] == "main" else {"commit": entry["revision"]}
        extra = {".gitattributes": b"*.bin filter=lfs\n", "README.md": b"# A model\n", "LICENSE.txt": b"L\n"}
        server.add(entry["hub"], {**extra, **files}, gated=gated, **pinned)

    def made(name: str) -> Path:
        (folder / name).mkdir(parents=True, exist_ok=True)
        return folder / name

    shards = sharded(made("sharded"))
    both = {"pytorch_model-00001-of-00002.bin": NEVER, "pytorch_model.bin.index.json": b"{}"}
    add("llama_1_7b", {**shards, **both})
    add("llama_2_7b", {**shards, **both}, gated=True)
    add("llama_3_8b", {**shards, "original/consolidated.00.pth": NEVER, "original/params.json": b"{}"}, gated=True)
    add("smollm2_135m", {**folder_files(tiny_model(made("whole"))), "onnx/model.onnx": NEVER})
    add("smollm2_360m", {**folder_files(tiny_model(made("larger"), seed=1)), "onnx/model.onnx": NEVER})
    add("qwen2_5_7b_instruct", qwen(made("qwen")))
    add("mixtral_8x7b_instruct", mixtral(made("mixtral")))
    add("pandalm_7b", pickled(made("pickled")))
