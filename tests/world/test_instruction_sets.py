"""What depends on the processor: PyTorch sums in another order with another instruction set, which the study pins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
# Last loss of PROGRAM: a third of the pretraining of the `test` study's `strong` ptlm, on one thread.
LAST_LOSS = {"default": 5.190923691, "avx2": 5.190923691, "avx512": 5.190923691}
# The sums inside matrix products are the BLAS library's: it takes the processor's own instructions whatever PyTorch is
# told. The whole pretraining, three times as long, ends at 3.41652966 with default and avx2, at 3.41652989 with avx512.
TOLERANCE = 1e-6
PROGRAM = """
import json, sys, torch
torch.set_num_threads(1)
from plw_world.files import world_files
from plw_world.pretraining import Pretraining, pretrain
from plw_world.sizes import TEST_SIZE
from plw_world.tokenizer import train_tokenizer
SIZE = {**TEST_SIZE, "documents": 600, "instructions": 1, "judge_train": 2, "judge_heldout": 2}
documents = [row["text"] for row in dict(world_files(seed=42, size=SIZE))["corpus.jsonl"]]
tokenizer = train_tokenizer(documents, vocabulary=1400, max_length=1024)
settings = Pretraining(hidden_size=48, layers=2, tokens=20_000, seed=2)
_, curve = pretrain(tokenizer([text + tokenizer.eos_token for text in documents])["input_ids"], settings,
                    vocabulary=len(tokenizer))
print(json.dumps([torch.backends.cpu.get_cpu_capability().lower(), [row["loss"] for row in curve]]))
"""


def losses(instruction_set: str) -> list[float]:
    """The pretraining's losses with this instruction set; skipped where the processor lacks it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "ATEN_CPU_CAPABILITY": instruction_set}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    used, found = json.loads(done.stdout)
    if used != instruction_set:
        pytest.skip(f"this processor has no {instruction_set}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("instruction_set", list(LAST_LOSS))
def test_pretraining_ends_at_the_loss_that_is_written_down_for_the_instruction_set(instruction_set):
    assert losses(instruction_set)[-1] == pytest.approx(LAST_LOSS[instruction_set], rel=TOLERANCE)


def test_a_runs_record_names_the_instruction_set():
    from plw.training.record import device_state

    assert device_state("cpu")["instruction_set"] == torch.backends.cpu.get_cpu_capability()
