"""A training's rows encoded by itself, made for a sweep, and found as another training left them: time and memory.

Each way runs in a process of its own, turn by turn, on the instances of a finished study, repeated up to --rows (52,002
is Alpaca's number) and each made a text of its own. Time is the processor's, of reading, encoding and one look at every
row; memory is what grew that no other process can share, so nothing of a mapped file.

    python benchmarks/bench_encoding.py --rounds 3
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.data.encoded import kept_examples, read_examples  # noqa: E402
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer  # noqa: E402
from plw.files import read_jsonl, write_json, write_jsonl  # noqa: E402

WAYS = ("alone", "first", "next")  # without a folder; with an empty one; with one that holds the rows
DEMO = ROOT / "results" / "demo"


def own_bytes() -> int:
    """Resident memory that no file is behind, and no other process shares (Linux)."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024


def measure(options) -> dict:
    """One way in this process."""
    tokenizer = load_tokenizer({"path": str(options.model)})
    prepare_tokenizer(tokenizer)
    before, began = own_bytes(), time.process_time()
    rows = (options.instances, tokenizer, options.max_length)
    examples = read_examples(*rows) if options.way == "alone" else kept_examples(options.folder, *rows, code="")
    tokens = sum(sum(example.input_ids) for example in examples)
    return {"seconds": time.process_time() - began, "bytes": own_bytes() - before, "sum": tokens, "rows": len(examples)}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--instances", type=Path, default=DEMO / "data/medium/instances.jsonl", help="rows to repeat")
    flags.add_argument("--model", type=Path, default=DEMO / "world/ptlms/strong", help="folder with the tokenizer")
    flags.add_argument("--rows", type=int, default=52_002)
    flags.add_argument("--max-length", type=int, default=512)
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--output", type=Path, help="JSON to write")
    flags.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    flags.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = flags.parse_args()
    if options.way:
        print(json.dumps(measure(options)))
        return
    found: dict[str, list[dict]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as place:
        instances = Path(place) / "instances.jsonl"
        repeated = enumerate(islice(cycle(read_jsonl(options.instances)), options.rows))
        write_jsonl(instances, ({**row, "input": f"{row['input']} {number}"} for number, row in repeated))
        for round_ in range(options.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, f"--way={way}", f"--folder={place}/{round_}"]
                command += [
                    f"--instances={instances}",
                    f"--model={options.model}",
                    f"--max-length={options.max_length}",
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
    if len({turn["sum"] for turns in found.values() for turn in turns}) != 1:
        raise SystemExit("Error: the ways did not give the same tokens.")
    middle = {
        way: {key: statistics.median(turn[key] for turn in turns) for key in ("seconds", "bytes")}
        for way, turns in found.items()
    }
    for way in WAYS:
        print(f"{way:6} {middle[way]['seconds']:7.2f} s {middle[way]['bytes'] / 2**20:8.0f} MiB")
    for key in ("seconds", "bytes"):
        ratios = sorted(one[key] / other[key] for one, other in zip(found["next"], found["alone"], strict=True))
        print(f"next over alone, {key}: {statistics.median(ratios):.3f} [{ratios[0]:.3f}, {ratios[-1]:.3f}]")
    if options.output:
        write_json(options.output, {"rows": found["alone"][0]["rows"], "ways": found, "medians": middle})


if __name__ == "__main__":
    main()
