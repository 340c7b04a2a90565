"""One run from its row to its files: read, encode, train, save, record."""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig
from transformers.utils.logging import disable_progress_bar

from plw.data.encoded import SourcedExample, kept_examples, read_examples
from plw.data.tokenization import count_problems
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.files import write_json, write_text
from plw.models.checking import check_vocabulary
from plw.models.flags import use_threads
from plw.models.loading import end_texts, fit_embeddings, load_model, merged, save_model
from plw.parent import end_with_launcher
from plw.study.planning.fit import machine_memory, most_rows
from plw.study.planning.memory import shape_of
from plw.study.pretrained import load_pretrained
from plw.study.records.code import code_record, training_version
from plw.training import record as run_card
from plw.training.checkpoints import sole_user
from plw.training.fine_tuning import (
    FinishedTraining,
    TrainingInterrupted,
    discard_checkpoints,
    keep_rows_with_completion,
    make_plan,
    train,
    training_arguments,
)
from plw.training.launch import (
    check_devices,
    check_launch,
    ranks_leave_together,
    single_process_environment,
    world,
)
from plw.training.loss import check_plw, describe_loss
from plw.training.loss_log import read_loss
from plw.training.settings import TrainingSettings, apply_regularizer, read_settings
from plw.training.trainer import TrainingDiverged

ROW_KEYS = ("run", "ptlm", "dataset", "plw", "normalization", "regularizer", "strength", "seed")


def train_run(
    *,
    row: dict,
    training: dict,
    source: dict,
    instances_file: Path,
    model_folder: Path,
    loss_file: Path,
    record_file: Path,
    checkpoints: Path,
    encoded: Path | None = None,
    threads: int | None = None,
) -> None:
    """Train the run of `row` and write its model, loss.csv and run.json; resumes what was interrupted.

    encoded  folder where encoded rows are kept for other trainings (`plw.data.encoded`); None: they are not
    """
    started = time.perf_counter()
    code = code_record("train_model", training_version(training))  # that runs now, whatever is edited meanwhile
    check_launch(os.environ)
    row, settings = read_row(row, read_settings(training))
    device = check_devices(settings.device, visible=torch.cuda.device_count(), environment=os.environ)
    end_with_launcher(os.environ)
    use_threads(threads)
    disable_progress_bar()
    if settings.zero_stage is not None:
        os.environ.update(single_process_environment(os.environ))
        if device == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
    tokenizer = load_tokenizer(source, max_length=settings.max_length)
    new_tokens = prepare_tokenizer(tokenizer)
    encoding: dict[str, Any] = {
        "special_tokens": settings.special_tokens,
        "template": settings.template_loss_weight is not None,
    }
    rows: tuple[Any, ...] = (instances_file, tokenizer, settings.max_length)
    examples: Sequence[SourcedExample] = (
        read_examples(*rows, **encoding)
        if encoded is None
        else kept_examples(encoded, *rows, code=code["sum"], **encoding)
    )
    kept, lost = keep_rows_with_completion(examples, settings.on_lost_completion)
    if settings.physical_batch == "auto":
        longest = max(len(example.input_ids) for example in kept)
        settings = replace(settings, physical_batch=rows_at_once(settings, source, longest, device))
    plan = make_plan(kept, settings, plw=row["plw"], seed=row["seed"], pad_token_id=tokenizer.pad_token_id)

    def load():
        model = load_model(source)
        check_vocabulary(model, tokenizer, source, added=new_tokens)
        end_texts(model, tokenizer)
        return model, fit_embeddings(model, tokenizer)

    first = world()[0] == 0
    with (
        ranks_leave_together(TrainingInterrupted, TrainingDiverged),
        sole_user(checkpoints) if first else nullcontext(),
    ):
        arguments = training_arguments(settings, plan, folder=checkpoints, seed=row["seed"], device=device)
        meter = run_card.EnergyMeter(device)  # the arguments have chosen this rank's GPU
        identity = {key: row[key] for key in ROW_KEYS} | {"source": source}
        finished = train(
            settings=settings,
            arguments=arguments,
            plan=plan,
            load=load,
            ptlm=source,
            folder=checkpoints,
            identity=identity,
        )
        energy = meter.joules()
        if first:
            weights: dict[str, Any] = {"state_dict": finished.state_dict, "dtype": settings.save_dtype}
            save_model(model_folder, finished.model, tokenizer, **weights)
            write_text(loss_file, finished.loss_file.read_text(encoding="utf-8"))
            record = {
                **row,
                "training": settings.for_json(),
                "effective_loss": describe_effective_loss(row["plw"], settings),
                "source": source,
                "overridden": merged(tokenizer.overridden, finished.model.overridden),
                "rows": count_problems(examples) | {"kept": len(kept), "dropped": len(examples) - len(kept)},
                "lost_completion_rows": [examples[index].source_row for index in lost[:100]],
                **measure(finished, device),
                "weight_distance": asdict(finished.weight_distance) if finished.weight_distance else None,
                "energy_joules": energy,
                "seconds_in_all": time.perf_counter() - started,
                "code": code,
            }
            write_json(record_file, record)
            discard_checkpoints(checkpoints)


