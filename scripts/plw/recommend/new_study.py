"""`plw new`: a study file of one's own model and data, from what is seen of them."""

import json
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from plw.errors import InputError
from plw.files import write_text
from plw.recommend.hardware import Hardware, hardware_here
from plw.recommend.lengths import measure, open_file
from plw.recommend.paper import paper_answer
from plw.recommend.tokenizers import token_counter_of
from plw.study.configuration import load_configuration, read_yaml
from plw.study.design import is_task_file
from plw.study.hub import COMMIT, download, list_files
from plw.study.planning.machine import measure_speed
from plw.study.planning.plan import plan_study, plan_text
from plw.study.planning.processor import is_planned_so
from plw.study.pretrained import stored_tensors
from plw.study.rows import file_rows
from plw.study.runs import list_runs

DEMO = "demo"
DEMO_PTLMS = ("weak", "strong")
LARGE = 2e9  # weights from which the paper's settings for 7B are nearer than those of the study smol (0.1 to 0.4)
BYTES = {"float32": 4}  # of a weight as it is stored; all other types that models come in: 2
# Where no benchmark is named: one of each kind that costs little.
BENCHMARKS = ["arc_challenge", "piqa", "truthfulqa_gen"]
ON_PROCESSOR = {"processes": 1, "device": "cpu", "zero_stage": "none", "threads": 1}
EPOCHS, MICRO_BATCH, MICRO_BATCHES = 3, 4, 32  # of the paper: 128 rows an update (App. E.1)
UPDATES = 160  # the study smol's; where 128 rows an update make fewer, an update has fewer rows


def new_study(
    model: str,
    data: str,
    output: str,
    *,
    benchmarks: Sequence[str] = (),
    judge: str | None = None,
    plw: Sequence[float] = (),
    turns: str = "first",
    gpus: int | None = None,
    root: Path = Path(),
) -> str:
    """Write a study file, and return what was seen, what the study would cost and the command to run it.

    model       a folder, ORGANISATION/NAME[@COMMIT] on the Hub, or a ptlm of the demo (weak, strong)
    data        a file of instruction data
    benchmarks  JSONL files of questions, TASK.yaml=ROWS.jsonl for tasks of the harness, or names in
                config/benchmarks.yaml; none: three of those
    judge       a model, as above, or `demo`: then answers to AlpacaEval's instructions are judged
    plw         prompt loss weights; none: 0, the paper's for such data, and 1
    turns       of conversations: the first exchange, or all
    gpus        GPUs of a run; None: those of this machine
    Raises InputError where the file is there already, and for everything that a study would be refused for.
    """
    file = Path(output).expanduser()
    if file.suffix not in (".yaml", ".yml"):
        raise InputError("A study file ends in .yaml.", value=output, where="-o")
    if not all(0 <= weight <= 1 for weight in plw):
        raise InputError("A prompt loss weight lies between 0 and 1.", value=list(plw), where="--plw")
    if file.exists():
        raise InputError("The file is there already.", value=output, where="-o", hint="Name another, or remove it.")
    hardware = hardware_here(gpus=gpus)
    ptlm = _model(model, root, "--model")
    judged = None if judge is None else _model(judge, root, "--judge")
    if judged and judged["source"] is None and not ptlm["demo"]:
        hint = "Run the demo first, or name another model."
        raise InputError("The demo's judge is not made yet.", value=judge, where="--judge", hint=hint)
    seen = _data(data, ptlm["tokenizer"], turns)
    text = _text(
        file=output,
        base=_base(ptlm),
        ptlm=ptlm,
        seen=seen,
        benchmarks=[_benchmark(name, root) for name in benchmarks],
        judge=judged,
        plw=list(plw) or _weights(seen),
        hardware=hardware,
        gpus=hardware.gpus if gpus is None else gpus,
        data=_place(data, root),
    )
    study = _loaded(text, file.name, root)
    write_text(file, text)
    return "\n".join([
        f"{output}: {len(text.splitlines())} lines.",
        f"Seen: {seen['said']}; {ptlm['said']}; {hardware.name}.",
        _cost(study, root),
        f"Run it: snakemake --cores all --config study={output}",
    ])  # fmt: skip


def _place(path: str, root: Path) -> str:
    """A path as a study names it: from the project's folder where it lies there, else whole."""
    whole = Path(path).expanduser().resolve()
    return str(whole.relative_to(root.resolve())) if whole.is_relative_to(root.resolve()) else str(whole)


