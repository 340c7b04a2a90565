"""Small trainings, in this process or as programs, and the same training as a plain loop."""

import json
import math
import sys
import time
from pathlib import Path

import torch
from plw.data.tokenization import encode_examples
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.models.loading import fit_embeddings, load_model
from plw.training.batching import plan_updates
from plw.training.loss_log import read_loss
from plw.training.run import train_run
from transformers import get_cosine_schedule_with_warmup

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TRAINING = {
    "epochs": 1,
    "learning_rate": 5e-3,
    "adam_eps": 1e-3,  # large, so that Adam does not hide the scale of gradients nor blow up rounding
    "warmup_ratio": 0.3,
    "compute_dtype": "float32",
    "micro_batch": 2,
    "micro_batches_per_update": 4,
    "physical_batch": 8,
    "max_length": 160,
    "device": "cpu",
}
ROWS = 19  # two updates of eight and a short window of three


def run(world, out, *, plw=0.1, row=None, encoded=None, **training):
    """Train in this process; returns loss.csv, the final weights and run.json."""
    train_run(
        row={"run": "r", "plw": plw, "seed": 42} | (row or {}),
        training=TRAINING | training,
        source={"path": str(world / "model")},
        instances_file=world / "instances.jsonl",
        model_folder=out / "model",
        loss_file=out / "loss.csv",
        record_file=out / "run.json",
        checkpoints=out / "checkpoints",
        encoded=encoded,
        threads=1,
    )
    return results(out)


def results(out):
    model = load_model({"path": str(out / "model")})
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return read_loss(out / "loss.csv"), weights, json.loads((out / "run.json").read_text())


def command(world, out, *, plw=0.1, row=None, launcher=(sys.executable,), **training):
    """The same run as a program of its own."""
    return [
        *launcher,
        str(SCRIPTS / "training/train_model.py"),
        *("--run", json.dumps({"run": "r", "plw": plw, "seed": 42} | (row or {}))),
        *("--training", json.dumps(TRAINING | training)),
        *("--ptlm", json.dumps({"path": str(world / "model")})),
        *("--instances", str(world / "instances.jsonl")),
        *("--model-dir", str(out / "model")),
        *("--loss", str(out / "loss.csv")),
        *("--run-json", str(out / "run.json")),
        *("--checkpoints", str(out / "checkpoints")),
        *("--threads", "1"),
    ]


def torchrun(processes):
    return (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "--")


def preloaded(processes):
    """Launcher of as many ranks, forked like torchrun from the process that has the libraries loaded: saves seconds."""
    plain = (sys.executable, "-m", "plw.preload")
    return (*plain, *preloaded_ranks(processes)[1:]) if processes > 1 else plain


def preloaded_ranks(processes):
    """The same with a torchrun that is this launcher's process."""
    return (*torchrun(processes)[:-1], "--module", "--", "plw.preload")


def starting_weights(world):
    """All weights before training, with the rows of added tokens, float32 [n]."""
    source = {"path": str(world / "model")}
    tokenizer, model = load_tokenizer(source), load_model(source)
    prepare_tokenizer(tokenizer)
    fit_embeddings(model, tokenizer)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def users_tokens(tokenizer, row, prompt):
    """Which tokens of a prompt hold a letter of the row's instruction or input, by decoding it token by token.

    The rows of tests are ASCII, so a byte-level token is a piece of text. Longer than any prompt, bool.
    """
    pieces = ["" if token in tokenizer.all_special_ids else tokenizer.decode([token]) for token in prompt]
    text = "".join(pieces)
    letters = [False] * len(text)
    start = text.index("### Instruction:\n") + len("### Instruction:\n")
    for field, before in ((row["instruction"], ""), (row["input"], "\n\n### Input:\n")):
        if field == "" and before:
            continue
        start += len(before)
        letters[start : start + len(field)] = [True] * len(text[start : start + len(field)])
        start += len(field)
    own, place = torch.zeros(1024, dtype=torch.bool), 0
    for number, piece in enumerate(pieces):
        own[number] = any(letters[place : place + len(piece)])
        place += len(piece)
    return own


def reference(
    world,
    *,
    plw,
    normalization="nonzero_count",
    unit="microbatch",
    smoothing=0.0,
    epochs=1,
    bfloat16=False,
    completion=1.0,
    template=None,
    weigh=None,
):
    """The same training written as plainly as possible: one sequence at a time, no padding, sums by hand.

    bfloat16    forward and backward under PyTorch's autocast
    completion  weight of completion tokens
    template    weight of the template's tokens, found by looking for the texts of the row in the decoded prompt
    weigh       (tokenizer, row, ids) -> the weight of each token, in place of all of these
    """
    source = {"path": str(world / "model")}
    tokenizer = load_tokenizer(source)
    prepare_tokenizer(tokenizer)
    model = load_model(source)
    fit_embeddings(model, tokenizer)
    rows = [json.loads(line) for line in (world / "instances.jsonl").read_text().splitlines()]
    examples = encode_examples(tokenizer, rows, TRAINING["max_length"])
    size = TRAINING["micro_batch"]
    updates = plan_updates(len(rows), epochs=epochs, seed=42, update_size=size * 4, last_window="keep")
    optimizer = torch.optim.AdamW(model.parameters(), lr=TRAINING["learning_rate"], eps=1e-3, weight_decay=0.0)
    warmup = math.ceil(TRAINING["warmup_ratio"] * len(updates))
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, len(updates))
    log = []
    for update in updates:
        groups = [update[i : i + size] for i in range(0, len(update), size)]
        tops, bottoms = [], []
        for group in groups:
            top, bottom = 0.0, 0.0
            for number in group:
                example = examples[number]
                ids = torch.tensor([example.input_ids])
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    logits = model(input_ids=ids).logits
                log_p = torch.log_softmax(logits[0, :-1].float(), dim=-1)
                losses = -log_p.gather(1, ids[0, 1:, None])[:, 0] * (1 - smoothing) - smoothing * log_p.mean(1)
                place = torch.arange(1, ids.shape[1])
                weights = torch.where(place < example.prompt_length, plw, completion)
                if template is not None:
                    own = users_tokens(tokenizer, rows[number], example.input_ids[: example.prompt_length])
                    weights = torch.where((place < example.prompt_length) & ~own[1 : ids.shape[1]], template, weights)
                if weigh is not None:
                    weights = torch.tensor(weigh(tokenizer, rows[number], example.input_ids))[1:]
                top = top + (weights * losses).sum()
                bottom += float(weights.sum() if normalization == "sum_of_weights" else (weights != 0).sum())
            tops.append(top)
            bottoms.append(bottom)
        if unit == "update":
            loss = sum(tops) / sum(bottoms)
        else:
            loss = sum(top / bottom for top, bottom in zip(tops, bottoms, strict=True) if bottom) / len(groups)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        log.append((loss.item(), norm.item(), optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return log, torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def assert_equal_training(found, expected, *, rtol=1e-5):
    """Losses, gradient norms (before clipping), learning rates and final weights."""
    import pytest  # the measurements of a GPU use this module where it may be missing

    (rows, weights, _), (log, reference_weights) = found, expected
    assert [row["loss"] for row in rows] == pytest.approx([loss for loss, _, _ in log], rel=rtol)
    assert [row["grad_norm"] for row in rows] == pytest.approx([norm for _, norm, _ in log], rel=10 * rtol)
    assert [row["learning_rate"] for row in rows] == pytest.approx([rate for _, _, rate in log], rel=1e-9)
    assert torch.allclose(weights, reference_weights, atol=rtol)


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.005)
