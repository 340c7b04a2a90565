"""What runs again when a key of a study changes: `python tests/key_changes.py` writes docs/keys.md (`make keys`).

The jobs of a finished study and of the same study with one other value are compared as Snakemake compares them:
parameters, inputs, and whatever follows from a job that runs. One process builds all graphs.
"""

import copy
import functools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import snakemake.api
import snakemake.workflow
import yaml
from checkout import ROOT, copy_project
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

PAGE = ROOT / "docs" / "keys.md"
STUDY = {  # as few runs as there can be with every artifact
    "name": "keys",
    "base": "test",
    "ptlms": {"brought": {"label": "Brought", "source": {"path": "brought"}}},
    "datasets": {"few": {"label": "Few", "from": "plain", "subset": {"rows": 20}}},
    "experiments": {
        "main": {"ptlms": ["strong"], "datasets": ["short"], "plw": [0.0, 0.1, 1.0]},
        "regularizers": {"plw": [1.0], "regularizers": {"minkowski": None}},
        "datasets": {"ptlms": ["weak"], "datasets": ["dialog_short"], "plw": [0.0]},
        "ratios": {"datasets": ["plain", "tiny"], "plw": [0.0]},
        "draws": {"ptlms": ["weak"], "datasets": ["few"], "plw": [0.0]},
        "sizes": {"ptlms": ["weak"], "datasets": ["plain"], "plw": [0.0]},
    },
    "run_experiments": ["main", "regularizers", "datasets", "ratios", "draws", "sizes"],
}
# Where a key with a name in it (`*`) is changed, if not at the study's first entry of that kind that has the key.
PLACES = {
    "datasets.*": ("datasets", "plain"),
    "datasets.*.label": ("datasets", "short", "label"),
    "datasets.*.stands_for": ("datasets", "short", "stands_for"),
    "datasets.*.from": ("datasets", "short", "from"),
    "datasets.*.subset": ("datasets", "few", "subset"),
    "datasets.*.inversion": ("datasets", "tiny", "inversion"),
    "ptlms.*": ("ptlms", "strong"),
    "benchmarks.*": ("benchmarks", "piqa"),
    "judges.*": ("judges", "alpaca_eval"),
    "judges.*.reference": ("judges", "pandalm", "reference"),
    "experiments.*": ("experiments", "main"),
    "experiments.*.examples": ("experiments", "sizes", "examples"),
    "plan.lengths.*": ("plan", "lengths", "short"),
}
# Values of keys that the schema alone gives no other value for.
VALUES = {
    "name": "others",
    "description": "Another sentence.",
    "seeds": [43],
    "training.monitor_prompt_loss": 7,
    "training.physical_batch": 3,
    "ptlms.*.stands_for": "LLaMA 3",
    "ptlms.*.source": {"path": "brought"},
    "tokenizer_of": "weak",
    "statistics_tokenizer": {"path": "brought"},
    "datasets.*.stands_for": "AlpacaDataTiny",
    "datasets.*.source": {"path": "brought/rows.jsonl"},
    "datasets.*.from": "plain",
    "benchmarks.*.framework": None,  # another framework is another benchmark
    "benchmarks.*.task": "winogrande",
    "benchmarks.*.source": {"path": {"validation": "brought/rows.jsonl"}},
    "benchmarks.*.split": "test",
    "benchmarks.*.metric": "acc",
    "benchmarks.*.cost.verdict_tokens": [9, 9],
    "experiments.*.ptlms": ["strong", "weak"],
    "experiments.*.datasets": ["short", "plain"],
    "experiments.*.plw": [0.0, 0.1, 0.5, 1.0],
    "experiments.*.normalizations": ["sum_of_weights"],
    "experiments.*.examples": [20, "all"],
    "experiments.*.seeds": [42, 43],
    "experiments.*.benchmarks": ["piqa", "alpaca_eval", "pandalm", "truthfulqa_gen"],
    "run_experiments": ["main", "regularizers", "datasets", "ratios", "sizes"],
    "training.processes": 2,
    "training.zero_stage": 1,
    "evaluation.benchmarks": ["arc_challenge", "piqa", "winogrande", "alpaca_eval", "pandalm"],
    "evaluation.truthfulqa_preamble": "brought/rows.jsonl",
    "judges.*.source": {"path": "brought"},
    "judges.*.backend": None,  # with what each needs, below
    "judges.*.python": "other/python",
    "judges.*.server": "http://other:8000/v1",
    "judges.*.reference": {"ptlm": "strong", "dataset": "short", "plw": 0.0},
    "judges.*.prompt": "chatml",
    "judges.*.together": "ptlm",
    "judges.*.patterns": {"1": "one"},
    "judges.*.temperature": None,  # only 0 is allowed
    "statistics.squeeze_alternatives": ["eps:0.001"],
    "mechanism.memorisation.datasets": ["short", "plain"],
    "plan.measured": "elsewhere.json",
    "figures": {"colours": {"short": "#123456"}},
    "world": {"seed": 7},
}
ALONE = {  # more than one key at once, where one alone is refused
    "benchmarks.*.framework": {"benchmarks": {"pandalm": {"framework": "alpaca_eval", "metric": "win_rate"}}},
    "judges.*.backend": {
        "judges": {"alpaca_eval": {"backend": "openai_completions", "server": "http://other:8000/v1"}}
    },
    "training.offload": {"training": {"offload": "cpu", "zero_stage": 2}},
}
FIXED = {"judges.*.temperature": "only 0 is allowed"}
# The stages of the table, each with its rules.
STAGES = {
    "world": ("make_world", "train_tokenizer", "pretrain_model", "train_judge"),
    "data": ("prepare_dataset", "describe_dataset"),
    "training": ("train_model",),
    "evaluation": ("evaluate_model", "evaluate_ptlm"),
    "judging": ("judge_outputs", "judge_ptlms"),
    "mechanism": ("measure_mechanism", "collect_mechanism"),
    "scores": ("list_runs", "collect_scores", "collect_items"),
    "statistics": ("fit_glmm", "check_regression", "fit_gam"),
    "claims": ("judge_claims",),
    "figures, tables": ("draw_", "make_table_"),
    "report": ("write_study", "compare_plan", "check_showing", "build_report"),
}
# A job: its rule, its parameters, its inputs; by its first output.
Jobs = dict[str, tuple[str, frozenset, tuple[str, ...]]]


