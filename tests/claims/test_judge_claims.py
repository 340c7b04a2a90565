"""The program that judges claims, from files to claims.json and claims.md."""

import json

import judge_claims
import pytest
import yaml
from claim_evidence import BENCHMARKS, CLAIMS, DATASETS, PTLMS, as_in_the_paper
from plw.claims.reading import read_claims
from plw.claims.text import numbers_text, to_markdown
from plw.errors import InputError
from plw.files import write_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of a study in which all claims hold."""
    root = tmp_path_factory.mktemp("study")
    evidence = as_in_the_paper()
    metrics = {entry["name"]: entry["metric"] for entry in BENCHMARKS}
    scores = evidence.scores.assign(metric=evidence.scores["benchmark"].map(metrics), stderr=0.01, n=100)
    scores.to_csv(root / "scores.csv", index=False)
    evidence.runs.to_csv(root / "runs.csv", index=False)
    evidence.mechanism.to_csv(root / "mechanism.csv", index=False)
    write_json(root / "gam.json", evidence.gam)
    write_json(root / "loss.json", evidence.loss)
    names = {entry["stands_for"]: entry["name"] for entry in DATASETS}
    for kind in ("regressions", "statistics"):
        for role, result in getattr(evidence, kind).items():
            write_json(root / f"{kind}.{names[role]}.json", {"dataset": names[role], **result})
    return root


def _judge(folder, out, *optional):
    entries = {"benchmarks": BENCHMARKS, "datasets": DATASETS, "ptlms": PTLMS}
    flags = [text for name, value in entries.items() for text in (f"--{name}", json.dumps(value))]
    flags += ["--paper-numbers", str(CLAIMS.with_name("paper_numbers.yaml"))]
    flags += ["--worlds", str(CLAIMS.with_name("paper_worlds.yaml"))]
    flags += ["--out", str(out / "claims.json"), "--md", str(out / "claims.md")]
    scores = str(folder / "scores.csv")
    judge_claims.main(["--study", "sample", "--claims", str(CLAIMS), "--scores", scores, *flags, *optional])
    return json.loads((out / "claims.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_all_files_of_a_study_give_forty_verdicts(folder, tmp_path):
    record = _judge(
        folder,
        tmp_path,
        *("--runs", str(folder / "runs.csv"), "--mechanism", str(folder / "mechanism.csv")),
        *("--gam", str(folder / "gam.json")),
        *("--loss", str(folder / "loss.json")),
        *("--regressions", *map(str, sorted(folder.glob("regressions.*")))),
        *("--statistics", *map(str, sorted(folder.glob("statistics.*")))),
    )
    assert record["study"] == "sample"
    assert sum(record["summary"].values()) == 38 and record["summary"]["contradicted"] == 0
    keys = {
        "id",
        "place",
        "kind",
        "text",
        "estimand",
        "family",
        "calibration",
        "verdict",
        "reason",
        "numbers",
        "partial",
    }
    keys |= {"estimate", "region", "interval", "rates", "standardised", "primary", "by_seed"}
    assert all(keys <= set(claim) for claim in record["claims"])
    by_id = {claim["id"]: claim for claim in record["claims"]}
    assert by_id["C09"]["p_familywise"] >= by_id["C09"]["rates"]["p_without"]
    assert "one seed" in record["noise"] and not by_id["C09"]["by_seed"]
    assert "%" in (tmp_path / "claims.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_score_table_alone_decides_what_it_can_and_says_why_not_the_rest(folder, tmp_path):
    record = _judge(folder, tmp_path)
    by_id = {claim["id"]: claim for claim in record["claims"]}
    assert record["summary"]["contradicted"] == 0
    assert {name for name, claim in by_id.items() if claim["estimate"] is None} == {
        *("C01", "C02", "C03", "C04", "C05", "C06", "C18"),  # regression
        *("C19", "C20", "C21", "C22", "C25", "C26", "C27", "C28", "C29", "C40"),  # mechanism
        *("C35", "C37", "C38", "C39"),  # additive models, the loss itself, statistics
    }
    assert "no mechanism file" in by_id["C19"]["reason"]
    assert "no gam file" in by_id["C35"]["reason"]
    page = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert page.count("\n| C") == 40


def test_text_in_a_cell_cannot_break_the_table():
    claim = {"id": "C01", "text": "a | b", "place": "§1", "verdict": "supported", "numbers": {}, "reason": "x\ny"}
    claim |= {"estimand": "z", "calibration": "worlds", "rates": None, "partial": None, "by_seed": {}}
    page = to_markdown({"study": "s", "summary": {"supported": 1}, "claims": [claim], "yardstick": [], "noise": ""})
    assert "| C01 | a \\| b (§1) | z | supported |" in page and "| x y |" in page


def test_numbers_are_rounded_for_readers_and_long_lists_cut():
    assert (
        numbers_text({"a": 0.123456, "b": True, "c": None, "d": 3, "e": "word"})
        == "a: 0.1235; b: yes; c: –; d: 3; e: word"
    )
    assert numbers_text({str(n): n for n in range(12)}).endswith("4 more in claims.json")


def test_a_list_of_claims_with_an_unknown_or_incomplete_claim_is_refused(tmp_path):
    content = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    for change, message in (
        ({"id": "C99"}, "no rule"),
        ({"estimand": None}, "lacks keys"),
        ({"calibration": "luck"}, "unknown calibration"),
    ):
        claim = {**content["claims"][0], **change}
        claim = {key: value for key, value in claim.items() if value is not None}
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.safe_dump({"defaults": content["defaults"], "claims": [claim]}), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_claims(path)


def test_a_mechanism_file_without_its_columns_is_refused(folder, tmp_path):
    (tmp_path / "wrong.csv").write_text("run,value\nx,1\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks columns"):
        _judge(folder, tmp_path, "--mechanism", str(tmp_path / "wrong.csv"))
