"""The shapes of the networks that an experiment describes, found without room for their weights."""

import math
import threading

import keras

from tf_bigan.memory import check_memory

_BYTES = 4  # of a weight: all are float32


def shapes_of(make) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of the weights and statistics of networks, {role: [shape]}, without making these variables.

    Args:
      make: function without arguments that makes the networks: {role: keras.Model}.

    Raises:
      Whatever `make` raises.
    """
    result = []

    def run():
        # In this scope Keras keeps the shape and the initializer of a variable, and makes it when the scope ends. It
        # does not end: the thread does, and with it what Keras keeps for the thread.
        keras.StatelessScope().__enter__()
        try:
            networks = make()
            result.append({role: [tuple(each.shape) for each in net.variables] for role, net in networks.items()})
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def check_size(shapes: dict, copies: int = 1):
    """Raises InputError, with the numbers, if networks cannot fit this machine's memory.

    Args:
      shapes: {role: [shape]}, as `shapes_of` returns them.
      copies: how often the weights are needed: 1 to use them, 4 to train them (with gradients and Adam's two moments),
        5 to average them, too.
    """
    count = sum(math.prod(shape) for of_network in shapes.values() for shape in of_network)
    sizes = {role: sum(map(math.prod, of_network)) for role, of_network in shapes.items()}
    largest = max(sizes, key=sizes.get)
    told = " with their gradients and Adam's moments" if copies > 1 else ""
    told += ", and their averages," if copies > 4 else ""
    check_memory(
        _BYTES * count * copies,
        f"the networks have {count:,} weights, which take{told}",
        f"The {largest} has {sizes[largest]:,} of them; lower width, latent_dim or what else the flags make large",
    )
