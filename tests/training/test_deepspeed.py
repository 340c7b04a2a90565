"""DeepSpeed's ZeRO stages on the CPU: the same training as a plain loop, in one process and on two ranks."""

import subprocess

import psutil
import pytest
import torch
from plw.training.checkpoints import MARKER
from plw.training.deepspeed_config import deepspeed_config
from plw.training.settings import TrainingSettings
from training_runs import assert_equal_training, command, preloaded, reference, results, run, torchrun, wait_for


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_configuration_leaves_optimiser_and_schedule_to_the_trainer(stage):
    config = deepspeed_config(TrainingSettings(zero_stage=stage, device="cpu"))
    assert "optimizer" not in config and "scheduler" not in config
    assert config["zero_optimization"]["stage"] == stage
    assert config["bf16"]["enabled"] and config["data_types"]["grad_accum_dtype"] == "fp32"


def test_offload_moves_parameters_only_at_stage_three():
    zero = {
        stage: deepspeed_config(TrainingSettings(zero_stage=stage, offload="cpu"))["zero_optimization"]
        for stage in (0, 2, 3)
    }
    assert "offload_optimizer" not in zero[0]
    assert "offload_optimizer" in zero[2] and "offload_param" not in zero[2]
    assert "offload_optimizer" in zero[3] and "offload_param" in zero[3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "ranks", "extra"),
    [(0, 1, {}), (1, 1, {}), (2, 2, {}), (3, 2, {}), (2, 2, {"offload": "cpu"})],
    ids=["stage0", "stage1", "stage2-two-ranks", "stage3-two-ranks", "stage2-offload"],
)
def test_every_stage_gives_the_training_of_a_plain_loop(world, tmp_path, stage, ranks, extra):
    options = {"zero_stage": stage, "physical_batch": 3, "launcher": preloaded(ranks)} | extra
    subprocess.run(command(world, tmp_path, **options), check=True)
    found = results(tmp_path)
    assert found[2]["processes"] == ranks
    assert_equal_training(found, reference(world, plw=0.1))


@pytest.mark.slow
def test_bfloat16_under_deepspeed_keeps_float32_weights_and_scales(world, tmp_path):
    subprocess.run(
        command(world, tmp_path, zero_stage=2, physical_batch=3, compute_dtype="bfloat16", launcher=preloaded(2)),
        check=True,
    )
    rows, weights, _ = results(tmp_path)
    log, _ = reference(world, plw=0.1)
    assert [row["loss"] for row in rows] == pytest.approx([loss for loss, _, _ in log], rel=1e-2)
    assert weights.dtype == torch.float32 and not torch.equal(weights, weights.bfloat16().float())


@pytest.mark.slow
def test_two_killed_ranks_resume_where_their_checkpoint_stands(world, tmp_path):
    whole_rows, whole_weights, _ = run(world, tmp_path / "whole", epochs=8)
    options = {"zero_stage": 2, "physical_batch": 3, "epochs": 8, "checkpoint_steps": 2, "launcher": torchrun(2)}
    with subprocess.Popen(command(world, tmp_path, **options)) as process:
        wait_for(tmp_path / "checkpoints" / "checkpoint-4" / MARKER, process)
        for part in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            part.kill()
    subprocess.run(command(world, tmp_path, **options), check=True)
    rows, weights, record = results(tmp_path)
    assert record["resumed_from"] >= 4
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in whole_rows], rel=1e-4)
    assert torch.allclose(weights, whole_weights, atol=1e-4)
