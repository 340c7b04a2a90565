"""Model folders as they are found: BROKEN ones to be refused, OVERRIDDEN ones whose settings must not count.

Each entry makes its fault in a copy of `tiny.tiny_model`; a broken one says what the message must name, an overridden
one what the record must.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load, save_file
from tiny import tiny_model
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from transformers import AutoTokenizer, LlamaForCausalLM

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 269060552\n"
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
WEIGHTS = "model.safetensors"


def edit(folder: Path, name: str, **changes) -> None:
    """Change keys of a JSON file; None takes a key out."""
    content = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
    content |= changes
    (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def change_weights(folder: Path, change: Callable[[dict], dict]) -> None:
    tensors = load((folder / WEIGHTS).read_bytes())  # not mapped: the file is written anew
    save_file(change(dict(tensors)), folder / WEIGHTS, metadata={"format": "pt"})


def change_backend(folder: Path, change: Callable[[Tokenizer], None]) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    change(tokenizer)
    tokenizer.save(str(folder / "tokenizer.json"))


def without(*names: str) -> Callable[[dict], dict]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def shard(folder: Path, lost: bool = True) -> None:
    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="50KB")
    if lost:
        sorted(folder.glob("model-*.safetensors"))[1].unlink()


def cut(folder: Path, kept: float) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: int(len(content) * kept)])


def add_tokens(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<extra_0>", "<extra_1>"])
    tokenizer.save_pretrained(folder)


def appending(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> <s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )


def appending_in_sequence(tokenizer: Tokenizer) -> None:
    appending(tokenizer)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), tokenizer.post_processor])


def greedy_eos(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["lstrip"] = token["content"] == "</s>"
    (folder / "tokenizer.json").write_text(json.dumps(content))


def spaced(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def set_decoder(tokenizer: Tokenizer) -> None:
    tokenizer.decoder = decoders.WordPiece()


EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.layers.1.input_layernorm.weight"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "three tensors missing": (
        lambda folder: change_weights(folder, without(EMBEDDING, HEAD, NORM)),
        rf"3 tensors have no weights(?s:.*){HEAD}(?s:.*){EMBEDDING}(?s:.*){NORM}",
    ),
    "a tensor missing in the middle": (
        lambda folder: change_weights(folder, without(NORM)),
        rf"1 tensor has no weights(?s:.*){NORM}",
    ),
    "a tensor too many": (
        lambda folder: change_weights(folder, lambda tensors: tensors | {"score.weight": torch.zeros(2, 32)}),
        r"no place in the model(?s:.*)score\.weight(?s:.*)config\.json",
    ),
    "a layer less in config.json": (
        lambda folder: edit(folder, "config.json", num_hidden_layers=1),
        r"9 tensors have no place(?s:.*)layers\.1(?s:.*)and 4 more(?s:.*)config\.json",
    ),
    "a layer more in config.json": (
        lambda folder: edit(folder, "config.json", num_hidden_layers=3),
        r"9 tensors have no weights(?s:.*)layers\.2",
    ),
    "a wrong vocab_size": (
        lambda folder: edit(folder, "config.json", vocab_size=300),
        rf"another shape(?s:.*){HEAD}: \[384, 32\] in the files, \[300, 32\] by config.json(?s:.*)vocab_size",
    ),
    "a tensor of another shape": (
        lambda folder: change_weights(folder, lambda tensors: tensors | {NORM: torch.ones(7)}),
        rf"another shape(?s:.*){NORM}: \[7\]",
    ),
    "weights that are not finite": (
        lambda folder: change_weights(folder, lambda tensors: tensors | {NORM: tensors[NORM] * float("nan")}),
        rf"not finite(?s:.*){NORM}",
    ),
    "weights in whole numbers": (
        lambda folder: change_weights(folder, lambda tensors: tensors | {NORM: tensors[NORM].to(torch.int8)}),
        rf"{NORM}: I8",
    ),
    "a Git LFS pointer": (lambda folder: (folder / WEIGHTS).write_text(POINTER), rf"{WEIGHTS} is a pointer of Git LFS"),
    "a web page": (lambda folder: (folder / WEIGHTS).write_text(PAGE), rf"{WEIGHTS} is a web page"),
    "an empty file": (lambda folder: (folder / WEIGHTS).write_bytes(b""), rf"{WEIGHTS} is an empty file"),
    "a pickle in the name of safetensors": (
        lambda folder: torch.save({NORM: torch.ones(32)}, folder / WEIGHTS),
        rf"{WEIGHTS} is a pickle",
    ),
    "cut in the middle": (lambda folder: cut(folder, 0.5), rf"{WEIGHTS} is cut: \d+ of \d+ bytes"),
    "cut in the header": (lambda folder: cut(folder, 0.002), rf"{WEIGHTS} is cut within its header"),
    "bytes too many": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0"),
        rf"{WEIGHTS} is longer than its header says",
    ),
    "a missing shard": (shard, r"A part of the weights is missing(?s:.*)model-00002-of-"),
    "an index that is a pointer": (
        lambda folder: (shard(folder, lost=False), (folder / f"{WEIGHTS}.index.json").write_text(POINTER)),
        r"index\.json is a pointer of Git LFS",
    ),
    "an index without parts": (
        lambda folder: (shard(folder, lost=False), (folder / f"{WEIGHTS}.index.json").write_text("{}")),
        r"weight_map(?s:.*)index\.json",
    ),
    "two sets of weights": (
        lambda folder: (
            shutil.copyfile(folder / WEIGHTS, folder.parent / "kept"),
            shard(folder, lost=False),
            shutil.copyfile(folder.parent / "kept", folder / WEIGHTS),
        ),
        r"two sets of weights",
    ),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), r"holds no safetensors weights"),
    "an adapter": (
        lambda folder: edit(folder, "adapter_config.json", base_model_name_or_path="o/m"),
        r"adapter_config\.json",
    ),
    "no config.json": (lambda folder: (folder / "config.json").unlink(), r"has no config\.json"),
    "half a config.json": (
        lambda folder: (folder / "config.json").write_text("{"),
        r"config\.json is no JSON(?s:.*)line 1",
    ),
    "a list as config.json": (
        lambda folder: (folder / "config.json").write_text("[]"),
        r"config\.json holds no JSON object",
    ),
    "an unknown model_type": (lambda folder: edit(folder, "config.json", model_type="foo"), r"Cannot load(?s:.*)foo"),
    "a word for a number in config.json": (
        lambda folder: edit(folder, "config.json", hidden_size="x"),
        r"Cannot load(?s:.*)hidden_size",
    ),
    "a generation_config.json that is a page": (
        lambda folder: (folder / "generation_config.json").write_text(PAGE),
        r"generation_config\.json is (not what it is called: generation_config\.json is )?a web page",
    ),
    "a tokenizer that is a pointer": (
        lambda folder: (folder / "tokenizer.json").write_text(POINTER),
        r"tokenizer\.json is a pointer of Git LFS",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"holds no tokenizer(?s:.*)tokenizer\.json"),
    "half a tokenizer_config.json": (
        lambda folder: (folder / "tokenizer_config.json").write_text('{"eos_token": '),
        r"tokenizer_config\.json is no JSON",
    ),
    "tokens without an embedding": (
        add_tokens,
        r"2 tokens that the model has no embedding for(?s:.*)<extra_0>.*384(?s:.*)tokenizer_config\.json"
        r"(?s:.*)vocab_size 384",
    ),
    "an end-of-sequence without an embedding": (
        lambda folder: edit(folder, "tokenizer_config.json", eos_token="<|end|>"),
        r"1 token that the model has no embedding for(?s:.*)<\|end\|>",
    ),
    "an end-of-sequence that swallows spaces": (greedy_eos, r"end-of-sequence(?s:.*)tokenizer_config\.json: eos_token"),
    "a decoder that puts spaces in": (
        lambda folder: change_backend(folder, set_decoder),
        r"puts spaces(?s:.*)tokenizer\.json: decoder",
    ),
}
SAMPLING = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20}
OVERRIDDEN: dict[str, tuple[Callable[[Path], None], dict[str, dict]]] = {
    "appends </s> by its post-processor": (
        lambda folder: change_backend(folder, appending),
        {"tokenizer.json": {"post_processor": ["<s> $A </s>", "<s> $A"]}},
    ),
    "appends </s> in a sequence": (
        lambda folder: change_backend(folder, appending_in_sequence),
        {"tokenizer.json": {"post_processor": ["<s> $A </s>", "<s> $A"]}},
    ),
    "add_eos_token": (
        lambda folder: (
            change_backend(folder, appending),
            edit(folder, "tokenizer_config.json", add_eos_token=True),
        ),
        {
            "tokenizer.json": {"post_processor": ["<s> $A </s>", "<s> $A"]},
            "tokenizer_config.json": {"add_eos_token": [True, False]},
        },
    ),
    "cuts to eight tokens": (
        lambda folder: change_backend(folder, lambda tokenizer: tokenizer.enable_truncation(8, direction="left")),
        {
            "tokenizer.json": {
                "truncation": [{"direction": "left", "max_length": 8, "stride": 0, "strategy": "longest_first"}, None]
            }
        },
    ),
    "fills on the left": (
        lambda folder: change_backend(
            folder, lambda tokenizer: tokenizer.enable_padding(direction="left", pad_id=2, pad_token="</s>", length=64)
        ),
        {
            "tokenizer.json": {
                "padding": [
                    {
                        "direction": "left",
                        "length": 64,
                        "pad_id": 2,
                        "pad_to_multiple_of": None,
                        "pad_token": "</s>",
                        "pad_type_id": 0,
                    },
                    None,
                ]
            }
        },
    ),
    "left sides": (
        lambda folder: edit(folder, "tokenizer_config.json", padding_side="left", truncation_side="left"),
        {"tokenizer_config.json": {"padding_side": ["left", "right"], "truncation_side": ["left", "right"]}},
    ),
    "model_max_length 8": (
        lambda folder: edit(folder, "tokenizer_config.json", model_max_length=8),
        {"tokenizer_config.json": {"model_max_length": [8, 160]}},
    ),
    "a space in front": (
        lambda folder: (change_backend(folder, spaced), edit(folder, "tokenizer_config.json", add_prefix_space=True)),
        {"tokenizer.json": {"pre_tokenizer": ["add_prefix_space: true", "add_prefix_space: false"]}},
    ),
    "mends spaces after decoding": (
        lambda folder: edit(
            folder,
            "tokenizer_config.json",
            clean_up_tokenization_spaces=True,
            clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True,
        ),
        {"tokenizer_config.json": {"clean_up_tokenization_spaces": [True, False]}},
    ),
    "cuts special tokens up": (
        lambda folder: edit(folder, "tokenizer_config.json", split_special_tokens=True),
        {"tokenizer_config.json": {"split_special_tokens": [True, False]}},
    ),
    "no end-of-sequence": (
        lambda folder: edit(folder, "tokenizer_config.json", eos_token=None),
        {"tokenizer_config.json": {"eos_token": [None, "</s>"]}},
    ),
    "penalties and beams": (
        lambda folder: edit(
            folder,
            "generation_config.json",
            repetition_penalty=1.3,
            no_repeat_ngram_size=2,
            num_beams=4,
            length_penalty=2.0,
            suppress_tokens=[5, 6, 7, 8, 9, 10, 11, 12, 223, 263],
        ),
        {
            "generation_config.json": {
                "length_penalty": [2.0, 1.0],
                "no_repeat_ngram_size": [2, 0],
                "num_beams": [4, 1],
                "repetition_penalty": [1.3, 1.0],
                "suppress_tokens": [[5, 6, 7, 8, 9, 10, 11, 12, 223, 263], None],
            }
        },
    ),
    "sampling": (
        lambda folder: edit(folder, "generation_config.json", **SAMPLING),
        {
            "generation_config.json": {
                "do_sample": [True, False],
                "temperature": [0.6, 1.0],
                "top_k": [20, 50],
                "top_p": [0.9, 1.0],
            }
        },
    ),
    "forced tokens and lengths": (
        lambda folder: edit(
            folder, "generation_config.json", forced_eos_token_id=2, min_new_tokens=6, max_length=20, max_new_tokens=3
        ),
        {
            "generation_config.json": {
                "forced_eos_token_id": [2, None],
                "max_new_tokens": [3, None],
                "min_new_tokens": [6, None],
            }
        },
    ),
    "several texts, as an object, without a cache": (
        lambda folder: edit(
            folder,
            "generation_config.json",
            return_dict_in_generate=True,
            output_scores=True,
            use_cache=False,
            bad_words_ids=[[223]],
        ),
        {
            "generation_config.json": {
                "bad_words_ids": [[[223]], None],
                "output_scores": [True, False],
                "return_dict_in_generate": [True, False],
                "use_cache": [False, True],
            }
        },
    ),
    "settings in config.json, as they once were": (
        lambda folder: (
            (folder / "generation_config.json").unlink(),
            edit(folder, "config.json", repetition_penalty=1.3, num_beams=4, use_cache=False),
        ),
        {"generation_config.json": {"num_beams": [4, 1], "repetition_penalty": [1.3, 1.0], "use_cache": [False, True]}},
    ),
    "other ends than the tokenizer's": (
        lambda folder: (
            edit(folder, "generation_config.json", eos_token_id=[223, 300]),
            edit(folder, "config.json", eos_token_id=223),
        ),
        {"generation_config.json": {"eos_token_id": [[223, 300], 2]}},
    ),
    "dropout": (
        lambda folder: edit(folder, "config.json", attention_dropout=0.5),
        {"config.json": {"attention_dropout": [0.5, 0.0]}},
    ),
}


def broken_model(folder: Path, name: str) -> Path:
    """A folder with the fault of that name."""
    BROKEN[name][0](tiny_model(folder))
    return folder


def overridden_model(folder: Path, name: str) -> Path:
    """A folder with settings of that name, which must not count."""
    OVERRIDDEN[name][0](tiny_model(folder))
    return folder