def _model(model: str, root: Path, flag: str) -> dict[str, Any]:
    """{name, label, source (None: the base's own), parameters (None: unknown), tokenizer (that counts), said, demo}."""
    made = {"--judge": {DEMO: "judge_model"}}.get(flag, {name: f"ptlms/{name}" for name in DEMO_PTLMS})
    if model in made:
        place = f"results/{DEMO}/world/{made[model]}"
        there = (root / place / "model.safetensors").is_file()
        said = f"the demo's {model}" + ("" if there else ", which has to be made first")
        found = {"name": model, "source": {"path": place} if there else None, "demo": True, "said": said}
        return found | {"label": model, "parameters": None, "tokenizer": str(root / place) if there else None}
    folder = Path(model).expanduser()
    if folder.is_dir():
        weights = sum(math.prod(tensor["shape"]) for tensor in stored_tensors(folder).values())
        label = folder.resolve().name
        found = {"name": _own(label), "label": label, "source": {"path": _place(model, root)}, "demo": False}
        return found | {"parameters": weights, "tokenizer": str(folder), "said": _size(label, weights)}
    repository, _, revision = model.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        hint = f"Give a folder with config.json and weights, ORGANISATION/NAME on the Hub, or {' or '.join(made)}."
        raise InputError("There is no such model.", value=model, where=flag, hint=hint)
    listing = list_files(repository, revision or "main", "model", where=flag)
    config = json.loads(download(listing, "config.json", where=flag).read_text(encoding="utf-8"))
    stored = sum(entry.size for name, entry in listing.files.items() if name.endswith(".safetensors"))
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    weights = stored / BYTES.get(dtype, 2) or None
    commit = listing.commit if COMMIT.fullmatch(listing.commit) else revision
    label = repository.split("/")[1]
    found = {"name": _own(label), "label": label, "source": {"hub": repository, "revision": commit}, "demo": False}
    said = _size(repository, weights) if weights else repository
    return found | {"parameters": weights, "tokenizer": None, "said": said}


def _size(name: str, weights: float) -> str:
    return f"{name} with {weights / 1e6:,.3g} million weights"


def _own(text: str) -> str:
    """A name of a study's entry (a-z, 0-9 and _) that no base has."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40]
    return name if name.startswith("my_") else f"my_{name or 'own'}"


def _data(file: str, tokenizer: str | None, turns: str) -> dict[str, Any]:
    """What is seen of the data: name, label, format, turns, rows, lengths (None without a tokenizer), ratio, said."""
    reading = open_file(file, turns=turns)
    report = reading.report
    lengths = measure(reading, report, count_tokens=token_counter_of(tokenizer))
    ratio, unit = lengths["ratio"], lengths["unit"]
    if not ratio:
        raise InputError("There is no ratio of completion to prompt to go by.", value=ratio, where=file)
    stem = Path(file).name.split(".")[0]
    loss = lengths["loss"]
    counted = {"rows": report.rows_kept, "prompt": round(loss["prompt"], 1), "completion": round(loss["completion"], 1)}
    side = "short" if ratio < 1 else "long"
    return {
        "name": _own(stem),
        "label": stem.replace("_", " "),
        "format": report.format,
        "turns": {} if turns == "first" else {"turns": turns},
        "rows": report.rows_kept,
        "ratio": ratio,
        "lengths": counted | {"sd": round(loss["sd"], 1)} if unit == "tokens" else None,
        "said": f"{report.rows_kept:,} rows, format {report.format}, R_g {ratio:.3g} in {unit}: {side} completions",
    }


def _weights(seen: dict) -> list[float]:
    """0, the paper's weight for data of this ratio (0.1 where it names none), and 1."""
    found = paper_answer(seen["ratio"], "all")["plw"]
    between = float(f"{found:.2g}") if found and 0 < found < 1 else 0.1
    return [0.0, between, 1.0]


def _base(ptlm: dict) -> str:
    if ptlm["demo"]:
        return DEMO
    return "paper" if (ptlm["parameters"] or 0) >= LARGE else "smol"


def _benchmark(given: str, root: Path) -> tuple[str, dict | None]:
    """Name and entry of a benchmark; no entry where the registry has it."""
    if given in read_yaml(root / "config" / "benchmarks.yaml"):
        return given, None
    task, _, rows = given.partition("=")
    if is_task_file(task):
        if not rows:
            hint = f"Say where its rows are: {task}=ROWS.jsonl"
            raise InputError("A task of the harness needs rows.", value=given, where="--benchmark", hint=hint)
        _there(task)
        text = re.sub(r"!function\s+", "", Path(task).expanduser().read_text(encoding="utf-8"))
        metrics = re.findall(r"metric:\s*([\w-]+)", text)
        metric = {"metric": metrics[0]} if metrics and metrics[0] != "acc" else {}
        label, entry = Path(task).stem, {"task": _place(task, root), **metric}
    else:
        rows = given
        label, entry = Path(rows).name.split(".")[0], {"task": "answers"}
        first = next((row.value for row in file_rows(_there(rows), rows)), None)
        if isinstance(first, dict) and "choices" in first:
            entry = {"task": "choices"}
    return _own(label), {"label": label.replace("_", " "), **entry, "source": {"path": _place(str(_there(rows)), root)}}