def rows_at_once(settings: TrainingSettings, source: dict, longest: int, device: str) -> int:
    """Return the physical batch that each rank's memory holds, by the law of plw.study.planning.memory.

    longest  tokens of the longest row. A logical micro-batch where the model's configuration names no sizes
    """
    shape = shape_of(load_pretrained(AutoConfig, source, "model").to_dict())
    if shape is None:
        return settings.micro_batch
    ranks, on_host = world()[1], device == "cpu"
    memory = machine_memory() / ranks if on_host else torch.cuda.get_device_properties(0).total_memory
    training = asdict(settings) | {"processes": ranks}
    return most_rows(shape, training, longest, on_host=on_host, memory=memory, frozen=settings.minkowski > 0)


def read_row(row: dict, settings: TrainingSettings) -> tuple[dict, TrainingSettings]:
    """Check a row of runs.csv (its values may be strings) and let it decide its own settings."""
    missing = [key for key in ("run", "plw", "seed") if key not in row]
    if missing:
        raise InputError("The run's row lacks keys.", value=missing, where="--run")
    row = dict.fromkeys(ROW_KEYS) | row
    try:
        row["plw"], row["seed"] = float(row["plw"]), int(row["seed"])
        row["strength"] = None if row["strength"] in (None, "") else float(row["strength"])
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("A number in the run's row is not one.", value=str(error), where="--run") from None
    check_plw(row["plw"])
    row["normalization"] = row["normalization"] or settings.normalization
    row["regularizer"] = row["regularizer"] or "none"
    own = read_settings(settings.for_json() | {"normalization": row["normalization"]}, where="--run")
    return row, apply_regularizer(own, row["regularizer"], row["strength"])


def describe_effective_loss(plw: float, settings: TrainingSettings) -> str:
    """The loss in words, with whatever a regulariser adds to it."""
    text = describe_loss(
        plw=plw,
        template_loss_weight=settings.template_loss_weight,
        completion_loss_weight=settings.completion_loss_weight,
        system_loss_weight=settings.system_loss_weight,
        earlier_completion_loss_weight=settings.earlier_completion_loss_weight,
        normalization=settings.normalization,
        unit=settings.normalization_unit,
        micro_batch=settings.micro_batch,
        micro_batches_per_update=settings.micro_batches_per_update,
    )
    if settings.label_smoothing:
        text += f" Cross-entropy with label smoothing {settings.label_smoothing!r} (share of the uniform distribution)."
    if settings.minkowski:
        text += f" Plus {settings.minkowski!r} x the mean over weight tensors of sum|theta - theta_0|."
    if settings.weight_decay:
        text += f" Decoupled weight decay {settings.weight_decay!r} (not on norms and biases)."
    if settings.attention_dropout:
        text += f" Dropout of attention weights {settings.attention_dropout!r}."
    return text


def measure(finished: FinishedTraining, device: str) -> dict:
    """What running it took, for run.json."""
    rows = read_loss(finished.loss_file)
    tokens, seconds = sum(row["tokens"] for row in rows), sum(row["seconds"] for row in rows)
    return {
        "updates": finished.updates,
        "tokens": int(tokens),
        "seconds_training": seconds,
        "tokens_per_second": tokens / seconds if seconds else None,
        "matrix_rate": matrix_rate(finished, seconds, device),
        "first_loss": rows[0]["loss"],
        "last_loss": rows[-1]["loss"],
        "empty_units": finished.empty_units,
        "resumed_from": finished.resumed_from,
        "processes": world()[1],
        "accumulation_steps": finished.steps_per_update,
        "out_of_memory": finished.halvings,
        "device": run_card.device_state(device),
        "peak_memory_bytes": run_card.peak_memory_bytes(device),
        "versions": run_card.versions(),
        "git": run_card.git_state(Path(__file__).parent),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def matrix_rate(finished: FinishedTraining, seconds: float, device: str) -> dict[str, float] | None:
    """How fast the machine multiplies float32 matrices, in operations a second, and shares of that during training.

    share_computed  of what the training multiplied with weight matrices
    share_of_tokens  as if each token went through all layers and the output layer: above `share_computed` by what was
                     left out. Both are of time on the clock, so low on a busy machine.
    None on a GPU, after a resume, and where a model has experts.
    """
    if device != "cpu" or finished.operations is None or not seconds:
        return None
    rate = run_card.measure_matrix_rate() * world()[1]
    computed, of_tokens = (operations / seconds / rate for operations in finished.operations)
    return {"operations_per_second": rate, "share_computed": computed, "share_of_tokens": of_tokens}
