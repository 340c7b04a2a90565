"""DeepSpeed on one rank: ZeRO-3 beside a plain loop, and the float32 weights that it starts from."""

import json
import subprocess
import tempfile
from pathlib import Path

from safetensors.torch import load_file
from tiny import tiny_instances, tiny_model
from training_runs import ROWS, command, reference, results, starting_weights

from gpu.part import Part

TOLERANCE = 1e-4  # relative, of losses and gradient norms over three updates in float32
ROUNDING = 1e-6  # relative: a few units in the last place of float32


def run(device: str, *, stages: tuple[int, ...]) -> dict:
    """Largest relative differences of loss and gradient norm by stage; whether the start is exact under bfloat16."""
    values: dict = {}
    with tempfile.TemporaryDirectory() as name:
        world = make_world(Path(name) / "world")
        log, _ = reference(world, plw=0.1)
        for stage in stages:
            out = Path(name) / f"stage{stage}"
            call(command(world, out, device=device, zero_stage=stage))
            rows, _, _ = results(out)
            pairs = list(zip(rows, log, strict=True))
            loss = max(abs(row["loss"] / plain - 1) for row, (plain, _, _) in pairs)
            norm = max(abs(row["grad_norm"] / plain - 1) for row, (_, plain, _) in pairs)
            assert max(loss, norm) < TOLERANCE, f"stage {stage}: loss {loss:.1e}, gradient norm {norm:.1e}"
            values |= {f"stage {stage}, float32: loss": loss, f"stage {stage}, float32: gradient norm": norm}
        # One update with a learning rate of 0: the weights that are saved are those of the start.
        standing = {"compute_dtype": "bfloat16", "epochs": 0.3, "warmup_ratio": 1.0, "zero_stage": stages[-1]}
        call(command(world, Path(name) / "start", device=device, **standing))
        changes = start_changes(world / "model", Path(name) / "start/model")
        change, added = changes["stored"], changes["added"]
        assert change == 0.0, f"the float32 weights begin up to {change:.1e} away from the model's"
        assert added <= ROUNDING, f"the rows of added tokens begin up to {added:.1e} (relative) away from the mean row"
        start = starting_weights(world)
        rounded = (start != start.bfloat16().float()).float().mean().item()
        return values | {
            "bfloat16: largest change at the start": change,
            "rows of added tokens beside the mean row, relative": added,
            "weights that bfloat16 cannot hold": rounded,
        }


def start_changes(model: Path, trained: Path) -> dict[str, float]:
    """How far the weights of `trained` are from the stored ones of `model`, and its added rows from their mean.

    {stored: largest absolute difference, added: largest difference over the mean row's largest value}. The mean of the
    rows is taken on the training's device, so that its rounding may be another one than the CPU's.
    """
    before, after = load_file(model / "model.safetensors"), load_file(trained / "model.safetensors")
    stored = added = 0.0
    for name, old in before.items():
        new = after[name]
        stored = max(stored, (new[: len(old)] - old).abs().max().item())
        if len(new) > len(old):
            mean = old.mean(dim=0)
            added = max(added, ((new[len(old) :] - mean).abs().max() / mean.abs().max()).item())
    return {"stored": stored, "added": added}


def make_world(folder: Path) -> Path:
    """A tiny model and its rows, as the tests of training have them."""
    tiny_model(folder / "model")
    rows = tiny_instances(ROWS, seed=5)
    (folder / "instances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def call(words: list[str]) -> None:
    """Run a program; RuntimeError with the end of what it said, if it failed."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the training ended with {done.returncode}: {done.stderr.strip()[-600:]}")


PART = Part(
    "zero",
    "DeepSpeed on one rank beside a plain loop on the CPU (relative), and its float32 start under bfloat16",
    run,
    full={"stages": (2, 3)},
    tiny={"stages": (3,)},
    minutes=1.3,
    needs=("deepspeed",),
)