def _there(file: str) -> Path:
    path = Path(file).expanduser()
    if not path.is_file():
        hint = "A file of questions (JSON Lines), TASK.yaml=ROWS.jsonl, or a name in config/benchmarks.yaml."
        raise InputError("There is no such file.", value=file, where="--benchmark", hint=hint)
    return path


def _text(
    *,
    file: str,
    base: str,
    ptlm: dict,
    seen: dict,
    benchmarks: list[tuple[str, dict | None]],
    judge: dict | None,
    plw: list[float],
    hardware: Hardware,
    gpus: int,
    data: str,
) -> str:
    """The study file: fifteen lines at most."""
    name, dataset = ptlm["name"], seen["name"]
    own = {key: entry for key, entry in benchmarks if entry}
    asked = [*([key for key, _ in benchmarks] or BENCHMARKS), *(["alpaca_eval"] if judge else [])]
    evaluation: dict[str, Any] = {"benchmarks": asked}
    training: dict[str, Any] = {}
    if base != DEMO:
        training = {"processes": gpus, "device": "cuda"} if gpus else ON_PROCESSOR | {"compute_dtype": hardware.dtype}
        training = training | _windows(seen["rows"], max(gpus, 1))
    if base != DEMO and not gpus:
        evaluation |= {"batch_size": 8, "device": "cpu", "dtype": hardware.dtype, "threads": 1}
    plan: dict[str, Any] = {"lengths": {dataset: seen["lengths"]}} if seen["lengths"] else {}
    if base != DEMO and bool(gpus) == bool(hardware.gpus):
        rates = {"gpu_flops": hardware.flops, "gpu_bandwidth": hardware.bandwidth}
        plan |= {"gpu": hardware.name, **{key: float(f"{rate:.2g}") for key, rate in rates.items()}}
    lines = [
        f"# {seen['said']}.",
        f"# Run it with: snakemake --cores all --config study={file}",
        f"base: {base}  # what is not said here; config/README.md explains the keys",
    ]
    if ptlm["source"]:
        size = {"parameters": float(f"{ptlm['parameters']:.3g}")} if ptlm["parameters"] else {}
        lines.append(_line("ptlms", {name: {"label": ptlm["label"], **size, "source": ptlm["source"]}}))
    lines += [
        f"tokenizer_of: {name}  # counts Table 1 and R_g",
        _line(
            "datasets",
            {dataset: {"label": seen["label"], "source": {"path": data}, "format": seen["format"], **seen["turns"]}},
        ),
        _line("experiments", {"main": {"ptlms": [name], "datasets": [dataset], "plw": plw}}, "seeds: […] repeats runs"),
        "run_experiments: [main]",
        *([_line("training", training)] if training else []),
        _line("evaluation", evaluation),
    ]
    if own:
        lines.append(_line("benchmarks", own))
    if judge and judge["source"]:
        lines.append(_line("judges", {"alpaca_eval": {"source": judge["source"]}}))
    if plan:
        lines.append(_line("plan", plan, "what --dry-run computes the cost with"))
    return "\n".join(lines) + "\n"


def _windows(rows: int, processes: int) -> dict[str, Any]:
    """Fewer rows an update where the data are few, so that there are some UPDATES; the last ones of an epoch count."""
    each = rows * EPOCHS // (UPDATES * MICRO_BATCH)
    if each >= MICRO_BATCHES:
        return {}
    return {"micro_batches_per_update": max(processes, each), "last_window": "keep"}


def _line(key: str, value: dict, why: str = "") -> str:
    shown = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True).strip()
    return f"{key}: {shown}" + (f"  # {why}" if why else "")


def _loaded(text: str, name: str, root: Path) -> dict:
    """The study of this text; InputErrors for what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / name
        write_text(trial, text)
        return load_configuration({"study": str(trial)}, root=root)


def _cost(study: dict, root: Path) -> str:
    """The plan as a dry run prints it, on this machine."""
    import os

    cores = os.cpu_count() or 1
    printed = read_yaml(root / "config" / "paper_numbers.yaml")["table_1"]["rows"]
    speed = measure_speed(cores) if is_planned_so(study) else None
    return plan_text(plan_study(study, list_runs(study), printed, root, speed=speed, cores=cores), study)
