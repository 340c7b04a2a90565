"""Peak memory of trainings beside what plw.study.planning.memory predicts, as a table.

Each case is a training of a few updates by the project's trainer in a process of its own (with several ranks, in one
each), of a LLaMA with random weights and sequences of one length. On a CPU the peak is that of all living tensors, from
what PyTorch's allocator reports to its profiler; with several ranks, whose exchange frees tensors in threads that the
profiler does not see, the growth of the largest rank's resident set after a training of a tiny model, with every large
block of memory given back when it is freed. Neither depends on time. On a GPU it is the allocator's.

    python benchmarks/bench_memory.py --output bench_memory.json
    python benchmarks/bench_memory.py --only "ZeRO" --only "vocabulary 128,000"
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from accelerate.state import AcceleratorState
from gpu.shapes import build, sequences
from gpu.trainings import PAD
from plw.files import write_json
from plw.study.planning.memory import shape_of, training_demand, training_of
from plw.training import zero
from plw.training.fine_tuning import make_plan, training_arguments
from plw.training.launch import single_process_environment
from plw.training.loss_log import LossLog
from plw.training.settings import apply_regularizer, read_settings
from plw.training.trainer import PromptLossTrainer

MODEL = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4,
         "vocab_size": 32000}  # fmt: skip
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 384}
BUCKET = 5_000_000  # elements of DeepSpeed's buffers: its own are larger than these models by far
USUAL = {"model": {}, "batch": 8, "length": 128, "steps": 2, "ranks": 1, "settings": {}, "minkowski": 0.0}


def cases() -> dict[str, dict]:
    """What is tried, by name: changes of the usual case, in each compute dtype where that matters."""
    found: dict[str, dict] = {}

    def add(name: str, *, dtypes=("float32", "bfloat16"), **changes) -> None:
        for dtype in dtypes:
            case = USUAL | changes
            case["settings"] = {"compute_dtype": dtype} | case["settings"]
            found[f"{name}, {dtype}"] = case

    add("the usual")
    add("hidden 256", model={"hidden_size": 256, "intermediate_size": 688})
    add("hidden 512", model={"hidden_size": 512, "intermediate_size": 1376}, dtypes=("float32",))
    add("12 layers, vocabulary 1,400", model={"num_hidden_layers": 12, "vocab_size": 1400})
    add("vocabulary 49,152, tied", model={"vocab_size": 49152, "tie_word_embeddings": True})
    add("vocabulary 128,000", model={"vocab_size": 128000})
    add("fewer keys and values", model={"num_key_value_heads": 2, "vocab_size": 8000})
    add("1 sequence", batch=1)
    add("32 sequences", batch=32, dtypes=("float32",))
    add("512 tokens", length=512, dtypes=("float32",))
    add("an update at once", steps=1)
    add("checkpointing", model={"num_hidden_layers": 8, "vocab_size": 8000}, settings={"gradient_checkpointing": True})
    add("Minkowski penalty", minkowski=1e-4, dtypes=("float32",))
    add("2 ranks", ranks=2, dtypes=("float32",))
    for stage in (0, 1, 2, 3):
        add(f"ZeRO {stage}, 2 ranks", ranks=2, settings={"zero_stage": stage})
    for stage in (1, 2, 3):
        add(f"ZeRO {stage}, 2 ranks, offload", ranks=2, settings={"zero_stage": stage, "offload": "cpu"},
            dtypes=("float32",))  # fmt: skip
    return found


def checked(case: dict):
    """The case's settings; its updates have `steps` physical batches on each rank."""
    settings = read_settings(
        {"epochs": 1, "learning_rate": 1e-5, "processes": case["ranks"], "physical_batch": case["batch"]}
        | {"micro_batch": case["batch"], "micro_batches_per_update": case["steps"] * case["ranks"]}
        | {"max_length": case["length"]}
        | case["settings"]
    )
    return apply_regularizer(settings, "minkowski", case["minkowski"]) if case["minkowski"] else settings


def predict(case: dict, device: str) -> float:
    """Peak bytes by the law; where the device is the machine, with what is offloaded into its memory."""
    training = training_of(
        asdict(checked(case)),
        rows=case["batch"],
        tokens=case["length"],
        on_host=device == "cpu",
        frozen_copy=bool(case["minkowski"]),
        bucket=BUCKET,
    )
    demand = training_demand(shape_of(MODEL | case["model"]), training)
    return demand.peak + (demand.held.host if device == "cpu" else 0)


