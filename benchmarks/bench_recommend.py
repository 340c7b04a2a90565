"""Time and memory of `plw recommend` by form and number of rows: within a minute, and memory only of the lengths.

Rows are those of a file of instruction data over and over, each with a number of its own so that none is a duplicate;
without a file, generated sentences of Alpaca's mean lengths. Each call is a process of its own, so its peak is its own.

    python benchmarks/bench_recommend.py --tokenizer results/demo/world/tokenizer --rows 5000 50000 --table recommend.md
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from plw.files import write_text
from plw.recommend.lengths import open_file

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
# Mean words of instruction and output of AlpacaData (Table 1 in tokens, times 0.75 words a token).
WORDS = (12, 48)
FORMS = (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")


def endless(data: str | None) -> Iterator[dict]:
    """Rows without end, all different."""
    if data is None:
        given = [{"instruction": "Say some words.", "input": "", "output": "These are the words of a long answer."}]
        given[0] |= {"instruction": "word " * WORDS[0], "output": "another " * WORDS[1]}
    else:
        given = [{"instruction": it.instruction, "input": it.input, "output": it.output} for it in open_file(data)]
    for number in itertools.count():
        row = given[number % len(given)]
        yield row | {"instruction": f"{row['instruction']} ({number})"}


def write_rows(file: Path, rows: int, data: str | None) -> None:
    """A file of so many rows in the form that its name says."""
    import pandas as pd

    table = pd.DataFrame(itertools.islice(endless(data), rows))
    if file.suffix == ".csv":
        table.to_csv(file, index=False)
    elif file.suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_json(file, orient="records", lines=".jsonl" in file.name, force_ascii=False)


# The peak of a process that was started counts what started it (getrusage), but not in /proc.
PROGRAM = """
import os, sys
from plw.cli import parse_and_run
parse_and_run(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) / 1024, sum(os.times()[:2]), file=sys.stderr)
"""


def measured(file: Path, tokenizer: str | None) -> tuple[float, float, float]:
    """Seconds on the clock and of processors, and the peak of resident memory in MB, of one call."""
    call = [sys.executable, "-c", PROGRAM, "recommend", str(file), "--json"]
    call += ["--tokenizer", tokenizer] if tokenizer else []
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    memory, used = map(float, done.stderr.split()[-2:])
    return time.perf_counter() - started, used, memory


def main() -> None:
    """Measure each form at each number of rows, and print the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", help="instruction data that is repeated")
    flags.add_argument("--tokenizer", help="as of plw recommend")
    flags.add_argument("--rows", type=int, nargs="+", default=[5000, 50_000])
    flags.add_argument("--forms", nargs="+", default=list(FORMS), help="endings of the files")
    flags.add_argument("--table", type=Path, help="written: the table (Markdown)")
    arguments = flags.parse_args()
    lines = ["| form | rows | MB | seconds | processor seconds | peak MB |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for form, rows in itertools.product(arguments.forms, arguments.rows):
            file = Path(folder) / f"rows{form}"
            write_rows(file, rows, arguments.data)
            seconds, used, memory = measured(file, arguments.tokenizer)
            size = file.stat().st_size / 2**20
            lines.append(f"| {form} | {rows:,} | {size:,.1f} | {seconds:.1f} | {used:.1f} | {memory:,.0f} |")
            print(json.dumps({"form": form, "rows": rows, "seconds": seconds, "peak_mb": memory}), file=sys.stderr)
    print("\n".join(lines))
    if arguments.table:
        write_text(arguments.table, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
