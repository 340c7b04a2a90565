"""SIGTERM in mid-training: the run saves, the same call resumes, and its losses are those of a run left alone."""

import signal
import subprocess
import tempfile
from pathlib import Path

from training_runs import command, results, wait_for

from gpu.part import Part
from gpu.zero import call, make_world

TOLERANCE = 1e-5  # relative; a CPU repeats itself to the last bit, a GPU may add up in another order
TRY_AGAIN = 75  # scripts/training/train_model.py


def run(device: str, *, epochs: int) -> dict:
    """Where it was stopped, and the largest relative difference of its losses from the run left alone."""
    with tempfile.TemporaryDirectory() as name:
        world = make_world(Path(name) / "world")
        options = {"device": device, "epochs": epochs}
        call(command(world, Path(name) / "whole", **options))
        out = Path(name) / "stopped"
        with subprocess.Popen(command(world, out, **options), stderr=subprocess.PIPE, text=True) as process:
            wait_for(out / "checkpoints" / "loss.csv", process)
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read()  # type: ignore[union-attr]  # there is a pipe
        assert process.returncode == TRY_AGAIN, f"ended with {process.returncode}: {said.strip()[-600:]}"
        call(command(world, out, **options))
        whole, resumed = results(Path(name) / "whole"), results(out)
    pairs = list(zip(resumed[0], whole[0], strict=True))
    loss = max(abs(one["loss"] / other["loss"] - 1) for one, other in pairs)
    weights = (resumed[1] - whole[1]).abs().max().item()
    assert 0 < resumed[2]["resumed_from"] < len(pairs)
    assert loss < TOLERANCE, f"the losses differ by {loss:.1e}"
    return {"updates": len(pairs), "stopped after": resumed[2]["resumed_from"], "loss": loss, "weights": weights}


PART = Part(
    "resuming",
    "SIGTERM in mid-training and resumed: largest relative difference of losses, absolute one of final weights",
    run,
    full={"epochs": 60},
    tiny={"epochs": 8},
    minutes=1.2,
)
