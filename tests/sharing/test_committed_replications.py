"""The replications that are committed: whole, without a machine's name, and what docs/replication.md says of them."""

import hashlib
import re

import pandas as pd
import pytest
from checkout import ROOT

FOLDERS = sorted(path.parent for path in (ROOT / "docs/replications").glob("*/SHA256SUMS"))
H200 = ROOT / "docs/replications/smol_40min_h200"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_the_one_that_was_exported(folder):
    sums = dict(reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {
        "SHA256SUMS"
    }
    for name, expected in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name


def test_the_documents_table_of_three_seeds_is_the_one_that_was_exported():
    text, exported = (
        (ROOT / "docs" / name).read_text(encoding="utf-8")
        for name in ("replication.md", "replications/smol_cpu_2026_11_26/README.md")
    )
    (table,) = re.findall(r"(?:^\|.*\n)+", exported.partition("## Measures")[2], flags=re.MULTILINE)
    assert table.count("\n") == 2 + 8 and table in text


def test_the_documents_table_is_that_of_the_measures():
    measures = pd.read_csv(H200 / "mechanism.csv").query("dataset == 'alpaca_data_short' and seed == 42")
    text = (ROOT / "docs/replication.md").read_text(encoding="utf-8")
    rows = {}
    for line in text.splitlines():
        label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[label] = cells
    (weights,) = (cells for label, cells in rows.items() if label == "on Short")
    plws = [float(cell.removeprefix("PLW ")) for cell in weights]

    def value(measure: str, plw: float, normalization: str) -> float:
        here = measures[(measures["measure"] == measure) & (measures["plw"] == plw)]
        if plw not in (0.0, 1.0):  # there both denominators are the same, and the run is one
            here = here[here["normalization"] == normalization]
        (found,) = here["value"]
        return found

    for label, measure in (
        ("RSD of the loss", "rsd"),
        ("RSD of the completion's loss alone", "rsd_completion"),
        ("clipped updates", "clipped_updates"),
        ("weight distance", "weight_distance"),
        ("BLEU on training prompts", "memorisation_bleu"),
    ):
        shown = {name: cells for name, cells in rows.items() if name.startswith(label + ",")}
        assert shown, label
        for name, cells in shown.items():
            ways = ["nonzero_count"] * ("by count" in name) + ["sum_of_weights"] * ("by sum" in name)
            for plw, cell in zip(plws, cells, strict=True):
                printed = re.split(r"; ?", cell)
                for way, number in zip(ways, printed, strict=False):
                    digits = len(number.partition(".")[2])
                    assert f"{value(measure, plw, way):.{digits}f}" == number, (name, plw)
