"""DeepSpeed on one rank: ZeRO-3 beside a plain loop, and the float32 weights that it starts from."""

import json
import subprocess
import tempfile
from pathlib import Path

from tiny import tiny_instances, tiny_model
from training_runs import ROWS, command, reference, results, starting_weights

from gpu.part import Part

TOLERANCE = 1e-4  # relative, of losses and gradient norms over three updates in float32


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
        start = starting_weights(world)
        change = (results(Path(name) / "start")[1] - start).abs().max().item()
        assert change == 0.0, f"the float32 weights begin up to {change:.1e} away from the model's"
        rounded = (start != start.bfloat16().float()).float().mean().item()
        return values | {"bfloat16: largest change at the start": change, "weights that bfloat16 cannot hold": rounded}


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
