"""What the layers of a network cost: their weights, and the operations that an example takes."""

import math
from typing import NamedTuple

import keras


class LayerCost(NamedTuple):
    """The cost of a layer.

    Attributes:
      name: the layer's name.
      shape: the shape of its output, without the batch.
      parameters: the number of values that training changes. The statistics of batch norms are not among them.
      flop: floating-point operations of a forward pass for an example, see `layer_costs`.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    flop: int


def layer_costs(network: keras.Model) -> list[LayerCost]:
    """The costs of a network's layers, in their order, without its inputs.

    Only products with kernels are counted, as almost all of the work is in them: those of convolutions, transposed
    convolutions and fully connected layers. A multiplication and the addition that follows it are 2 operations. Each
    position counts with the whole kernel, even where the kernel meets padding or rows that are dropped: of a
    convolution the positions of the output, of a transposed convolution those of the input. The functions in `kernels`
    may need fewer operations.
    """
    costs = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        shape = tuple(layer.output.shape[1:])
        parameters = sum(math.prod(variable.shape) for variable in layer.trainable_variables)
        kernel = getattr(layer, "kernel", None)
        flop = 0 if kernel is None else 2 * math.prod(kernel.shape) * _positions(layer)
        costs.append(LayerCost(layer.name, shape, parameters, flop))
    return costs


def _positions(layer):
    """How often a layer uses each weight of its kernel for an example."""
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    return math.prod((layer.input if transposed else layer.output).shape[1:-1])
