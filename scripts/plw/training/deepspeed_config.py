"""DeepSpeed's settings for a run, by ZeRO stage (App. E.1 used FSDP full_shard; ZeRO-3 is its counterpart)."""

from plw.training.settings import TrainingSettings


def prepare_deepspeed() -> None:
    """Keep DeepSpeed from compiling on the CPU; call it before transformers' training arguments are made.

    At its first start there it would compile an operator for tensor-parallel inference. That takes a compiler and
    minutes, waits for ever if such a compilation was once killed, and is never used in training. Looking for which
    operators could be compiled takes seconds, too.
    """
    import deepspeed.ops  # seconds to import, and only needed where a ZeRO stage is set
    from deepspeed.accelerator import get_accelerator

    if get_accelerator().device_name() == "cpu":
        deepspeed.ops.__compatible_ops__ = {}


def deepspeed_config(settings: TrainingSettings) -> dict:
    """Return DeepSpeed's configuration for `settings.zero_stage` (0-3), on CPU or GPU.

    Values that say "auto" are filled in by transformers from the training arguments. There is neither an
    "optimizer" nor a "scheduler" entry: the same AdamW and cosine schedule as without DeepSpeed are handed in
    (Alpaca's own DeepSpeed file has a linear schedule, which its paper's runs did not use).
    """
    stage = settings.zero_stage
    zero: dict = {"stage": stage}
    if stage in (1, 2, 3):
        zero |= {"overlap_comm": settings.device != "cpu", "contiguous_gradients": True}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True  # else a checkpoint holds no loadable weights
    if settings.offload == "cpu" and stage in (1, 2, 3):
        place = {"device": "cpu", "pin_memory": settings.device != "cpu"}
        zero["offload_optimizer"] = place
        if stage == 3:
            zero["offload_param"] = place
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": zero,
        # Autocast as without DeepSpeed. Its own "bf16" would round the weights before it copies them into the float32
        # masters. No "safe modules": DeepSpeed would exchange their gradients between ranks in bfloat16.
        "torch_autocast": {
            "enabled": settings.compute_dtype == "bfloat16",
            "dtype": "bfloat16",
            "lower_precision_safe_modules": [],
        },
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # PyTorch's fused AdamW also runs on offloaded state; no compiler
        "steps_per_print": 1_000_000_000,  # loss.csv is the log
    }
