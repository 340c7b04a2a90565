"""The cost of a study that makes its own small models, in processor time, before anything ran."""

import copy
import json
import re
from pathlib import Path

import pytest
from checkout import ROOT
from plw.report.comparison import processor_factors
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning import processor
from plw.study.planning.cost import Cost, Span
from plw.study.planning.machine import Speed, measure_speed
from plw.study.planning.plan import plan_study, plan_text
from plw.study.planning.workload import judgements
from plw.study.runs import batch_of, list_runs

PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]
NOWHERE = Path("/nowhere")

# What finished studies took on the quiet machine of `plan.processor`: wall seconds of the jobs of each timed rule, and
# of the whole call on its two cores. `test` ran twice there, for 56.4 and 54.2 seconds.
QUIET = {
    "test": {
        "whole": 55.3,
        "train_model": 14.1,
        "evaluate_model": 16.3,
        "measure_mechanism": 4.7,
        "judge_outputs": 6.3,
        "pretrain_model": 4.1,
        "train_judge": 2.7,
    },
    "generated": {
        "whole": 605.0,
        "train_model": 474.8,
        "evaluate_model": 224.2,
        "measure_mechanism": 34.6,
        "judge_outputs": 40.6,
        "pretrain_model": 234.9,
        "train_judge": 71.4,
    },
}


@pytest.fixture(params=["test", "generated"])
def study(request) -> dict:
    return load_configuration({"study": request.param}, root=ROOT)


def planned_seconds(study: dict, cost: Cost) -> dict[str, float]:
    """Seconds of all jobs of each timed rule, the judge trained once."""
    runs = list_runs(study)
    plan = plan_study(study, runs, PRINTED, NOWHERE)
    stages = {
        "training": "train_model",
        "evaluation": "evaluate_model",
        "mechanism": "measure_mechanism",
        "judging": "judge_outputs",
    }
    found = {rule: 3600 * plan["gpu_hours"][stage].low for stage, rule in stages.items()}
    return found | {
        rule: sum(span.low for span in cost.world_seconds(runs)[rule]) for rule in ("pretrain_model", "train_judge")
    }


def test_before_anything_ran_the_plan_is_within_a_fifth_of_what_a_quiet_run_took(study):
    """Of the whole study, and of each rule that takes a tenth of it or more."""
    quiet = QUIET[study["name"]]
    plan = plan_study(study, list_runs(study), PRINTED, NOWHERE, cores=2)
    assert plan["lengths"] == {"estimated"}
    assert plan["processor"]["seconds"].low == pytest.approx(quiet["whole"], rel=0.2)
    planned = planned_seconds(study, Cost(study, PRINTED, NOWHERE))
    for rule, seconds in planned.items():
        if quiet[rule] > 0.1 * sum(quiet[each] for each in planned):
            assert seconds == pytest.approx(quiet[rule], rel=0.2), rule
    assert sum(planned.values()) == pytest.approx(sum(quiet[rule] for rule in planned), rel=0.1)


def test_every_amount_of_work_has_its_seconds_and_no_other_is_named(study):
    runs = list_runs(study)
    cost = Cost(study, PRINTED, NOWHERE)
    of_jobs = [*processor.world_amounts(study, runs).values(), *processor.remaining_amounts(study, runs).values()]
    amounts = [work for jobs in of_jobs for work in jobs]
    for run in runs:
        amounts += [processor.training_amounts(study, run, cost.work[run.dataset])]
        amounts += [processor.evaluation_amounts(study, run)]
        amounts += [processor.mechanism_amounts(study, run, cost.lengths[run.dataset])]
    amounts += [processor.judging_amounts(study, name, 1, 1) for name in ("alpaca_eval", "pandalm")]
    named = {name for work in amounts for name in work} | {"starting"}
    assert named == set(study["plan"]["processor"]["seconds"])


def test_a_worlds_model_has_as_many_weights_as_planned(study):
    from plw_world.pretraining import Pretraining, new_model

    for name, settings in study["world"]["ptlms"].items():
        model = new_model(Pretraining.from_settings(settings), vocabulary=study["world"]["vocabulary"])
        assert processor.weights_of(study, name) == model.num_parameters()


def test_what_a_study_does_not_say_of_its_world_is_taken_as_the_world_takes_it():
    from plw_world.judge_training import JudgeTraining
    from plw_world.pretraining import Pretraining
    from plw_world.sizes import DEMO_SIZE

    assert {name: getattr(Pretraining(), name) for name in processor.SHAPE} == processor.SHAPE
    assert {name: getattr(JudgeTraining(), name) for name in processor.JUDGE} == processor.JUDGE
    assert {name: DEMO_SIZE[name] for name in processor.WORLD_SIZE} == processor.WORLD_SIZE
    rule = (ROOT / "workflow/rules/world.smk").read_text()
    assert re.search(r'WORLD.get\("vocabulary", (\d+)\)', rule)[1] == str(processor.VOCABULARY)


