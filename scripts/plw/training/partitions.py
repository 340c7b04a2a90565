"""Each rank's own part of the weights and of their gradients, where DeepSpeed partitions the optimizer (ZeRO 1 to 3).

Stages 1 and 2 lay the weights end to end and cut them once per rank, so that a part may begin in the middle of a
tensor; stage 3 cuts every tensor in as many equal parts, the last ones padded. Either way a part is a stretch of the
flattened tensor, in float32 whatever the compute dtype, and together the parts are the whole tensor.
"""

from dataclasses import dataclass
from typing import Any

import torch


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