def schema() -> dict:
    """The schema of a study."""
    return yaml.safe_load((ROOT / "workflow/schemas/study.schema.yaml").read_text(encoding="utf-8"))


def keys() -> dict[str, dict]:
    """Every key that holds a value, by its path with `*` for a name, with its part of the schema."""
    whole = schema()
    return {".".join(path): node for path, node in _leaves(whole, whole["$defs"], ())}


def _leaves(node: dict, shared: dict, path: tuple) -> Iterator[tuple[tuple, dict]]:
    name = node.get("$ref", "").rpartition("/")[2]
    node = {**shared.get(name, {}), **{key: value for key, value in node.items() if key != "$ref"}}
    others = node.get("additionalProperties")
    if name == "source" or (path and not node.get("properties") and not _is_registry(node)):
        yield path, node
    elif node.get("properties"):
        for key, below in node["properties"].items():
            yield from _leaves(below, shared, (*path, key))
    else:
        yield from _leaves(others, shared, (*path, "*"))


def _is_registry(node: dict) -> bool:
    return isinstance(node.get("additionalProperties"), dict) and node.get("type") == "object"


def change_of(key: str, node: dict, study: dict) -> dict:
    """A study's part in which this key alone has another value than in `study`."""
    if key in ALONE:
        return ALONE[key]
    place = _place(key, study)
    value = VALUES.get(key)
    if key not in VALUES:
        now = functools.reduce(lambda part, step: part.get(step, {}) if isinstance(part, dict) else {}, place, study)
        value = _another(node, None if now == {} else now)
    return functools.reduce(lambda below, step: {step: below}, reversed(place), value)


def _place(key: str, study: dict) -> tuple[str, ...]:
    fitting = [start for start in PLACES if key == start or key.startswith(f"{start}.")]
    if fitting:
        start = max(fitting, key=len)
        return (*PLACES[start], *(step for step in key[len(start) :].split(".") if step))
    if key.endswith(".*"):  # a number by name
        above = key.removesuffix(".*").split(".")
        part = functools.reduce(lambda part, step: part.get(step, {}), above, study)
        return (*above, next(iter(part), "alpaca_eval"))
    return tuple(key.split("."))


def _another(node: dict, now: object) -> object:
    """A value that the schema allows and that is not `now`."""
    kind = node.get("type")
    if "enum" in node:
        return next(value for value in node["enum"] if value != now)
    if kind == "boolean":
        return not now
    if kind in ("integer", ["integer", "null"]):
        return (
            int(now) - 1 if now is not None and now == node.get("maximum") else int(now or node.get("minimum", 1)) + 1
        )
    if kind == "number":
        least, most = (
            node.get("minimum", node.get("exclusiveMinimum", 0)),
            node.get("maximum", node.get("exclusiveMaximum")),
        )
        return round(((now or least) + (most if most is not None else 2 * (now or 1) + 1)) / 2, 6)
    if kind == "array" and node.get("minItems") == 2:
        return [0.123, 0.456]
    if kind == "array":
        return [0.2] if now != [0.2] else [0.3]
    return {"other": "value"} if kind == "object" else "another"


