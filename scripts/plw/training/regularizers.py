"""Penalties on the weights (§5.3, App. E.5)."""

import torch

from plw.training.zero import is_partitioned, weight_parts


class MinkowskiPenalty:
    """alpha × mean over weight tensors of sum|theta - theta_0|, the Minkowski distance of order 1.

    The mean is over tensors, not over elements, as the paper's weight distance (protocol §6.6); rows that were
    added to the embeddings for new tokens are left out. Keeps one copy of the starting weights: of all of them
    where every rank holds whole tensors, of the rank's own part where DeepSpeed partitions the optimizer (ZeRO 1
    to 3). There the gradient needs no other rank's weights, because it is elementwise: alpha·sign(theta - theta_0)
    over the number of tensors.

    model       the model with its starting weights
    alpha       strength, above 0; the paper does not print the one it used
    added_rows  rows appended to input and output embeddings
    engine      DeepSpeed's engine around the model, or None
    """

    def __init__(self, model, alpha: float, added_rows: int = 0, engine=None):
        embeddings = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
        self.alpha, self.partitioned = alpha, is_partitioned(engine)
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
