"""Another study's verdicts beside this one's."""

import json

import pandas as pd
import pytest
from build_report import main
from plw.errors import InputError
from plw.report.beside import beside_view
from plw.report.claims import claim_rows
from plw.scores.table import COLUMNS
from report_samples import claim, page, run_row


def rows(**verdicts: str) -> list[dict]:
    return claim_rows({"claims": [claim(id=name, verdict=verdict) for name, verdict in verdicts.items()]})


def test_only_claims_that_differ_are_listed_and_opposite_ones_come_first():
    here = rows(C01="supported", C02="supported", C03="inconclusive", C04="contradicted", C05="supported")
    there = rows(C01="supported", C02="inconclusive", C03="inconclusive", C04="supported")
    view = beside_view(here, there, name="mine", study="other")
    assert (view["shared"], view["same"], view["opposite"]) == (4, 2, 1)
    assert view["table"]["columns"][-2:] == ["mine", "other"]
    assert [[cell["text"] for cell in row][::2] for row in view["table"]["rows"]] == [
        ["C04", "✗\u00a0contradicted"],
        ["C02", "✓\u00a0supported"],
    ]


@pytest.mark.parametrize("content", [[], {"study": "x"}, {"study": "x", "claims": [{"id": "C01"}]}, {"claims": []}])
def test_a_file_beside_that_holds_no_verdicts_is_refused(tmp_path, content):
    (tmp_path / "claims.json").write_text(json.dumps(content))
    (tmp_path / "empty.yaml").write_text("{}")
    row = {**run_row("r0", 0.5), "benchmark": "piqa", "metric": "acc", "score": 0.5, "stderr": 0.1, "n": 4}
    pd.DataFrame([row])[COLUMNS].to_csv(tmp_path / "scores.csv", index=False)
    flags = [f"--{name}={tmp_path / 'empty.yaml'}" for name in ("study", "artifacts")]
    with pytest.raises(InputError, match="holds no verdicts"):
        main([*flags, f"--scores={tmp_path / 'scores.csv'}", f"--beside={tmp_path / 'claims.json'}", "--out=x.html"])


def test_equal_verdicts_need_no_table_and_strangers_are_not_compared():
    assert beside_view(rows(C01="supported"), rows(C01="supported"), name="a", study="b")["table"] is None
    assert beside_view(rows(C01="supported"), rows(C02="supported"), name="a", study="b") is None


def test_the_page_names_the_other_study_and_leads_to_where_the_two_differ():
    other = {"study": "other_study", "claims": [claim(verdict="contradicted")]}
    html = page(claims={"claims": [claim()]}, beside=other)
    assert "other_study" in html and 'href="#beside"' in html and 'id="beside"' in html
    assert "0 of 1 verdicts are the same and 1 opposite" in html
    assert 'id="beside"' not in page(claims={"claims": [claim()]})
