"""Time and peak memory of output layer and loss together, ours beside all logits at once and torch's own chunked one;
with --shares instead: time of a step whose last layer leaves positions out, over one that does not.

Each way runs forward and backward in a process of its own, turn by turn; memory is what the process grew by beyond the
inputs, weights and their gradients (the peak of the resident set on a CPU, of the allocator on a GPU).

    python benchmarks/bench_output_layer.py --rounds 3 --output bench_output_layer.json
    python benchmarks/bench_output_layer.py --rounds 6 --shares 0.1 0.5 0.75
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from plw.files import write_json
from plw.training.forward import output_layer
from plw.training.forward.chunked_loss import CHUNK_TOKENS, chunked_loss
from plw.training.forward.output_layer import WeightedOutput
from plw.training.loss import weighted_token_loss
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

WAYS = ("all logits", "torch linear_cross_entropy", "ours")


def loss_by(way: str, hidden, weight, targets, scales, chunk_tokens: int) -> torch.Tensor:
    if way == "all logits":
        return weighted_token_loss(hidden @ weight.t(), targets, scales)
    if way == "ours":
        return chunked_loss(hidden, weight, None, targets, scales, chunk_tokens=chunk_tokens)[0]
    from torch.nn import LinearCrossEntropyOptions  # from torch 2.13 on

    losses = functional.linear_cross_entropy(
        hidden, weight, targets, reduction="none", options=LinearCrossEntropyOptions()
    )
    return (losses * scales).sum()


def peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(options) -> dict[str, float]:
    """One way in this process."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hidden = torch.randn(options.tokens, options.hidden, device=device, requires_grad=True)
    weight = torch.randn(options.vocabulary, options.hidden, device=device).mul_(0.02).requires_grad_()
    targets = torch.randint(options.vocabulary, (options.tokens,), device=device)
    scales = torch.rand(options.tokens, device=device) / options.tokens
    # Libraries' own first-time memory, the gradients that every way leaves, and room for one more of the weights'.
    loss_by(options.way, hidden[:8], weight, targets[:8], scales[:8], options.chunk_tokens).backward()
    before = peak(device)
    hidden.grad = weight.grad = None
    start = time.perf_counter()
    loss_by(options.way, hidden, weight, targets, scales, options.chunk_tokens).backward()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    norms = hidden.grad.norm().item(), weight.grad.norm().item()
    return {"seconds": seconds, "bytes": peak(device) - before, "hidden": norms[0], "weight": norms[1]}


def in_own_process(way: str, vocabulary: int, options) -> dict[str, float]:
    flags = [
        f"--{key.replace('_', '-')}={getattr(options, key)}" for key in ("tokens", "hidden", "threads", "chunk_tokens")
    ]
    command = [sys.executable, __file__, f"--way={way}", f"--vocabulary={vocabulary}", *flags]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def step_seconds(model: LlamaForCausalLM, share: float, *, sparse: bool) -> float:
    """One forward and backward pass on eight sequences of 160 tokens, of which a random `share` has a scale."""
    torch.manual_seed(1)
    ids = torch.randint(model.config.vocab_size, (8, 160))
    scales = (torch.rand(ids.shape) < share).float()
    model.zero_grad()
    output = WeightedOutput(model, sparse=sparse)
    start = time.perf_counter()
    output(model, ids, ids.roll(-1, 1), scales, None).loss.backward()
    seconds = time.perf_counter() - start
    output.remove()
    return seconds


def measure_shares(options) -> dict[str, float]:
    """Share of positions with a scale -> time of a step with a sparse last layer over one without (fastest turns)."""
    torch.set_num_threads(options.threads)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=1400,
            hidden_size=options.hidden,
            intermediate_size=options.hidden * 8 // 3,
            num_hidden_layers=4,
            num_attention_heads=4,
        )
    )
    found = {}
    with mock.patch.object(output_layer, "MOST_CHOSEN", 1.0):  # positions are left out at any share
        for share in options.shares:
            turns = [
                (step_seconds(model, share, sparse=True), step_seconds(model, share, sparse=False))
                for _ in range(options.rounds)
            ]
            sparse, dense = (min(seconds) for seconds in zip(*turns, strict=True))
            found[str(share)] = sparse / dense
            print(f"{share:.0%} of the positions: {sparse / dense:.2f} times the time of a step")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns per vocabulary")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[32000, 128000])
    parser.add_argument("--tokens", type=int, default=1024, help="tokens with a loss")
    parser.add_argument("--hidden", type=int, default=256, help="width of a hidden state")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--chunk-tokens", type=int, default=CHUNK_TOKENS, help="tokens of one chunk of ours")
    parser.add_argument("--shares", type=float, nargs="+", help="shares of positions that have a scale")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--vocabulary", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options)))
        return
    if options.shares:
        found = measure_shares(options)
        if options.output:
            write_json(options.output, {"shares": found})
        return
    found = {}
    for vocabulary in options.vocabularies:
        turns = [{way: in_own_process(way, vocabulary, options) for way in WAYS} for _ in range(options.rounds)]
        for way in WAYS[1:]:
            ratios = {
                key: statistics.median(turn[way][key] / turn[WAYS[0]][key] for turn in turns)
                for key in ("seconds", "bytes", "hidden", "weight")
            }
            found[f"{way}, vocabulary {vocabulary}"] = ratios
            print(
                f"{way:28s} vocabulary {vocabulary:6d}: {ratios['seconds']:.2f} times the time and "
                f"{ratios['bytes']:.3f} times the memory of all logits at once; norms of gradients differ by "
                f"{abs(ratios['hidden'] - 1):.1e} and {abs(ratios['weight'] - 1):.1e}"
            )
    if options.output:
        settings = {key: value for key, value in vars(options).items() if key not in ("output", "way", "vocabulary")}
        write_json(options.output, {"settings": settings, "cases": found})


if __name__ == "__main__":
    main()
