"""What a training multiplies with weight matrices, counted as it goes.

Two operations for each weight and position, and as many again for each of the two gradients. Attention's own products,
which grow with the square of a row's length, are left out.
"""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from plw.training.forward.last_block import position_wise_parts


@dataclass
class Computed:
    """Positions that a model ran on.

    positions  in all layers;  last  in the position-wise parts of the last layer
    learned    in the output layer, with gradients;  watched  without
    """

    positions: int = 0
    last: int = 0
    learned: int = 0
    watched: int = 0


@dataclass(frozen=True)
class MatrixSizes:
    """Weights that a position is multiplied with: of all layers, of the last one's position-wise parts, of the output
    layer.
    """

    layers: int
    last: int
    output: int

    def operations(self, computed: Computed) -> int:
        """Floating-point operations of forward and backward passes over these positions."""
        layers = (self.layers - self.last) * computed.positions + self.last * computed.last
        return 6 * (layers + self.output * computed.learned) + 2 * self.output * computed.watched

    def operations_of_tokens(self, tokens: int) -> int:
        """The same where every token goes through everything, as in a training that leaves nothing out."""
        return self.operations(Computed(tokens, tokens, tokens))


def matrix_sizes(model: PreTrainedModel) -> MatrixSizes | None:
    """Count a model's matrices, also where ZeRO-3 keeps only a part of each on this rank; None if it has experts."""
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    apart = {id(module.weight) for module in (head, embeddings)}
    shapes = [_shape(weight) for weight in model.parameters() if id(weight) not in apart]
    if any(len(shape) > 2 for shape in shapes):
        return None  # not every position goes through every expert
    last = [_shape(weight) for part in position_wise_parts(model) for weight in part.parameters()]
    return MatrixSizes(_matrices(shapes), _matrices(last), _matrices([_shape(head.weight)]))


def _shape(weight: torch.Tensor) -> torch.Size:
    return getattr(weight, "ds_shape", weight.shape)


def _matrices(shapes: list[torch.Size]) -> int:
    """Weights in matrices; norms and biases are none."""
    return sum(shape.numel() for shape in shapes if len(shape) == 2)
