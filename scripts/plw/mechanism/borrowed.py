"""A packed study (`plw.mechanism.packing`), run by run on a machine that is borrowed for minutes at a time.

Each run is trained, its mechanism measured and its multiple choice answered by the functions that the workflow's own
programs call, in the folder layout of the workflow. What is finished stands in a few small files, which are all that
has to come back, and all that has to be there to go on elsewhere:

runs.jsonl        one line a finished run: record (run.json), mechanism (mechanism.json), model (fingerprint), seconds
losses.csv        loss.csv of each, with the run's name in front
answers.jsonl.gz  log-likelihoods of each run's requests, by benchmark, in their order
progress.json     what is done, failed and left, why it stopped; the digest of the packed study; device and versions

A run counts once its line in runs.jsonl is there, which is written last.
"""

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from plw.errors import InputError
from plw.evaluation.shared_contexts import SharedContexts, make_requests
from plw.files import atomic_path, read_json, read_jsonl, write_json, write_jsonl, write_text
from plw.mechanism.measuring import measure_run
from plw.models.fingerprint import model_fingerprint
from plw.models.gguf import convert_gguf
from plw.models.loading import choose_device, load_model
from plw.training.fine_tuning import TrainingInterrupted
from plw.training.record import device_state, versions
from plw.training.run import train_run
from plw.training.trainer import TrainingDiverged

STUDY_FILE = "study.json"  # in the folder of inputs
RUNS, LOSSES, ANSWERS, PROGRESS = "runs.jsonl", "losses.csv", "answers.jsonl.gz", "progress.json"
STAGES = ("training", "mechanism", "answers")
NOT_HERE = {
    "scores": "the LM Evaluation Harness scores the answers where the results are taken",
    "texts and judges": "only multiple choice is answered",
}


class TimeOver(Exception):
    """The next stage would not end before the limit; what is done is kept."""


class Clock:
    """The time that is left, and how long each stage took at most.

    seconds  from now;  took  seconds of finished runs by stage, of this call and those before it
    """

    def __init__(self, seconds: float, took: list[dict]):
        self._end = time.monotonic() + seconds
        self._begun = False
        self._longest = {stage: max((one[stage] for one in took), default=0.0) for stage in STAGES}

    def left(self) -> float:
        return self._end - time.monotonic()

    def begin(self, stage: str) -> float:
        """Start of a stage; TimeOver if it may not end in time. The first of a call always begins: else one that takes
        longer than a call would never do, and a training goes on where its checkpoint stands."""
        if self.left() <= 0:
            raise TimeOver(f"the time was over before its {stage}")
        if self._begun and self.left() <= self._longest[stage]:
            raise TimeOver(f"{stage} takes up to {self._longest[stage]:.0f} s, and {self.left():.0f} s are left")
        self._begun = True
        return time.monotonic()

    def end(self, stage: str, began: float) -> float:
        seconds = time.monotonic() - began
        self._longest[stage] = max(self._longest[stage], seconds)
        return seconds

    @contextmanager
    def stops_training(self) -> Iterator[None]:
        """At the limit, tell a training to save a checkpoint and stop, as Slurm does: by SIGUSR1."""
        over = threading.Event()

        def watch() -> None:
            wait = max(self.left(), 0)
            while not over.wait(wait):
                os.kill(os.getpid(), signal.SIGUSR1)  # again and again: before its loop a training does not listen
                wait = 0.5

        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            signal.signal(signal.SIGUSR1, before)


class Results:
    """The few files that come back, read from `folder` if a call before wrote them."""

    def __init__(self, folder: Path, packed: dict):
        self.folder, self.digest = folder, work_digest(packed)
        self.runs: dict[str, dict] = {}
        self.failed: dict[str, str] = {}
        self._losses: dict[str, str] = {}
        self._answers: dict[str, dict] = {}
        if not (folder / PROGRESS).is_file():
            return
        progress = read_json(folder / PROGRESS)
        if progress["digest"] != self.digest:
            raise InputError(
                "These results belong to another study, or to other inputs.",
                value=progress["study"],
                where=str(folder),
                hint="Name another folder for the results, or the inputs that they were made with.",
            )
        self.failed = progress["failed"]
        self.runs, self._losses, self._answers = read_results(folder)

    def add(self, run: str, line: dict, *, losses: str, answers: dict) -> None:
        """One more finished run."""
        self._losses[run], self._answers[run] = losses, answers
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps({"run": name, "answers": found}, separators=(",", ":")) for name, found in self._answers.items()
        ]
        with atomic_path(self.folder / ANSWERS) as file:
            file.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
        write_text(self.folder / LOSSES, _join_losses(self._losses))
        self.runs[run] = line
        write_jsonl(self.folder / RUNS, self.runs.values())


