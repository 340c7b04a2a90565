"""How far every way of training is from a plain loop: ZeRO stages, offload, ranks, physical batches, autocast.

The plain loop takes one sequence at a time, without padding, batches, ranks or DeepSpeed, and adds up the weighted loss
by hand (`reference` in tests/training_runs.py). Each case trains the same tiny model on the same rows as a program of
its own (torchrun, DeepSpeed, gloo, CPU); the table shows the largest difference over all updates.

    python benchmarks/bench_precision.py --table precision.md --output precision.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from plw.files import write_json, write_text
from plw.training.record import device_state, versions
from tiny import tiny_instances, tiny_model
from training_runs import ROWS, command, preloaded, reference, results, starting_weights

PLW = 0.1
ZERO = [(stage, ranks, "none", 3) for stage in (0, 1, 2, 3) for ranks in (1, 2, 4)]
OFFLOADED = [(stage, 2, "cpu", 3) for stage in (1, 2, 3)]
# ZeRO stage (None: without DeepSpeed), ranks, offload, physical batch
CASES = {
    "float32": [*((None, 1, "none", size) for size in (1, 3, 8)), (None, 2, "none", 3), (None, 4, "none", 3), *ZERO,
                *OFFLOADED],
    "bfloat16": [(None, 1, "none", 3), (None, 2, "none", 3), *((stage, 2, "none", 3) for stage in (0, 1, 2, 3)),
                 (3, 2, "cpu", 3)],
}  # fmt: skip
HEAD = "| compute | ZeRO | ranks | offload | physical batch | loss | gradient norm | final weights |"


def make_world(folder: Path) -> Path:
    """Model and rows as the tests of training have them."""
    tiny_model(folder / "model")
    rows = "".join(json.dumps(row) + "\n" for row in tiny_instances(ROWS, seed=5))
    (folder / "instances.jsonl").write_text(rows, encoding="utf-8")
    return folder


def compare(world: Path, folder: Path, expected, **options) -> dict[str, float]:
    """Train once; largest differences from the plain loop: relative ones of loss and norm, absolute ones of weights."""
    subprocess.run(command(world, folder, plw=PLW, **options), check=True, capture_output=True)
    rows, weights, _ = results(folder)
    log, plain = expected
    assert len(rows) == len(log)
    pairs = list(zip(rows, log, strict=True))
    return {
        "loss": max(abs(row["loss"] / loss - 1) for row, (loss, _, _) in pairs),
        "grad_norm": max(abs(row["grad_norm"] / norm - 1) for row, (_, norm, _) in pairs),
        "weights": (weights - plain).abs().max().item(),
    }


def table(cases: list[dict]) -> str:
    """The cases as a Markdown table."""
    lines = [HEAD, "|---" * HEAD.count(" | ") + "|---|"]
    for case in cases:
        stage = "–" if case["zero_stage"] is None else case["zero_stage"]
        numbers = " | ".join(f"{case[name]:.1e}" for name in ("loss", "grad_norm", "weights"))
        how = f"{case['compute_dtype']} | {stage} | {case['ranks']} | {case['offload']} | {case['physical_batch']}"
        lines.append(f"| {how} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=3, help="of 19 rows, three updates each")
    parser.add_argument("--table", type=Path, help="written: the Markdown table")
    parser.add_argument("--output", type=Path, help="written: all numbers, versions and machine, JSON")
    options = parser.parse_args()
    found = {"cases": [], "scale": {}, "versions": versions(), "device": device_state("cpu")}
    with tempfile.TemporaryDirectory() as name:
        world = make_world(Path(name))
        for compute, cases in CASES.items():
            expected = reference(world, plw=PLW, epochs=options.epochs, bfloat16=compute == "bfloat16")
            moved = (expected[1] - starting_weights(world)).abs()
            found["scale"][compute] = {
                "updates": len(expected[0]), "loss": [expected[0][0][0], expected[0][-1][0]],
                "mean_change_of_a_weight": moved.mean().item(), "largest_change": moved.max().item(),
            }  # fmt: skip
            for stage, ranks, offload, size in cases:
                settings = {
                    "compute_dtype": compute, "zero_stage": stage, "offload": offload, "physical_batch": size,
                    "epochs": options.epochs,
                }  # fmt: skip
                folder = Path(name) / f"{compute}-{stage}-{ranks}-{offload}-{size}"
                differences = compare(world, folder, expected, launcher=preloaded(ranks), **settings)
                found["cases"].append(settings | {"ranks": ranks} | differences)
                print(table(found["cases"][-1:]).splitlines()[-1], flush=True)
    if options.table:
        write_text(options.table, table(found["cases"]))
    if options.output:
        write_json(options.output, found)
    print(json.dumps(found["scale"], indent=1))


if __name__ == "__main__":
    main()