class Planner:
    """Plans studies in a copy of the project.

    folder  where the copy is made
    """

    def __init__(self, folder: Path):
        self.project = copy_project(folder)
        for name in ("config.json", "model.safetensors", "tokenizer.json", "rows.jsonl"):
            (folder / "brought").mkdir(exist_ok=True)
            (folder / "brought" / name).write_text("{}\n")
        # Rule files are the same for all studies: each is compiled once.
        snakemake.workflow.parse = _compiled(snakemake.workflow.parse)
        self.finished, self.study = self.jobs({}), self._resolved()

    def jobs(self, change: dict) -> Jobs:
        """All jobs of the study with a change."""
        file = self.project / "keys.yaml"
        file.write_text(yaml.safe_dump(_merged(STUDY, change)))
        with snakemake.api.SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            called = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(config={"study": str(file)}),
                snakefile=self.project / "Snakefile",
                workdir=self.project,
            )
            settings = DAGSettings(forceall=True)
            called.dag(settings)
            workflow = called._workflow
            workflow.dag_settings = settings
            workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
            workflow._build_dag()
            return {min(map(str, job.output)): _seen(job) for job in workflow.dag.jobs if job.output}

    def runs_again(self, change: dict) -> set[str]:
        """Rules whose jobs run again, or for the first time, after a change of the finished study."""
        now = self.jobs(change)
        again = {output for output, job in now.items() if self.finished.get(output) != job}
        made_by = {file: output for output, (_, _, _, files) in now.items() for file in files}
        while True:
            following = {
                output
                for output, (_, _, files, _) in now.items()
                if output not in again and any(made_by.get(file) in again for file in files)
            }
            if not following:
                return {now[output][0] for output in again}
            again |= following

    def _resolved(self) -> dict:
        from plw.study.configuration import load_configuration

        return load_configuration({"study": str(self.project / "keys.yaml")}, root=self.project)


def _seen(job) -> tuple[str, frozenset, tuple[str, ...], tuple[str, ...]]:
    """What Snakemake records of a job: rule, parameters, inputs; and its outputs."""
    inputs, outputs = (tuple(sorted(map(str, files))) for files in (job.input, job.output))
    return job.rule.name, frozenset(map(repr, job.non_derived_params)), inputs, outputs


def _merged(base: dict, change: dict) -> dict:
    merged = copy.deepcopy(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _compiled(parse):
    known: dict[str, tuple] = {}

    def parse_once(path, workflow, *, linemap, **options):
        name = path.get_path_or_uri(secret_free=False)
        if name not in known:
            lines: dict = {}
            known[name] = (*parse(path, workflow, linemap=lines, **options), lines)
        code, count, lines = known[name]
        linemap.update(lines)
        return code, count

    return parse_once


def plans(folder: Path) -> dict[str, set[str]]:
    """The stages that run again by key."""
    planner = Planner(folder)
    found = {}
    for key, node in keys().items():
        if key not in FIXED:
            found[key] = stages_of(planner.runs_again(change_of(key, node, planner.study)))
    return found


def stages_of(rules: set[str]) -> set[str]:
    """The table's stages of these rules."""
    return {stage for stage, starts in STAGES.items() if any(rule.startswith(starts) for rule in rules)}


def page(found: dict[str, set[str]]) -> str:
    """docs/keys.md."""
    described = keys()
    lines = [
        "# What runs again when a key changes",
        "",
        "Written by `make keys`: each key of a finished study (`*` stands for a name) was given another value, and the",
        "stages with jobs that run then are marked. A new PLW, seed, data set or benchmark repeats nothing of the runs",
        "that are there. The report is always written anew, because it says what was asked for. What only describes",
        "(labels, roles, a plan's assumptions, what a scheduler grants) prepares, trains, measures and judges nothing.",
        "",
        f"| key | {' | '.join(STAGES)} |",
        f"|---|{':-:|' * len(STAGES)}",
    ]
    for key in described:
        marks = ["●" if stage in found.get(key, ()) else "" for stage in STAGES]
        said = f"`{key}`" + (f" ({FIXED[key]})" if key in FIXED else "")
        lines.append(f"| {said} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "scripts"))
    with tempfile.TemporaryDirectory() as temporary:
        PAGE.write_text(page(plans(Path(temporary) / "project")), encoding="utf-8")
    print(PAGE)
