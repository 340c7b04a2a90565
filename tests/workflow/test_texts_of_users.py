"""Texts and file names that people choose reach the programs as they are written."""

import json

import pytest
import yaml
from checkout import copy_project, snakemake
from plw.errors import InputErrors
from plw.study.configuration import check_paths
from plw.study.parameters import as_json
from tiny import tiny_model

TEXT = "Costs $HOME `id` $(id) {x} {study} {} {{y}} 'q' \"d\" %s \\ & ; # !\nsecond line"
FOLDER = 'it\'s my $HOME "folder" `id` ;&'


@pytest.mark.parametrize("value", [TEXT, {"label": TEXT, "{key}": [{"a": '"{b}"'}, "\\{c}", 1, None]}, {}, []])
def test_a_parameter_is_json_of_the_same_value_and_holds_no_wildcard(value):
    text = as_json(value)
    assert json.loads(text) == value
    assert "{x}" not in text and "{b}" not in text


def test_names_that_snakemake_would_take_for_patterns_are_refused_with_their_key(tmp_path):
    (tmp_path / "a{b}.jsonl").write_text("{}")
    study = {
        "name": "odd",
        "evaluation": {"truthfulqa_preamble": "texts/{which}.txt"},
        "ptlms": {"weak": {"source": {"path": "models/{size}"}}, "far": {"source": {"hub": "a/b"}}},
        "datasets": {"folder": {"source": {"path": str(tmp_path)}}, "derived": {"from": "folder"}},
        "benchmarks": {"plain": {"source": {"path": {"test": "a {} file.jsonl"}}}},
        "judges": {},
    }
    with pytest.raises(InputErrors) as caught:
        check_paths(study, {"scores": "my{scores}.csv"}, tmp_path / "{project}")
    places = [error.where for error in caught.value.errors]
    assert places == [
        "the folder of the project",
        "config/config.yaml or --config, key scores",
        "study odd, key ptlms.weak.source",
        "study odd, key datasets.folder.source",
        "study odd, key evaluation.truthfulqa_preamble",
    ]


@pytest.mark.workflow
@pytest.mark.slow
def test_descriptions_labels_and_paths_full_of_shell_and_markup_pass_through_the_workflow(tmp_path):
    project = copy_project(tmp_path / FOLDER / "project")
    data = tmp_path / FOLDER / "my 'rows' $x.jsonl"
    rows = [{"instruction": f"Say {n} {{x}}", "input": "", "output": f"It is {n}, $HOME."} for n in range(30)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = tmp_path / FOLDER / "tokenizer of mine"
    study = {
        "base": "test",
        "name": "odd",
        "preload": False,
        "description": TEXT,
        "ptlms": {name: {"label": TEXT, "source": {"path": str(tokenizer)}} for name in ("weak", "strong")},
        "datasets": {
            "short": {"label": TEXT, "from": None, "inversion": None, "format": "alpaca", "source": {"path": str(data)}}
        },
        "experiments": {"main": {"description": TEXT}},
    }
    file = tmp_path / FOLDER / "my study.yaml"
    file.write_text(yaml.safe_dump(study))
    tiny_model(tokenizer)  # only its tokenizer is used
    planned = snakemake("--dry-run", "--config", f"study={file}", folder=project)
    assert planned.returncode == 0, planned.stdout[-3000:]
    made = [f"results/odd/{name}" for name in ("study.yaml", "runs.csv", "data/short/instances.jsonl")]
    done = snakemake("--cores", "1", "--config", f"study={file}", "--", *made, folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    written = yaml.safe_load((project / made[0]).read_text())
    assert written["description"] == written["ptlms"]["weak"]["label"] == written["datasets"]["short"]["label"] == TEXT
    kept = [json.loads(line) for line in (project / made[2]).read_text().splitlines()]
    assert [row["output"] for row in kept] == [row["output"] for row in rows]
