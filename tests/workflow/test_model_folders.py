"""Folders of models are looked at before the first job starts, the judges' as well as the ptlms'."""

import pytest
import yaml
from checkout import copy_project, snakemake
from odd_models import broken_model
from tiny import tiny_model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ptlm", "judge", "named"),
    [
        ("cut in the middle", None, ["ptlms.weak.source", "model.safetensors is cut"]),
        (None, "a missing shard", ["judges.alpaca_eval.source", "model-00002-of"]),
        (
            "a Git LFS pointer",
            "half a config.json",
            ["ptlms.weak.source", "pointer of Git LFS", "judges.alpaca_eval.source", "config.json is no JSON"],
        ),
    ],
)
def test_a_broken_folder_is_told_before_any_job_starts(tmp_path, ptlm, judge, named):
    checkout = copy_project(tmp_path / "checkout")
    for name, fault in {"weak": ptlm, "judge": judge}.items():
        folder = checkout / "mine" / name
        _ = broken_model(folder, fault) if fault else tiny_model(folder)
    study = {
        "base": "test",
        "ptlms": {"weak": {"source": {"path": "mine/weak"}}},
        "judges": {"alpaca_eval": {"source": {"path": "mine/judge"}}},
    }
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    done = snakemake("--cores", "1", "--config", "study=mine.yaml", folder=checkout)
    assert done.returncode != 0
    for words in named:
        assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list((checkout / "results").rglob("*.jsonl")) and not list((checkout / "results").rglob("run.json"))
