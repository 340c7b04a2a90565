"""A folder of results of the study smol_cpu with made-up numbers, as its finished runs would leave it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from checkout import ROOT
from plw.mechanism.collection import collect_mechanism
from plw.scores.items import item_table, write_items
from plw.sharing.finished import FinishedStudy
from plw.study.configuration import load_configuration
from plw.study.runs import Run, list_runs, run_row
from plw.training.loss_log import COLUMNS as LOSS_COLUMNS

SECRET = "a sentence of somebody's data set"  # stands for what must not be packed
STUDY = load_configuration({"study": "smol_cpu", "samples": "samples"}, root=ROOT)
DATASETS = ["alpaca_data_cleaned", "alpaca_data_short"]
UPDATES = 24


def runs_of(*seeds: int) -> list[Run]:
    """The study's runs with these seeds."""
    return [run for run in list_runs(STUDY) if run.seed in seeds]


def part_of(folder: Path, *seeds: int) -> FinishedStudy:
    """The runs of these seeds in a folder that `make_results` wrote, as `plw export --seeds` has them."""
    return FinishedStudy(folder, STUDY, runs_of(*seeds), seeds)


def make_results(folder: Path, runs: list[Run]) -> Path:
    """Write what these runs leave, texts among it, and the study's tables of them."""
    rng = np.random.default_rng(7)
    scores, items = [], []
    for run in runs:
        place = folder / "runs" / run.run
        (place / "benchmarks").mkdir(parents=True)
        lines = [
            f"{step},{rng.uniform(1, 3)!r},1e-4,{rng.uniform(0.2, 3)!r},3000,20.5,700,2.5,{rng.uniform(1, 3)!r}"
            for step in range(1, UPDATES + 1)
        ]
        (place / "loss.csv").write_text("\n".join([",".join(LOSS_COLUMNS), *lines]) + "\n")
        write(place / "run.json", record(run))
        sample = {"prompt": SECRET, "reference": SECRET, "output": SECRET}
        distance = {"mean_over_tensors": 180 + rng.uniform(), "mean_over_elements": 0.1, "tensors": 9, "elements": 99}
        memorised = {"bleu": 25 + rng.uniform(), "prompts": 24, "samples": [sample]}
        write(place / "mechanism.json", {"run": run.run, "weight_distance": distance, "memorisation": memorised})
        write(place / "evaluation.json", {"benchmarks": {}})
        for name, count in (("piqa", 60), ("truthfulqa_mc2", 30)):
            metric = STUDY["benchmarks"][name]["metric"]
            values = rng.integers(0, 2, count).astype(float)
            write(place / "benchmarks" / f"{name}.json", {"items": [{"text": SECRET}]})
            row = {key: value for key, value in run_row(run).items() if key != "experiments"}
            scores.append(
                {**row, "benchmark": name, "metric": metric, "score": values.mean(), "stderr": 0.06, "n": count}
            )
            items += [(run.run, name, index, value) for index, value in enumerate(values)]
    table = pd.DataFrame([run_row(run) for run in runs])
    found = {kind: sorted((folder / "runs").glob(f"*/{kind}")) for kind in ("mechanism.json", "loss.csv")}
    measures, windows = collect_mechanism(
        table, mechanisms=found["mechanism.json"], losses=found["loss.csv"], max_grad_norm=1.0
    )
    frames = {"scores": pd.DataFrame(scores), "mechanism": measures, "rsd_windows": windows}
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    write_items(folder / "items.parquet", item_table(items))
    for index, dataset in enumerate(DATASETS):
        (folder / "data" / dataset).mkdir(parents=True)
        (folder / "data" / dataset / "instances.jsonl").write_text(json.dumps({"output": SECRET}) + "\n")
        write(folder / "data" / dataset / "statistics.json", statistics(dataset, 5.0 - 4.9 * index))
    return folder


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def statistics(dataset: str, ratio: float) -> dict:
    """Counts of a data set with this R_g."""
    counted = {"mean": 20.0, "sd": 3.0, "total": 4000}
    return {
        "dataset": dataset,
        "tokenizer": {"path": "resources/smollm2_135m_instruct"},
        "rows": 200,
        "rows_inverted": 0,
        "tokens": dict.fromkeys(("instruction", "input", "output", "prompt"), counted),
        "total_tokens": 12000,
        "r_g": dict.fromkeys(("ratio_of_mean_tokens", "mean_of_token_ratios", "ratio_of_mean_characters"), ratio),
        "rows_without_prompt": 0,
    }


def record(run: Run) -> dict:
    """A run.json with what all runs share and what they do not."""
    return {
        "run": run.run,
        "plw": run.plw,
        "training": {"epochs": 2, "normalization": run.normalization},
        "effective_loss": f"Sum of weight x cross-entropy, divided by the {run.normalization}",
        "updates": UPDATES,
        "tokens": 71000,
        "seconds_in_all": 600.5,
        "device": {"type": "cpu", "model": None, "cpu": "a CPU", "threads": 1, "host": "here"},
        "versions": {"python": "3.11", "torch": "2.13", "transformers": "5.23"},
        "git": {"commit": "abc123", "dirty": False},
        "finished": f"2026-11-25T20:{10 + int(10 * run.plw)}:00+00:00",
    }
