"""What is left out of a data set is said where people look: on the terminal while it is read, and in Table 1's note."""

import json

import pytest
from checkout import copy_project, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
STUDY = """base: test
datasets:
  faq: {label: FAQ, source: {path: faq.jsonl}, format: messages}
experiments:
  main: {datasets: [faq, plain], plw: [0.0]}
run_experiments: [main]
"""


def test_a_row_that_is_left_out_is_said_on_the_terminal_with_its_line(tmp_path):
    project = copy_project(tmp_path)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    rows = [{"messages": [*turns[:1], {"role": "assistant", "content": f"Ho {number}"}]} for number in range(19)]
    rows.insert(4, {"messages": turns[:1]})
    (project / "faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "mine.yaml").write_text(STUDY)
    done = snakemake(
        *("--cores", "1", "results/mine/data/faq/rows.json", "--config", "study=mine.yaml"), folder=project
    )
    assert done.returncode == 0, done.stderr
    assert "Data set faq: 1 of 20 rows left out: 1 lacking a field (faq.jsonl, line 5)." in done.stderr