def read_results(folder: Path) -> tuple[dict[str, dict], dict[str, str], dict[str, dict]]:
    """(lines of runs.jsonl, text of loss.csv, answers by benchmark), each by run, of finished runs alone."""
    if not (folder / RUNS).is_file():
        return {}, {}, {}
    runs = {line["run"]: line for line in read_jsonl(folder / RUNS)}
    rows: dict[str, list[dict]] = {}
    with open(folder / LOSSES, encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            rows.setdefault(row.pop("run"), []).append(row)
        columns = [name for name in reader.fieldnames or [] if name != "run"]
    losses = {}
    for run in runs:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[run])
        losses[run] = text.getvalue()
    with gzip.open(folder / ANSWERS, "rt", encoding="utf-8") as stream:
        answers = {line["run"]: line["answers"] for line in map(json.loads, stream)}
    return runs, losses, {run: answers[run] for run in runs}


def _join_losses(losses: dict[str, str]) -> str:
    """The loss curves of all runs as one table, cells as they are."""
    lines: list[str] = []
    for run, text in losses.items():
        head, *rows = text.splitlines()
        lines = lines or [f"run,{head}"]
        lines += [f"{run},{row}" for row in rows]
    return "\n".join(lines) + "\n"


def sha256_of(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def work_digest(packed: dict) -> str:
    """What tells two packed studies apart: all but the commit and the inputs' own files."""
    told = {key: value for key, value in packed.items() if key not in ("packed_at", "files")}
    told["data"] = {name: packed["files"][entry["file"]] for name, entry in packed["datasets"].items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def run_packed(
    inputs: Path,
    results: Path,
    work: Path,
    *,
    seconds: float,
    share: tuple[int, int] = (1, 1),
    threads: int | None = None,
    say: Callable[[str], None] = print,
) -> dict:
    """Work through the packed study in `inputs` until it is done or `seconds` are over; returns progress.json.

    results  folder of the few files that come back; what an earlier call finished is taken from there
    work     folder for models and checkpoints; where it is lost, the run at work begins anew
    share    (k, n): every n-th run from the k-th on, for n processes that share a device, each with its own folders
    threads  CPU threads; None leaves them as they are
    """
    packed = read_json(inputs / STUDY_FILE)
    first, step = share
    runs = packed["runs"][first - 1 :: step]
    _check_inputs(inputs, packed)
    done = Results(results, packed)
    _unpack(inputs, work, packed)
    clock = Clock(seconds, [line["seconds"] for line in done.runs.values()])
    stopped = None
    with _inside(work):
        for run in runs:
            name = run["row"]["run"]
            if name in done.runs or name in done.failed:
                continue
            try:
                _do_run(run, packed, inputs, clock, done, threads)
                say(f"{len(done.runs)} of {len(runs)}: {name}, {_words(done.runs[name]['seconds'])}")
            except TrainingDiverged as error:
                done.failed[name] = str(error)
                say(f"failed: {name}: {error}")
            except (TimeOver, TrainingInterrupted) as error:
                stopped = f"{name}: {error}"
                break
    progress = {
        "study": packed["study"],
        "digest": done.digest,
        "packed_at": packed["packed_at"],
        "done": list(done.runs),
        "failed": done.failed,
        "left": [run["row"]["run"] for run in runs if run["row"]["run"] not in {*done.runs, *done.failed}],
        "stopped": stopped,
        "seconds": {s: round(sum(line["seconds"][s] for line in done.runs.values()), 1) for s in STAGES},
        "device": device_state(choose_device("auto")),
        "versions": versions(),
        "not_done_here": NOT_HERE,
        "training": packed["training"],
        "benchmarks": {
            name: {key: entry[key] for key in ("digest", "truncated", "requests")}
            for name, entry in packed["benchmarks"].items()
        },
        "instances": {name: packed["files"][entry["file"]] for name, entry in packed["datasets"].items()},
    }
    write_json(results / PROGRESS, progress)
    say(stopped or "Nothing is left to do.")
    return progress


def _words(seconds: dict[str, float]) -> str:
    return ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())


def _check_inputs(inputs: Path, packed: dict) -> None:
    for name, expected in packed["files"].items():
        if not (inputs / name).is_file() or sha256_of(inputs / name) != expected:
            hint = "Copy the folder of inputs again."
            raise InputError("An input is missing or damaged.", value=name, where=str(inputs), hint=hint)


def _unpack(inputs: Path, work: Path, packed: dict) -> None:
    """Models and instances where the workflow would have them, below `work`."""
    for path, entry in packed["models"].items():
        target = work / path
        if (target / "config.json").is_file():
            continue
        if "folder" in entry:
            shutil.copytree(inputs / entry["folder"], target, dirs_exist_ok=True)
            continue
        if str(inputs / "packages") not in sys.path:
            sys.path.append(str(inputs / "packages"))  # behind an installed one
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        convert_gguf(inputs / entry["gguf"], target)
    for entry in packed["datasets"].values():
        (work / entry["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(inputs / entry["file"], work / entry["path"])


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Paths of the study hold in `folder`, as they do in the project's own."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _do_run(run: dict, packed: dict, inputs: Path, clock: Clock, done: Results, threads: int | None) -> None:
    """All stages of one run that are not done; what is done stands in its folder."""
    row, name = run["row"], run["row"]["run"]
    folder = Path("results") / packed["study"] / "runs" / name
    model, instances = folder / "model", Path(packed["datasets"][row["dataset"]]["path"])
    times_file = folder / "seconds.json"
    times: dict[str, float] = read_json(times_file) if times_file.is_file() else {}

    def stage(which: str, work: Callable[[], object], *, stoppable: bool = False) -> None:
        if which in times:
            return
        began = clock.begin(which)
        with clock.stops_training() if stoppable else nullcontext():
            work()
        times[which] = round(clock.end(which, began), 3)
        write_json(times_file, times)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    stage(
        "training",
        lambda: train_run(
            row=row,
            training=packed["training"],
            source=run["ptlm"],
            instances_file=instances,
            model_folder=model,
            loss_file=folder / "loss.csv",
            record_file=folder / "run.json",
            checkpoints=Path("results") / packed["study"] / "checkpoints" / name,
            threads=threads,
        ),
        stoppable=True,
    )
    stage(
        "mechanism",
        lambda: write_json(
            folder / "mechanism.json",
            measure_run(
                name, model, run["ptlm"], instances, settings=run["mechanism"], evaluation=packed["evaluation"]
            ),
        ),
    )
    stage("answers", lambda: write_json(folder / "answers.json", answer_requests(run, packed, inputs, model)))
    line = {
        "run": name,
        "record": read_json(folder / "run.json"),
        "mechanism": read_json(folder / "mechanism.json"),
        "model": model_fingerprint({"path": str(model)}),
        "seconds": times,
    }
    losses = (folder / "loss.csv").read_text(encoding="utf-8")
    done.add(name, line, losses=losses, answers=read_json(folder / "answers.json"))
    shutil.rmtree(folder)


def answer_requests(run: dict, packed: dict, inputs: Path, folder: Path) -> dict[str, list]:
    """[log-likelihood, greedy] of each request of the run's benchmarks, by benchmark, by the model in `folder`."""
    evaluation = packed["evaluation"]
    model = load_model({"path": str(folder)}, dtype=evaluation.get("dtype", "float32"))
    model = model.to(choose_device(evaluation.get("device", "auto"))).eval()
    contexts = SharedContexts(model, batch_size=evaluation.get("batch_size", 16))
    found = {}
    for name in run["benchmarks"]:
        with gzip.open(inputs / packed["benchmarks"][name]["file"], "rt", encoding="utf-8") as stream:
            tokens, continuations = json.load(stream)
        found[name] = [list(answer) for answer in contexts.score(make_requests(tokens, continuations))]
    return found
