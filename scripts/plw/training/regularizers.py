"""Penalties on the weights (§5.3, App. E.5)."""

import torch

from plw.training.zero import weight_parts


class MinkowskiPenalty:
    """alpha × mean over weight tensors of sum|theta - theta_0|, the Minkowski distance of order 1.

    The mean is over tensors, not over elements, as the paper's weight distance (§5.3.2); rows that were
    added to the embeddings for new tokens are left out. Where every rank holds whole weights (no DeepSpeed, ZeRO 0 to
    2) it is part of the loss, and each rank keeps a copy of all starting weights. Where the weights themselves are
    partitioned (ZeRO 3) each rank keeps and adds its own part: the gradient is elementwise,
    alpha·sign(theta - theta_0) over the number of tensors, and needs no other rank's weights.

    model       the model with its starting weights
    alpha       strength, above 0; the paper does not print the one it used
    added_rows  rows appended to input and output embeddings
    engine      DeepSpeed's engine around the model, or None
    """

    def __init__(self, model, alpha: float, added_rows: int = 0, engine=None):
        embeddings = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
        self.alpha, self.partitioned = alpha, engine is not None and engine.zero_optimization_partition_weights()
        engine = engine if self.partitioned else None
        self.tensors = sum(1 for _ in model.parameters())
        self.pairs = []
        for part in weight_parts(model, engine):
            added = added_rows * part.shape[1:].numel() if id(part.parameter) in embeddings else 0
            kept = min(part.count, part.shape.numel() - added - part.start)
            if kept > 0:
                self.pairs.append((part, part.weights()[:kept].clone()))

    def in_loss(self) -> torch.Tensor:
        """Return the penalty as a float32 scalar with gradient; where every rank holds whole tensors."""
        total = 0.0
        for part, start in self.pairs:
            weights = part.parameter
            start = start.to(weights.device, weights.dtype).view(-1, *weights.shape[1:])
            total = total + (weights[: start.shape[0]] - start).abs().sum(dtype=torch.float32)
        return self.alpha * total / self.tensors

    @torch.no_grad()
    def of_parts(self) -> float:
        """Return this rank's share of the penalty; over all ranks the shares sum to it."""
        total = sum((part.weights()[: len(start)] - start).abs().sum().item() for part, start in self.pairs)
        return self.alpha * total / self.tensors

    @torch.no_grad()
    def add_to_gradients(self) -> None:
        """Add this rank's share of the penalty's gradient, once an update: see `WeightPart.add_to_gradient`."""
        for part, start in self.pairs:
            direction = (part.weights()[: len(start)] - start).sign_()
            part.add_to_gradient(direction.mul_(self.alpha / self.tensors))
