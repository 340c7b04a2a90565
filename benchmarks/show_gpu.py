"""Put the table of a gpu.json between its marks in docs/measurements.md; without a file, say that there is none.

python benchmarks/show_gpu.py results/gpu.json
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

from gpu.table import put_section, section  # noqa: E402
from plw.files import read_json, write_text  # noqa: E402


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("file", type=Path, nargs="?", help="gpu.json that `make test-gpu` wrote")
    flags.add_argument("--document", type=Path, default=ROOT / "docs/measurements.md", help="document to change")
    arguments = flags.parse_args(argv)
    found = read_json(arguments.file) if arguments.file else None
    document = arguments.document.read_text(encoding="utf-8")
    write_text(arguments.document, put_section(document, section(found)))


if __name__ == "__main__":
    main()
