"""GPU hours of the jobs of a study, as a range: from published rates, or from those that a pilot measured.

The study's `plan` section gives the card and each rate as [slow, fast] with its source; `plan.measured` names the
rates.json of a pilot (scripts/report/compare_plan.py) or the gpu.json of `make test-gpu`, whose numbers take their
place where the file is there. Hours of a study that makes its own small models are a processor's
(plw.study.planning.processor).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from plw.study.planning.device import measured_value
from plw.study.planning.processor import (
    Amounts,
    evaluation_amounts,
    is_planned_so,
    judge_attempts,
    judging_amounts,
    mechanism_amounts,
    remaining_amounts,
    seconds_of,
    training_amounts,
    world_amounts,
)
from plw.study.planning.workload import (
    InferenceWork,
    Lengths,
    TrainingWork,
    benchmark_cost,
    benchmark_work,
    dataset_lengths,
    memorisation_prompts,
    memorisation_work,
    training_work,
    writing_steps,
)
from plw.study.runs import Run, benchmarks_of

TRAINING_FLOPS = 6  # per weight and token: 2 forward, 4 backward
RECOMPUTING_FLOPS = 8  # gradient checkpointing reads everything twice
READING_FLOPS = 2
BYTES_PER_WEIGHT = {"float32": 4, "bfloat16": 2}
CHECKPOINT_BYTES = 14  # float32 master weights, Adam's two moments, and the weights to start from in bfloat16
# Keys and values of one token in bfloat16 over the weights: LLaMA 7B's 2 × 2 bytes × 32 layers × 4096 over 6.74e9.
CACHE_BYTES_PER_WEIGHT = 2 * 2 * 32 * 4096 / 6.74e9
DEFAULT_JUDGE_BATCH = 32  # plw.evaluation.judge's own
SECONDS_PER_HOUR = 3600.0
NO_SECONDS = 1e-12  # a step's floor where the plan gives none


@dataclass(frozen=True)
class Span:
    """A number between `low` and `high`."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> "Span":
        return Span(self.low * factor, self.high * factor)

    @classmethod
    def of(cls, amount: float | tuple[float, float], rate: list[float]) -> "Span":
        """`amount` at a rate of [slow, fast]: least at the fast one."""
        low, high = amount if isinstance(amount, tuple) else (amount, amount)
        return cls(low / max(rate), high / min(rate))


