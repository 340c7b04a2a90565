"""The cost of a study before it runs."""

import copy
import json
import random
from pathlib import Path
from statistics import fmean

import pytest
from plw.study.configuration import load_configuration, read_yaml
from plw.study.design import judgement_files
from plw.study.planning.batches import MOST_PADDING
from plw.study.planning.cost import Cost, Span
from plw.study.planning.plan import plan_study, plan_text
from plw.study.planning.scheduling import Runtimes, minutes
from plw.study.planning.workload import dataset_lengths, judgements, lognormal, longest_of, training_work
from plw.study.runs import list_runs

ROOT = Path(__file__).resolve().parents[2]
PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]


@pytest.fixture(scope="module")
def paper() -> dict:
    """The paper's study with the published rates, whatever a pilot may have measured in this folder."""
    study = load_configuration({"study": "paper"}, root=ROOT)
    del study["plan"]["measured"]
    return study


def run_on(study: dict, dataset: str, ptlm: str = "llama_1_7b"):
    """The first run of a ptlm on a data set."""
    return next(run for run in list_runs(study) if run.dataset == dataset and run.ptlm == ptlm)


# ------------------------------------------------------------------------------------------------------------ lengths


def test_rows_of_a_data_set_follow_from_the_printed_totals_and_means(paper):
    lengths = dataset_lengths(paper, "alpaca_data", PRINTED)
    assert lengths.rows == pytest.approx(52002, rel=1e-3)  # the published number of rows
    assert lengths.mean == pytest.approx(4376482 / 52002 + 45, rel=0.01)  # few rows reach the cut


def test_no_row_costs_more_than_the_cut(paper):
    lengths = dataset_lengths(paper, "ultrafeedback", PRINTED)
    assert max(lengths.quantile(share) for share in (0.5, 0.9, 0.999)) == paper["training"]["max_length"] == 512
    assert lengths.mean < 0.75 * (31075393 / lengths.rows + 45)  # 557 tokens a row uncut


def test_a_limit_shrinks_a_data_set_and_those_that_are_derived_from_it(paper):
    study = copy.deepcopy(paper)
    study["datasets"]["dolly"]["limit"] = 1000
    assert dataset_lengths(study, "dolly", PRINTED).rows == 1000
    assert dataset_lengths(study, "dolly_short", PRINTED).rows == 1000


@pytest.fixture
def unknown() -> dict:
    """A study on local rows of which nothing is said."""
    study = load_configuration({"study": "demo"}, root=ROOT)
    study["plan"] = {key: value for key, value in study["plan"].items() if key not in ("lengths", "processor")}
    return study


def test_local_rows_have_no_printed_length(unknown):
    demo = unknown
    names = {run.dataset for run in list_runs(demo)}
    assert {dataset_lengths(demo, name, PRINTED, Path("/nowhere")) for name in names} == {None}


def test_measured_lengths_take_the_printed_ones_place_and_keep_their_mean(paper, tmp_path):
    folder = tmp_path / "results/paper/data/dolly"
    folder.mkdir(parents=True)
    fields = {name: {"mean": 50.0, "sd": 60.0, "total": 0} for name in ("instruction", "input", "output")}
    (folder / "statistics.json").write_text(json.dumps({"tokens": fields}))
    preflight = {"rows": 700, "max_length": 512, "mean_prompt_tokens": 120.5, "mean_completion_tokens": 61.0}
    (folder / "preflight.json").write_text(json.dumps(preflight))
    lengths = dataset_lengths(paper, "dolly", PRINTED, tmp_path)
    assert lengths.origin == "measured" and lengths.rows == 700
    assert lengths.mean == pytest.approx(181.5, rel=0.01)
    (folder / "preflight.json").write_text(json.dumps(preflight | {"max_length": 1024}))
    assert dataset_lengths(paper, "dolly", PRINTED, tmp_path).origin == "printed"  # cut elsewhere: other lengths


