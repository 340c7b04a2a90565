"""Pretraining of small LLaMA models from scratch: packed documents, AdamW, warm-up and cosine."""

import csv
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from plw.errors import InputError
from plw.files import write_json
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pretraining:
    """Shape and training of one pretrained model. The defaults make the demo's strong PTLM."""

    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    intermediate_size: int = 256
    tokens: int = 2_000_000  # training budget; the corpus is repeated or cut to it
    batch_tokens: int = 1024  # per update
    sequence_length: int = 128  # short, because attention is costly on a CPU and documents are short
    long_length: int = 640  # a share of the updates has sequences of this length: 25-shot prompts need it
    long_share: float = 0.2
    learning_rate: float = 3e-3
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    initializer_range: float = 0.05
    seed: int = 42

    @classmethod
    def from_settings(cls, settings: dict) -> "Pretraining":
        """From a study's mapping; raises InputError for an unknown key."""
        unknown = sorted(set(settings) - set(cls.__dataclass_fields__))
        if unknown:
            raise InputError(f"Unknown key {unknown[0]!r} of a model's pretraining.", where="--pretraining",
                             hint=f"Known: {', '.join(cls.__dataclass_fields__)}.")  # fmt: skip
        return cls(**settings)


def new_model(settings: Pretraining, *, vocabulary: int) -> LlamaForCausalLM:
    """A LLaMA model with random weights drawn from the seed; input and output embeddings are tied."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=1024,
        initializer_range=settings.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config)


def pack(documents: list[list[int]], *, length: int, rows: int, generator: torch.Generator) -> torch.Tensor:
    """int64 [rows, length]: documents in random order, one after the other, without padding.

    The documents are shuffled again whenever they are used up.
    """
    stream: list[int] = []
    while len(stream) < rows * length:
        for index in torch.randperm(len(documents), generator=generator).tolist():
            stream += documents[index]
            if len(stream) >= rows * length:
                break
    return torch.tensor(stream[: rows * length]).view(rows, length)


def pretraining_batches(documents: list[list[int]], settings: Pretraining) -> list[torch.Tensor]:
    """Batches of about `batch_tokens` tokens; long sequences come at even distances among the short ones."""
    generator = torch.Generator().manual_seed(settings.seed)
    long_tokens = round(settings.tokens * settings.long_share)
    placed: list[tuple[float, torch.Tensor]] = []
    for length, tokens in (
        (settings.sequence_length, settings.tokens - long_tokens),
        (settings.long_length, long_tokens),
    ):
        rows = max(1, round(settings.batch_tokens / length))
        updates = round(tokens / (rows * length))
        if updates:
            batches = pack(documents, length=length, rows=updates * rows, generator=generator).split(rows)
            placed += [((i + 0.5) / updates, batch) for i, batch in enumerate(batches)]
    return [batch for _, batch in sorted(placed, key=lambda item: item[0])]


def cosine_factor(step: int, *, steps: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate in update `step` (from 0): linear warm-up, then half a cosine to 0."""
    warmup = max(1, round(warmup_ratio * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def train(
    model: LlamaForCausalLM,
    batches: list[tuple[torch.Tensor, torch.Tensor]],
    *,
    learning_rate: float,
    warmup_ratio: float,
    weight_decay: float,
) -> list[dict[str, float]]:
    """Train `model` in place on (ids, labels) batches, one update each; returns the training curve.

    Row of the curve: step, tokens (so far), loss (nats per labelled token), learning_rate, seconds (so far).
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: cosine_factor(step, steps=len(batches), warmup_ratio=warmup_ratio)
    )
    model.train()
    curve, tokens, start = [], 0, time.perf_counter()
    for step, (ids, labels) in enumerate(batches, 1):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        tokens += ids.numel()
        curve.append({"step": step, "tokens": tokens, "loss": loss.item(), "learning_rate": rate,
                      "seconds": round(time.perf_counter() - start, 3)})  # fmt: skip
        if not math.isfinite(curve[-1]["loss"]):
            raise FloatingPointError(f"the loss is {curve[-1]['loss']} in update {step}; lower the learning rate")
    model.eval()
    return curve


def pretrain(documents: list[list[int]], settings: Pretraining, *, vocabulary: int) -> tuple[LlamaForCausalLM, list]:
    """Pretrain a new model on tokenised documents (with BOS and EOS); returns it and its training curve."""
    model = new_model(settings, vocabulary=vocabulary)
    batches = [(ids, ids) for ids in pretraining_batches(documents, settings)]
    curve = train(model, batches, learning_rate=settings.learning_rate, warmup_ratio=settings.warmup_ratio,
                  weight_decay=settings.weight_decay)  # fmt: skip
    return model, curve


def save_pretrained(
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    settings: Pretraining,
    curve: list[dict],
) -> None:
    """Write weights, tokenizer, pretraining.csv and pretrain.json (settings and end of the curve)."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_curve(folder / "pretraining.csv", curve)
    last = curve[-max(1, len(curve) // 20) :]
    write_json(folder / "pretrain.json", {
        "settings": asdict(settings),
        "parameters": model.num_parameters(),
        "vocabulary": model.config.vocab_size,
        "updates": len(curve),
        "tokens": curve[-1]["tokens"],
        "seconds": curve[-1]["seconds"],
        "final_loss": sum(row["loss"] for row in last) / len(last),  # last 5 % of updates, nats per token
    })  # fmt: skip


def write_curve(path: Path, curve: list[dict]) -> None:
    """Write a training curve as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(curve[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)
