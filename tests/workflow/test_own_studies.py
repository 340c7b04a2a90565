"""Studies of one's own model, data and benchmarks, from files outside the checkout: only what they use is made."""

import json

import pytest
from checkout import ROOT, planned_jobs, snakemake
from plw.study.configuration import load_configuration
from plw.study.planning.processor import count_all_jobs
from plw.study.runs import list_runs
from tiny import tiny_model

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
WORLD = {"make_world", "train_tokenizer", "pretrain_model", "train_judge", "evaluate_ptlm", "judge_ptlms"}
STUDY = """\
base: demo
ptlms:
  mine: {{label: Mine, source: {{path: {model}}}}}
tokenizer_of: {ptlm}
datasets:
  faq: {{label: FAQ, source: {{path: {folder}/faq.jsonl}}, format: alpaca}}
experiments:
  main: {{ptlms: [{ptlm}], datasets: [faq], plw: [0.0, 0.1]}}
run_experiments: [main]
benchmarks:
  piqa: {{source: {{path: {{validation: {folder}/piqa.jsonl}}}}}}
evaluation: {{benchmarks: [{benchmarks}]}}
judges:
  pandalm: {{reference: {{ptlm: {ptlm}, dataset: faq, plw: 0.0}}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder outside the checkout with a model, instruction data and benchmark rows."""
    folder = tmp_path_factory.mktemp("own")
    tiny_model(folder / "model")
    rows = [{"instruction": f"Say {n}.", "input": "", "output": f"It is {n}."} for n in range(20)]
    (folder / "faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    question = {"goal": "Which is red?", "sol1": "a rose", "sol2": "the sky", "label": 0}
    (folder / "piqa.jsonl").write_text(json.dumps(question) + "\n")
    return folder


@pytest.mark.parametrize(
    ("ptlm", "benchmarks", "made"),
    [
        ("mine", "piqa", set()),
        ("weak", "piqa", {"make_world", "train_tokenizer", "pretrain_model", "evaluate_ptlm"}),
        ("mine", "alpaca_eval", {"make_world", "train_tokenizer", "pretrain_model", "train_judge"}),
        ("weak", "piqa, pandalm", WORLD),
    ],
)
def test_a_study_makes_of_the_generated_world_only_what_it_uses(folder, ptlm, benchmarks, made):
    file = folder / "my_study.yaml"
    file.write_text(STUDY.format(folder=folder, model=folder / "model", ptlm=ptlm, benchmarks=benchmarks))
    done = snakemake("--dry-run", "--cores", "2", "--config", f"study={file}")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = planned_jobs(done.stdout + done.stderr)
    del found["total"]
    assert found.keys() & WORLD == made
    if made >= {"pretrain_model"}:
        assert found["pretrain_model"] == (2 if made == WORLD else 1), "weak alone, and strong for the judge"
    study = load_configuration({"study": str(file)}, root=ROOT)
    assert count_all_jobs(study, list_runs(study)) == found
