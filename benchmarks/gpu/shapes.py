"""Models by their published sizes, with random weights: speed and memory depend on the sizes alone."""

import random
import time
from collections.abc import Callable

import torch
from plw.data.tokenization import EncodedExample
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

SHAPES = {
    "tiny": {"vocab_size": 384, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4},
    # config.json of HuggingFaceTB/SmolLM2-135M
    "smollm2_135m": {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                     "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True},
    # config.json of princeton-nlp/Sheared-LLaMA-1.3B
    "llama_1.3b": {"vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 24,
                   "num_attention_heads": 16},
    # LLaMA 7B: Table 2 of arXiv 2302.13971, config.json of the converted weights
    "llama_7b": {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                 "num_attention_heads": 32},
}  # fmt: skip


def build(shape: str, device: str, *, dtype: torch.dtype = torch.float32, **changes) -> PreTrainedModel:
    """A LLaMA of that shape on the device, the same weights each time."""
    config = LlamaConfig(**(SHAPES[shape] | {"max_position_embeddings": 4096} | changes))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.device(device):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


def parameters_of(model: torch.nn.Module) -> int:
    """Weights, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def sequences(count: int, *, prompt: int, completion: int, vocabulary: int, seed: int = 0) -> list[EncodedExample]:
    """Random token ids, all of one length: what a share of the peak is measured on."""
    rng = random.Random(seed)
    rows = [[rng.randrange(3, vocabulary) for _ in range(prompt + completion)] for _ in range(count)]
    return [EncodedExample(ids, prompt, False, completion == 0, True) for ids in rows]


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], device: str, *, rounds: int) -> list[float]:
    """Wall seconds of each of `rounds` calls, after one that does not count."""
    taken = []
    for _ in range(rounds + 1):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - started)
    return taken[1:]
