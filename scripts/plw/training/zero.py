"""DeepSpeed's ZeRO: settings by stage, and each rank's own part of the weights (App. E.1).

The paper used FSDP full_shard, whose counterpart is ZeRO-3. Stages 1 to 3 partition the optimizer: stages 1 and 2 lay
the weights end to end and cut them once per rank, so that a part may begin in the middle of a tensor; stage 3 cuts
every tensor in as many equal parts, the last ones padded. Either way a part is a stretch of the flattened tensor, in
float32 whatever the compute dtype, and together the parts are the whole tensor.
"""

from dataclasses import dataclass
from typing import Any

import torch

from plw.study.planning.memory import BUCKET_ELEMENTS
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
        zero["reduce_bucket_size"] = BUCKET_ELEMENTS
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


@dataclass(frozen=True)
class WeightPart:
    """A stretch of one flattened weight tensor: elements `start` to `start + count`.

    parameter  the module's parameter;  engine  DeepSpeed's engine, or None: the part is the whole tensor
    """

    name: str
    parameter: torch.nn.Parameter
    start: int
    count: int
    engine: Any = None

    @property
    def shape(self) -> torch.Size:
        """Shape of the whole tensor."""
        return getattr(self.parameter, "ds_shape", self.parameter.shape)

    def weights(self) -> torch.Tensor:
        """Return the float32 weights [count], on the device where they are kept; not a copy where it can be helped."""
        if self.engine is None:
            return self.parameter.detach().reshape(-1)
        if hasattr(self.parameter, "ds_id"):
            from deepspeed.utils import safe_get_local_fp32_param  # heavy, and only there where DeepSpeed runs

            return safe_get_local_fp32_param(self.parameter).detach()[: self.count]
        return self.parameter._hp_mapping.get_hp_fragment().detach()

    def add_to_gradient(self, change: torch.Tensor) -> None:
        """Add float32 [n], n at most `count`, to the first n elements of the gradient that the next step will use.

        Call it between backward pass and step, on the last micro-batch of an update: only then do gradients of parts
        exist, averaged over ranks. Clipping sees them changed; with offloading, DeepSpeed took each part's norm as
        the gradient arrived, so it is taken again.
        """
        if hasattr(self.parameter, "ds_id"):
            from deepspeed.utils import safe_get_local_grad, safe_set_local_grad  # as above

            gradient = safe_get_local_grad(self.parameter)
            gradient[: len(change)] += change.to(gradient.device)
            safe_set_local_grad(self.parameter, gradient)
            return
        optimizer = self.engine.optimizer
        if optimizer.cpu_offload:
            from deepspeed.accelerator import get_accelerator  # as above

            get_accelerator().synchronize()  # gradients may still be on their way to the host
        gradient = self.parameter._hp_mapping.get_lp_grad_fragment(self.parameter._index_in_param_group)
        flat = gradient.view(-1)
        flat[: len(change)] += change.to(flat.device, flat.dtype)
        if optimizer.cpu_offload:
            optimizer.norm_for_param_grads[optimizer.get_param_id(self.parameter)] = flat.norm(2)


def is_partitioned(engine) -> bool:
    """Tell whether `engine` (None, or DeepSpeed's) keeps only a part of the float32 weights on each rank."""
    return engine is not None and bool(engine.zero_optimization())


def weight_parts(model: torch.nn.Module, engine=None) -> list[WeightPart]:
    """Return this rank's parts of the model's weights, tied ones once, in the model's order.

    engine  DeepSpeed's engine around the model; None, or one of stage 0: each part is a whole tensor
    """
    partitioned = is_partitioned(engine)
    parts = []
    for name, parameter in model.named_parameters():
        if not partitioned:
            parts.append(WeightPart(name, parameter, 0, parameter.numel()))
            continue
        if hasattr(parameter, "ds_id"):
            size = parameter.ds_tensor.ds_numel
            start = size * torch.distributed.get_rank(parameter.ds_process_group)
            count = min(size, parameter.ds_numel - start)
        elif parameter._hp_mapping is not None:
            address = parameter._hp_mapping.lp_fragment_address
            start, count = address.start, address.numel
        else:
            continue  # this tensor lies wholly on other ranks
        if count > 0:
            parts.append(WeightPart(name, parameter, start, count, engine))
    return parts