def test_a_slower_machine_takes_longer_and_a_busy_one_longer_on_the_clock(study):
    runs, unit = list_runs(study), study["plan"]["processor"]["unit"]
    base = plan_study(study, runs, PRINTED, NOWHERE, cores=2)
    slow = plan_study(study, runs, PRINTED, NOWHERE, speed=Speed(2 * unit, 8 * unit), cores=2)
    assert slow["processor"]["seconds"].low == pytest.approx(2 * base["processor"]["seconds"].low)
    assert slow["gpu_hours"]["training"].low == pytest.approx(2 * base["gpu_hours"]["training"].low)
    text = plan_text(slow, study)
    assert "times 2.00 by a trial on this machine" in text and "as busy as it is now" in text
    assert "as busy as it is now" not in plan_text(base, study)


def test_more_cores_take_less_time_until_one_chain_of_jobs_is_the_longest(study):
    runs = list_runs(study)
    seconds = [plan_study(study, runs, PRINTED, NOWHERE, cores=n)["processor"]["seconds"].low for n in (1, 2, 64, 128)]
    assert seconds[0] > seconds[1] > seconds[2] == seconds[3]


def test_a_study_with_another_model_or_on_a_gpu_is_not_planned_by_the_worlds_seconds(study):
    assert processor.is_planned_so(study)
    for change in ({"device": "cuda"}, {"device": "auto"}):
        assert not processor.is_planned_so({**study, "training": {**study["training"], **change}})
    other = copy.deepcopy(study)
    other["ptlms"]["strong"]["source"] = {"path": "models/mine"}
    assert not processor.is_planned_so(other)
    plan = plan_study(other, list_runs(other), PRINTED, NOWHERE)
    assert plan["processor"] is None and plan["gpu_hours"]["training"] is None


def test_a_benchmark_of_unknown_size_makes_its_hours_unknown(study):
    study = copy.deepcopy(study)
    del study["benchmarks"]["piqa"]["cost"]
    plan = plan_study(study, list_runs(study), PRINTED, NOWHERE)
    assert plan["gpu_hours"]["evaluation"] is None and plan["processor"]["seconds"] is None
    assert "Jobs: " not in plan_text(plan, study)


def test_what_jobs_took_here_takes_the_trials_place(study, tmp_path):
    """Each training three times as long as planned, all else twice: so does the next plan say."""
    runs = {run.run: run for run in list_runs(study)}
    cost = Cost(study, PRINTED, NOWHERE)
    jobs: dict[str, dict[str, float]] = {
        "train_model": {name: 3 * cost.training_seconds(run).low for name, run in runs.items()},
        "evaluate_model": {name: 7200 * cost.evaluation_hours(run).low for name, run in runs.items()},
        "train_judge": {"": 2 * cost.world_seconds(list(runs.values()))["train_judge"][0].low},
    }
    verdicts = {}
    for run in runs.values():
        for name, count in judgements(run, study).items():
            verdicts[name] = verdicts.get(name, 0) + count
    groups = list(dict.fromkeys(batch_of(run, {}) for run in runs.values()))
    jobs["judge_outputs"] = {
        f"{name}/{group}": 7200 * cost.judging_hours(name, count, len(groups)).low / len(groups)
        for name, count in verdicts.items()
        for group in groups
    }
    factors = processor_factors(cost, runs, verdicts, jobs)
    assert factors["train_model"] == pytest.approx(3)
    assert [factors[rule] for rule in ("evaluate_model", "train_judge", "judge_outputs")] == pytest.approx([2, 2, 2])
    assert 2 < factors["all"] < 3
    rates = tmp_path / study["plan"]["measured"].replace("{study}", study["name"])
    rates.parent.mkdir(parents=True)
    rates.write_text(json.dumps({"processor": factors}))
    before = plan_study(study, list(runs.values()), PRINTED, NOWHERE, cores=2)
    after = plan_study(study, list(runs.values()), PRINTED, tmp_path, speed=Speed(99.0, 99.0), cores=2)
    assert after["gpu_hours"]["training"].low == pytest.approx(3 * before["gpu_hours"]["training"].low)
    assert after["processor"]["hours"]["rest"].low == pytest.approx(
        factors["all"] * before["processor"]["hours"]["rest"].low
    )
    assert after["measured_rates"] and "as measured on this machine" in plan_text(after, study)


def test_a_judge_may_need_every_attempt_that_it_has():
    demo, test = (load_configuration({"study": name}, root=ROOT) for name in ("demo", "test"))
    for study, attempts in ((demo, 3), (test, 1)):
        (judge,) = Cost(study, PRINTED, NOWHERE).world_seconds(list_runs(study))["train_judge"]
        assert judge.high / judge.low == pytest.approx(attempts, rel=0.2)
        assert isinstance(judge, Span)


def test_this_machines_speed_is_measured_in_processor_time_and_on_the_clock():
    speed = measure_speed(2)
    assert speed is not None
    assert 0.01 < speed.processor < 20
    assert 0 < speed.share <= 1