def measure(case: dict, device: str) -> int:
    """Peak bytes of the case's training on this rank."""
    torch.set_num_threads(1)
    settings = checked(case)
    if settings.zero_stage is not None:
        os.environ.update(single_process_environment(os.environ))
        if device == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
    examples = examples_of(case)
    if device == "cuda":
        train(case, settings, examples, device)
        return torch.cuda.max_memory_allocated()
    if case["ranks"] > 1:
        small = {**case, "model": TINY, "batch": 1, "length": 8}  # loads what libraries load late
        train(small, checked(small), examples_of(small), device)
        AcceleratorState._reset_state()
        before = []
        train(case, settings, examples, device, begin=lambda: before.append(forget_peak()))
        return resident("VmHWM") - before[0]
    with torch.autograd.profiler.profile(profile_memory=True, use_kineto=True) as profile:
        train(case, settings, examples, device)
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    living = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        living += event.nbytes()
        peak = max(peak, living)
    return peak


def examples_of(case: dict) -> list:
    """Rows of two updates; of three with several ranks, since DDP lays out its buckets anew in the second."""
    updates = 2 if case["ranks"] == 1 else 3
    rows = case["batch"] * case["steps"] * case["ranks"] * updates
    half, vocabulary = case["length"] // 2, (MODEL | case["model"])["vocab_size"]
    return sequences(rows, prompt=half, completion=half, vocabulary=vocabulary)


def forget_peak() -> int:
    """Bytes of the resident set, whose peak counts from here on (proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(key: str) -> int:
    """A size of this process in bytes, from Linux's /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def train(case: dict, settings, examples, device: str, begin=lambda: None) -> None:
    """One training; `begin` is called when libraries and ranks are there, and the model is not."""
    zero.BUCKET_ELEMENTS = BUCKET
    plan = make_plan(examples, settings, plw=0.1, seed=0, pad_token_id=PAD)
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(settings, plan, folder=Path(folder), seed=0, device=device)
        if settings.zero_stage is not None:
            import deepspeed  # as in plw.training.fine_tuning: before the model is made

            deepspeed.init_distributed()
        begin()
        model = build("tiny", device, **(MODEL | case["model"]))
        log = LossLog(Path(folder) / "loss.csv", plan, monitor=True)
        trainer = PromptLossTrainer(model, arguments, plan=plan, callbacks=[log], minkowski=settings.minkowski)
        log.trainer = trainer
        trainer.train()
        trainer.output.remove()


def in_own_process(case: dict, device: str, *, start: Sequence[str] = (sys.executable,)) -> int:
    """The largest peak of the ranks; `start`: how a process without other ranks is started."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = list(start)
        if case["ranks"] > 1:
            launcher = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                f"--nproc_per_node={case['ranks']}",
                "--",
            ]
        command = [*launcher, __file__, "--case", json.dumps(case), "--device", device, "--output", folder]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"} if case["ranks"] > 1 else None
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SystemExit(done.stderr)
        return max(int(file.read_text()) for file in Path(folder).glob("rank-*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="cases whose name holds this; may be repeated")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        peak = measure(options.case, options.device)
        (options.output / f"rank-{os.environ.get('RANK', '0')}").write_text(str(peak))
        return
    found = {}
    print("| training | predicted, MB | measured, MB | predicted over measured |\n|---|---|---|---|")
    for name, case in cases().items():
        if options.only and not any(word in name for word in options.only):
            continue
        predicted, measured = predict(case, options.device), in_own_process(case, options.device)
        found[name] = {"predicted": predicted, "measured": measured, "ratio": predicted / measured, "case": case}
        print(f"| {name} | {predicted / 1e6:.0f} | {measured / 1e6:.0f} | {predicted / measured:.3f} |", flush=True)
    print(f"Largest error: {max(abs(one['ratio'] - 1) for one in found.values()):.1%} of {len(found)} cases")
    if options.output:
        write_json(options.output, {"device": options.device, "torch": torch.__version__, "cases": found})


if __name__ == "__main__":
    main()