def test_the_longest_of_a_batch_is_that_of_drawn_ones():
    draw = random.Random(1)
    quantile = lognormal(60, 45)
    drawn = [max(min(256, quantile(draw.random())) for _ in range(8)) for _ in range(4000)]
    assert longest_of(8, 60, spread=0.75, limit=256) == pytest.approx(fmean(drawn), rel=0.02)
    assert longest_of(1, 60, spread=0.75) == pytest.approx(60, rel=0.02)


def test_ranks_compute_the_longest_of_neighbours_in_the_sorted_update(paper):
    lengths, training = dataset_lengths(paper, "dolly", PRINTED), paper["training"]
    work = training_work(lengths, training)
    draw, update, at_once = random.Random(2), 128, 16
    computed = real = 0.0
    for _ in range(300):
        rows = sorted((lengths.quantile(draw.random()) for _ in range(update)), reverse=True)
        real += sum(rows)
        computed += sum(rows[start] * at_once for start in range(0, update, at_once))
    assert work.computed / work.tokens == pytest.approx(computed / real, rel=0.02)
    assert work.updates == 3 * (15011 // 128) and work.steps == work.updates * 128 // 16
    budget = training_work(lengths, training | {"tokens_per_batch": 2048})
    assert budget.tokens == work.tokens and budget.updates == work.updates
    assert 1 < budget.computed / budget.tokens < 1 / (1 - MOST_PADDING)
    assert budget.steps / budget.updates >= 128 * lengths.mean / (2048 * training["processes"])


# -------------------------------------------------------------------------------------------------------------- hours


def test_a_training_takes_at_least_its_arithmetic_at_the_fast_rate(paper):
    run = run_on(paper, "alpaca_data")
    work, plan = training_work(dataset_lengths(paper, run.dataset, PRINTED), paper["training"]), paper["plan"]
    arithmetic = 6 * 6.74e9 * work.computed / plan["gpu_flops"] / 3600
    hours = Cost(paper, PRINTED).training_hours(run)
    assert hours.low > arithmetic / max(plan["training_utilisation"])
    assert hours.high > arithmetic / min(plan["training_utilisation"])
    assert hours.low < hours.high


def test_recomputing_costs_and_fewer_checkpoints_save(paper):
    run = run_on(paper, "alpaca_data")

    def hours(**changes) -> Span:
        study = copy.deepcopy(paper)
        study["training"] |= changes
        return Cost(study, PRINTED).training_hours(run)

    assert hours(gradient_checkpointing=True).low > hours().low
    assert hours(checkpoint_steps=0).high < hours().high


def test_twice_the_batch_writes_in_fewer_hours_and_a_longer_text_in_more(paper):
    run = run_on(paper, "alpaca_data")

    def hours(batch: int, tokens: int) -> Span:
        study = copy.deepcopy(paper)
        study["evaluation"]["batch_size"] = batch
        study["benchmarks"]["wmt14_en_fr"]["cost"]["new_tokens"] = tokens
        return Cost(study, PRINTED).evaluation_hours(run)

    assert hours(16, 60).high < hours(8, 60).high < hours(8, 90).high


def test_memorisation_is_counted_for_the_data_sets_that_are_asked_only(paper):
    cost = Cost(paper, PRINTED)
    assert cost.mechanism_hours(run_on(paper, "alpaca_data")) == Span()
    assert cost.mechanism_hours(run_on(paper, "alpaca_data_short")).low > 0


def test_a_run_needs_one_verdict_of_alpaca_eval_and_two_of_pandalm_for_each_item(paper):
    assert judgements(list_runs(paper)[0], paper) == {"alpaca_eval": 805, "pandalm": 340}
    (reference,) = (run for run in list_runs(paper) if "pandalm" not in judgements(run, paper))
    assert (reference.ptlm, reference.dataset, reference.plw) == ("llama_2_7b", "alpaca_data", 0.0)


def test_a_pilots_rates_take_the_published_ones_place_and_grow_with_the_model(paper, tmp_path):
    study = copy.deepcopy(paper)
    study["plan"]["measured"] = "rates.json"
    rates = {
        "training": {"llama_2_7b": {"parameters": 6.74e9, "tokens_per_second": [10_000.0, 10_000.0]}},
        "training_start_seconds": [100.0, 100.0],
        "judging": {"pandalm": {"source": study["judges"]["pandalm"]["source"], "items_per_second": [2.0, 2.0]}},
    }
    (tmp_path / "rates.json").write_text(json.dumps(rates))
    cost = Cost(study, PRINTED, tmp_path)
    small, large = (run_on(study, "dolly", ptlm) for ptlm in ("llama_1_7b", "llama_3_8b"))
    tokens = training_work(cost.lengths["dolly"], study["training"]).tokens
    assert cost.training_seconds(small).low == pytest.approx(100 + tokens / 10_000)
    assert cost.training_seconds(large).low == pytest.approx(100 + tokens / 10_000 * 8.03 / 6.74)
    assert cost.judging_hours("pandalm", 7200, 3) == Span(1.0, 1.0)
    assert plan_study(study, list_runs(study), PRINTED, tmp_path)["measured_rates"] == "rates.json"
    assert Cost(study, PRINTED, tmp_path / "elsewhere").training_seconds(small).low != cost.training_seconds(small).low


# ------------------------------------------------------------------------------------------------------ the whole plan


def test_the_whole_paper_is_planned_with_every_experiment(paper):
    runs = list_runs(paper)
    plan = plan_study(paper, runs, PRINTED, Path("/nowhere"))
    assert plan["runs"] == len(runs) >= 270
    assert set(plan["experiments"]) == {"main", "regularizers", "datasets", "ratios", "losses"}
    assert sum(plan["experiments"].values()) > len(runs)  # some runs belong to two experiments
    total = sum(plan["gpu_hours"].values(), start=Span())
    assert total.low < 2650 < total.high  # the middle of an estimate by other means: 2,200 to 3,100
    of_experiments = [span for stages in plan["hours_by_experiment"].values() for span in stages.values()]
    assert sum(of_experiments, start=Span()).high == pytest.approx(total.high)
    text = plan_text(plan, paper)
    for said in (f"{len(runs)} runs", "GPU hours", "231,840", "two checkpoints", "mechanism", "assumed"):
        assert said in text


def test_two_checkpoints_lie_beside_the_model_while_it_trains(paper):
    disk = plan_study(paper, [run_on(paper, "dolly")], PRINTED)["disk_bytes"]["each_training"]
    assert disk == pytest.approx(6.74e9 * (2 * 14 + 2))  # 94 GB each


def test_what_is_not_known_is_not_invented(unknown):
    study = unknown
    plan = plan_study(study, list_runs(study), PRINTED, Path("/nowhere"))
    assert plan["gpu_hours"]["training"] is None and plan["tokens"] is None
    assert "GPU hours" not in plan_text(plan, study)


def test_the_jobs_that_are_counted_are_those_of_the_run_table(paper):
    runs = list_runs(paper)
    jobs = plan_study(paper, runs, PRINTED, Path("/nowhere"))["jobs"]
    assert jobs["train_model"] == jobs["evaluate_model"] == jobs["measure_mechanism"] == len(runs)
    assert jobs["judge_outputs"] == len(judgement_files(paper, runs))


def test_a_job_gets_the_time_of_its_plan_and_more_when_it_is_tried_again(paper):
    runs = {run.run: run for run in list_runs(paper)}
    runtimes = Runtimes(paper, runs, Cost(paper, PRINTED))
    short, long = run_on(paper, "dolly").run, run_on(paper, "ultrafeedback", "llama_3_8b").run
    assert runtimes.training(short, 1) < runtimes.training(long, 1)
    assert runtimes.training(long, 2) == 2 * runtimes.training(long, 1)
    assert 60 * runtimes.training(long, 1) > Cost(paper, PRINTED).training_seconds(runs[long]).high
    study = copy.deepcopy(paper)
    study["training"]["runtime_min"] = 77
    assert Runtimes(study, runs, Cost(study, PRINTED)).training(long, 3) == 231  # what the study grants decides
    assert minutes(None, None, 1) == 60
