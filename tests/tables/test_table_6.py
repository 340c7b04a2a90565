"""Table 6: the registry of sources beside the paper's licences."""

import csv
import json
from pathlib import Path

import make_table_6
import yaml
from plw.study.sources import load_registry
from plw.tables.table import to_markdown
from plw.tables.table_6 import table_6

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = load_registry(ROOT / "config" / "sources.yaml")
PRINTED = yaml.safe_load((ROOT / "config" / "paper_numbers.yaml").read_text(encoding="utf-8"))["table_6"]


def test_the_papers_resources_come_first_and_in_its_order():
    rows = table_6(REGISTRY, PRINTED).rows
    assert [row["resource"] for row in rows[: len(PRINTED["rows"])]] == list(PRINTED["rows"])
    assert len(PRINTED["rows"]) == 19
    assert {row["name"] for row in rows} == set(REGISTRY)


def test_the_registrys_licences_of_the_papers_resources_are_the_papers():
    rows = table_6(REGISTRY, PRINTED).rows
    assert {row["agreement"] for row in rows if REGISTRY[row["name"]].get("paper")} == {"as printed"}


def test_a_licence_that_differs_from_the_papers_is_shown():
    registry = {
        "one": {"resource": "PIQA", "paper": True, "hub": "a/b", "revision": "1" * 40, "licence": "MIT"},
        "two": {"resource": "More", "hub": "a/b", "revision": "1" * 40, "licence": "MIT"},
        "own": {"resource": "Own", "hub": "c/d", "revision": "main", "licence": "MIT"},
    }
    table = table_6(registry, PRINTED)
    assert table.rows[0]["agreement"] == "licence differs"
    assert table.rows[0]["paper_licence"] == "AFL 3.0"
    assert "licence differs from PIQA (AFL 3.0)" in table.rows[1]["agreement"]
    assert table.rows[2]["agreement"] == "not in the paper"
    text = to_markdown(table)
    assert "| 1111111111 |" in text
    assert "main (not pinned)" in text
    assert any(note.startswith("In the paper's table and not in the registry: Transformers") for note in table.notes)


def test_the_data_of_alpaca_have_another_licence_than_its_programs():
    rows = {row["name"]: row for row in table_6(REGISTRY, PRINTED).rows}
    assert "licence differs from Stanford Alpaca" in rows["alpaca_data"]["agreement"]


def test_what_a_study_uses_is_marked_and_its_own_places_are_listed():
    used = ["piqa", {"path": "here.jsonl"}, {"hub": "me/set", "revision": "abc"}, {"hub": "me/set", "revision": "abc"}]
    table = table_6(REGISTRY, PRINTED, used=used)
    assert [row["resource"] for row in table.rows if row["used"]] == ["PIQA", "me/set"]
    assert table.rows[-1]["agreement"] == "not in the registry"
    assert "Sources that are local files are not listed (1)." in table.notes[-1]


def test_the_program_writes_full_revisions_into_the_csv(tmp_path):
    make_table_6.main(
        ["--sources", str(ROOT / "config" / "sources.yaml"), "--used", json.dumps(["piqa"]),
         "--paper-numbers", str(ROOT / "config" / "paper_numbers.yaml"), "--csv", str(tmp_path / "t.csv"),
         "--md", str(tmp_path / "t.md"), "--tex", str(tmp_path / "t.tex")]
    )  # fmt: skip
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["revision"] for row in rows} == {entry["revision"] for entry in REGISTRY.values()}
    assert r"\begin{tabular}" in (tmp_path / "t.tex").read_text(encoding="utf-8")