class Cost:
    """What the jobs of a study take; every method returns a Span, or None where a size is not known.

    study    the study
    printed  `table_1.rows` of config/paper_numbers.yaml
    root     the project's folder, below which measured lengths and rates lie
    factor   how many times as long as `plan.processor` says this machine takes (plw.study.planning.machine)
    """

    def __init__(self, study: dict, printed: dict, root: Path = Path(), *, factor: float = 1.0):
        self.study, self.plan = study, study["plan"]
        names = dict.fromkeys(study["datasets"])
        self.lengths: dict[str, Lengths | None] = {name: dataset_lengths(study, name, printed, root) for name in names}
        self.measured = read_rates(root, self.plan.get("measured"))
        self.on_processor = is_planned_so(study)
        self._factor = factor
        self._evaluations: dict[tuple[str, tuple[str, ...]], Span | None] = {}
        self.work: dict[str, TrainingWork | None] = {
            name: training_work(lengths, study["training"]) if lengths else None
            for name, lengths in self.lengths.items()
        }

    @property
    def has_measured(self) -> bool:
        """Whether rates that were measured take the place of the plan's."""
        return "processor" in self.measured if self.on_processor else bool(self.measured)

    def _parameters(self, run: Run) -> float | None:
        """Weights of the run's ptlm; None where it is not said."""
        return self.study["ptlms"][run.ptlm].get("parameters")

    def training_seconds(self, run: Run) -> Span | None:
        """Wall time of one fine-tuning: start, updates, checkpoints, saving."""
        work, parameters, training = self.work[run.dataset], self._parameters(run), self.study["training"]
        if work is None:
            return None
        if self.on_processor:
            return self._taken("train_model", training_amounts(self.study, run, work))
        if (rate := self._measured_rate("training", run.ptlm, parameters, "tokens_per_second")) is not None:
            start = self.measured["training_start_seconds"]
            return Span.of(work.tokens, rate) + Span(min(start), max(start))
        if parameters is None:
            return None
        ranks = training["processes"]
        flops = RECOMPUTING_FLOPS if training.get("gradient_checkpointing") else TRAINING_FLOPS
        peak, shares = (self._assumed(key, parameters) for key in ("gpu_flops", "training_utilisation"))
        computing = Span.of(flops * parameters * work.computed / ranks, [peak * share for share in shares])
        # ZeRO-3 gathers bfloat16 weights for forward and backward and scatters gradients, at each step.
        moved = (3 if training.get("zero_stage") == 3 else 2) * 2 * parameters * (ranks - 1) / ranks
        moving = Span.of(work.steps * moved, self.plan["gpu_link"])
        # A backward pass launches about twice the kernels of a forward pass.
        launching = Span.of(3 * work.steps, [1 / seconds for seconds in self._step_seconds()])
        computing = Span(max(computing.low, launching.low), max(computing.high, launching.high))
        # At best it is hidden behind the arithmetic, at worst it comes on top.
        updating = Span(max(computing.low, moving.low), computing.high + moving.high)
        every = training.get("checkpoint_steps")
        written = (work.updates // every if every else 0) * CHECKPOINT_BYTES * parameters
        saved = BYTES_PER_WEIGHT[training.get("save_dtype", "float32")] * parameters
        return updating + Span.of(written + saved, self.plan["disk"]) + self._start(parameters)

    def training_hours(self, run: Run) -> Span | None:
        """GPU hours of one fine-tuning."""
        seconds = self.training_seconds(run)
        return seconds and seconds * (self.study["training"]["processes"] / SECONDS_PER_HOUR)

    def evaluation_hours(self, run: Run) -> Span | None:
        """GPU hours of measuring one run on its benchmarks."""
        if self.on_processor:
            evaluated = evaluation_amounts(self.study, run)
            return self._taken("evaluate_model", evaluated) * (1 / SECONDS_PER_HOUR) if evaluated else None
        names = tuple(benchmarks_of(run, self.study))
        if (run.ptlm, names) not in self._evaluations:  # a study has hundreds of runs of a few kinds
            self._evaluations[run.ptlm, names] = self._evaluation_hours(self._parameters(run), names)
        return self._evaluations[run.ptlm, names]

    def _evaluation_hours(self, parameters: float | None, names: tuple[str, ...]) -> Span | None:
        total = Span()
        for name in names:
            entry = self.study["benchmarks"][name]
            cost = benchmark_cost(entry)
            rate = self._measured_rate("evaluation", name, parameters, "items_per_second")
            if rate is not None and cost is not None:
                total += Span.of(cost["items"], rate)
                continue
            work = benchmark_work(entry, batch=self.study["evaluation"].get("batch_size", 1))
            if parameters is None or cost is None or work is None:
                return None
            total += self._inference(parameters, work, context=cost["prompt_tokens"])
        return (total + self._start(parameters or 0.0)) * (1 / SECONDS_PER_HOUR)

    def mechanism_hours(self, run: Run) -> Span | None:
        """GPU hours of a run's memorisation; none are held for a weight distance, which reads files."""
        parameters, lengths = self._parameters(run), self.lengths[run.dataset]
        if self.on_processor:
            amounts = mechanism_amounts(self.study, run, lengths) if "mechanism" in self.study else {}
            return self._taken("measure_mechanism", amounts) * (1 / SECONDS_PER_HOUR)
        prompts = memorisation_prompts(self.study, run, lengths)
        if not prompts:
            return Span()
        rate = self._measured_rate("mechanism", "memorisation", parameters, "items_per_second")
        if rate is not None:
            return Span.of(prompts, rate) * (1 / SECONDS_PER_HOUR)
        if parameters is None or lengths is None:
            return None
        seconds = self._inference(parameters, memorisation_work(self.study, run, lengths), context=lengths.prompt)
        reading = Span.of(2 * BYTES_PER_WEIGHT["bfloat16"] * parameters, self.plan["disk"])  # for the distance
        return (seconds + reading + self._start(parameters)) * (1 / SECONDS_PER_HOUR)

    def judging_hours(self, name: str, verdicts: int, batches: int) -> Span | None:
        """GPU hours of one judge: `verdicts` in all, in `batches` jobs that each load it."""
        if self.on_processor:
            amounts = judging_amounts(self.study, name, verdicts, batches)
            return self._taken("judge_outputs", amounts) * (1 / SECONDS_PER_HOUR)
        judge, cost = self.study["judges"][name], self.study["benchmarks"][name].get("cost")
        gpus = max(judge.get("gpus", 0), 1)  # without one its hours are a processor's
        parameters = judge.get("parameters") if judge.get("gpus", 0) else None  # the rates are a GPU's
        found = self.measured.get("judging", {}).get(name)
        if found is not None and found["source"] == judge["source"]:
            return Span.of(verdicts, found["items_per_second"]) * (gpus / SECONDS_PER_HOUR)
        if parameters is None or cost is None or "verdict_tokens" not in cost:
            return None
        read, written = cost["verdict_tokens"]
        batch = judge.get("batch_size", DEFAULT_JUDGE_BATCH)
        steps = writing_steps(verdicts, written, batch=batch, limit=judge["max_new_tokens"])
        rows = batch * judge.get("num_beams", 1)
        stored = self.plan.get("stored_parameters", {}).get(name, parameters)
        seconds = self._inference(parameters, InferenceWork(verdicts * read, (0, 0)), context=read)
        seconds += self._inference(stored, InferenceWork(0, steps), context=read, rows=rows)
        loading = self._start(stored) * (batches * gpus)
        return (seconds + loading) * (1 / SECONDS_PER_HOUR)

    def world_seconds(self, runs: list[Run]) -> dict[str, list[Span]]:
        """Seconds of each job that makes the study's world, by rule; a judge may need several attempts, and what it
        needed here was measured with it."""
        attempts = 1 if self.has_measured else judge_attempts(self.study)
        least, most = (world_amounts(self.study, runs, number) for number in (1, attempts))
        return {
            rule: [
                Span(self._taken(rule, low).low, self._taken(rule, high).high)
                for low, high in zip(least[rule], most[rule], strict=True)
            ]
            for rule in least
        }

    def remaining_seconds(self, runs: list[Run]) -> dict[str, list[Span]]:
        """Seconds of each job on data, scores, statistics, figures, tables, claims and report, by rule."""
        jobs = remaining_amounts(self.study, runs)
        return {rule: [self._taken(rule, amounts) for amounts in found] for rule, found in jobs.items()}

    def starting_seconds(self) -> Span:
        """Seconds in which nothing else runs: Snakemake reads the study, and the libraries are loaded once."""
        return self._taken("starting", {"starting": 1})

    def _taken(self, rule: str, amounts: Amounts) -> Span:
        """Seconds of a job on one core: as the study says, times what this machine takes, or took, for such jobs."""
        taken = self.measured.get("processor", {})
        factor = taken.get(rule, taken.get("all", self._factor))
        seconds = seconds_of(amounts, self.plan["processor"]["seconds"]) * factor
        return Span(seconds, seconds)

    def _inference(self, parameters: float, work: InferenceWork, *, context: float, rows: int | None = None) -> Span:
        """Seconds of one GPU: reading is bound by arithmetic, writing by moving weights and the rows' caches."""
        rows = rows or self.study["evaluation"].get("batch_size", 1)
        peak, bandwidth = (self._assumed(key, parameters) for key in ("gpu_flops", "gpu_bandwidth"))
        shares = self._assumed("reading_utilisation", parameters)
        reading = Span.of(READING_FLOPS * parameters * work.read, [peak * share for share in shares])
        moved = parameters * (BYTES_PER_WEIGHT["bfloat16"] + CACHE_BYTES_PER_WEIGHT * rows * context)
        shares = self._assumed("writing_utilisation", parameters)
        step = Span.of(moved, [bandwidth * share for share in shares])
        floor = self._step_seconds()
        step = Span(max(step.low, min(floor)), max(step.high, max(floor)))
        return reading + Span(work.steps[0] * step.low, work.steps[1] * step.high)

    def _assumed(self, key: str, parameters: float):
        """A value of the study's `plan` for a model of that size: what a card measured, or what the study assumes."""
        measured = measured_value(self.measured, key, parameters)
        return self.plan[key] if measured is None else measured

    def _step_seconds(self) -> list[float]:
        """What a forward pass takes at least, however small the model: launching its kernels."""
        return self.plan.get("step_seconds", [NO_SECONDS, NO_SECONDS])

    def _start(self, parameters: float) -> Span:
        """Seconds until a job works: libraries, and the weights from disk."""
        start = self.plan["start_seconds"]
        reading = Span.of(BYTES_PER_WEIGHT["bfloat16"] * parameters, self.plan["disk"])
        return Span(min(start), max(start)) + reading

    def _measured_rate(self, stage: str, name: str, parameters: float | None, key: str) -> list[float] | None:
        """The pilot's rate [slow, fast]; that of another model is scaled by the sizes, because work grows with them.

        None where the pilot measured no such thing, or on a model of which only one of the sizes is known.
        """
        rates = self.measured.get(stage, {})
        found = rates.get(name)
        if found is None and stage == "training":
            found = next((entry for entry in rates.values() if isinstance(entry, dict)), None)
        if found is None or bool(found["parameters"]) != bool(parameters):
            return None
        scale = found["parameters"] / parameters if parameters else 1.0
        return [value * scale for value in found[key]]


def read_rates(root: Path, name: str | None) -> dict:
    """The rates of a pilot or a card, or none where the file is not there."""
    try:
        return json.loads((root / name).read_text(encoding="utf-8")) if name else {}
    except (OSError, ValueError):
        return {}
