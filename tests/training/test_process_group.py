"""Ranks part without waiting for each other for ever."""

import os
import subprocess
import sys

import pytest
from checkout import ROOT
from training_runs import command, preloaded

TOO_OFTEN = """
import sys, tempfile
import torch
from plw.training.process_group import free_reducer

for _ in range(200):
    store = f"file://{tempfile.mkdtemp(dir=sys.argv[1])}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 64))
    model(torch.randn(8, 64)).sum().backward()
    free_reducer(model)
    torch.distributed.destroy_process_group()
    del model
"""
HELD = """
import gc, os, sys
from torch.nn.parallel import DistributedDataParallel
sys.path.insert(0, os.environ["STAGE"])
import train_model
from plw.training import process_group

end = process_group._end

def look():
    found = [model for model in gc.get_objects() if type(model) is DistributedDataParallel]
    os.write(2, f"wrapped {len(found)}, held {sum(model.reducer is not None for model in found)}\\n".encode())
    end()

process_group._end = look
train_model.main()
"""


@pytest.mark.slow
def test_a_group_that_a_wrapped_model_outlives_ends_each_time(tmp_path):
    """Without free_reducer one end in ten to ninety never came."""
    program = tmp_path / "often.py"
    program.write_text(TOO_OFTEN)
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(program), str(tmp_path)], env=variables, timeout=120, check=True)


@pytest.mark.slow
def test_a_trained_model_does_not_hold_the_group_of_its_ranks_when_that_ends(world, tmp_path):
    program = tmp_path / "held.py"
    program.write_text(HELD)
    call = command(world, tmp_path, launcher=preloaded(2))
    call[len(preloaded(2))] = str(program)
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "STAGE": str(ROOT / "scripts/training")}
    done = subprocess.run(call, env=variables, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.count("wrapped 1, held 0\n") == 2, done.stderr
