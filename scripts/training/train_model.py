"""Fine-tune one run of a study (§4.2): model, loss.csv and run.json.

One process:  python scripts/training/train_model.py …
Several:      torchrun --standalone --nproc_per_node N -- scripts/training/train_model.py …
(with the `--`, or torchrun takes --run for an abbreviation of its own --run-path).
Exit status 75: stopped by SIGTERM or SIGUSR1 after saving a checkpoint; the same call resumes.
"""

from plw.program import run_program

import argparse
import json
import signal
import sys
from pathlib import Path

from plw.models.flags import thread_flag
from plw.study.sources import source_argument
from plw.training.fine_tuning import STOP_SIGNALS, TrainingInterrupted
from plw.training.run import train_run
from plw.training.trainer import TrainingDiverged

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=json.loads, required=True, help="the run's row of runs.csv, as JSON")
    parser.add_argument("--training", type=json.loads, required=True, help="the study's training block, as JSON")
    parser.add_argument(
        "--ptlm", type=source_argument, required=True, help="the model: a folder, or its source as JSON"
    )
    parser.add_argument("--instances", type=Path, required=True, help="instances.jsonl to train on")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--loss", type=Path, required=True, help="loss.csv to write, one row per update")
    parser.add_argument("--run-json", type=Path, required=True, help="record of the run to write")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints while it runs")
    parser.add_argument("--encoded", type=Path, help="folder where encoded rows are kept for other trainings")
    thread_flag(parser)
    arguments = parser.parse_args(argv)
    try:
        train_run(
            row=arguments.run,
            training=arguments.training,
            source=arguments.ptlm,
            instances_file=arguments.instances,
            model_folder=arguments.model_dir,
            loss_file=arguments.loss,
            record_file=arguments.run_json,
            checkpoints=arguments.checkpoints,
            encoded=arguments.encoded,
            threads=arguments.threads,
        )
    except (TrainingInterrupted, TrainingDiverged) as stop:
        for number in STOP_SIGNALS:  # it stops: torchrun sends one more to ranks that are still here after the first
            signal.signal(number, signal.SIG_IGN)
        print(f"Error: {stop}", file=sys.stderr)
        raise SystemExit(TRY_AGAIN if isinstance(stop, TrainingInterrupted) else 1) from None


if __name__ == "__main__":
    run_program(main)
