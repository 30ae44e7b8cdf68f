"""Properties of a network: its layers, the inputs that it asks for by name, and the shapes of inputs and outputs."""

from collections.abc import Mapping

import keras

from tf_bigan.errors import InputError
from tf_bigan.games.records import CONDITIONS

# The name of the input for noise, which a network may have beside its first inputs and conditions.
NOISE = "noise"
# The role of the network that embeds attributes, and the name of the input for what it gives.
EMBEDDING = "embedding"
_CRELU = "crelu("  # begins the name of a read-out


def rectified_layer(name: str) -> str | None:
    """The layer that the name of a read-out, such as "crelu(conv5_norm)", is of; None for a plain layer's name."""
    return name[len(_CRELU) : -1] if name.startswith(_CRELU) and name.endswith(")") else None


def base_layer(name: str) -> str:
    """The layer whose activations give the features called `name`: the layer itself, or that of a read-out."""
    inner = rectified_layer(name)
    return name if inner is None else inner


def read_out(name: str, activations):
    """The features called `name`, of the activations of their `base_layer`.

    Features of a plain layer are its activations h, [N, ...]. "crelu(...)" is [ReLU(h), ReLU(-h)], joined along the
    last axis, which gets twice as long, so that a linear classifier weighs the signs of h apart (Shang et al. 2016; of
    a batch-normed layer: BigBiGAN, Donahue and Simonyan 2019, appendix).
    """
    if rectified_layer(name) is None:
        return activations
    return keras.ops.concatenate([keras.ops.relu(activations), keras.ops.relu(-activations)], axis=-1)


def feature_model(network: keras.Model, *layers: str) -> keras.Model:
    """A model from a network's inputs to the activations of the named layers. It shares the network's weights.

    "code" stands for the network's output, from which a posterior makes the code, and a read-out such as "crelu(conv5)"
    for its layer, from which `read_out` makes the features. For several layers the model returns a list of activations.
    """
    outputs = [_activations(network, layer) for layer in layers]
    return keras.Model(network.inputs[0] if len(network.inputs) == 1 else network.inputs, outputs)


def _activations(network, layer):
    layer = base_layer(layer)
    return network.outputs[0] if layer == "code" else network.get_layer(layer).output


def depends_on_conditions(network: keras.Model, layer: str) -> bool:
    """Whether a layer's activations depend on the label or the attributes that the network takes.

    Args:
      network: a functional model.
      layer: a layer's name, a read-out of it, or "code" for the network's output.
    """
    conditions = {id(tensor) for tensor in network.inputs[1:] if tensor.name != NOISE}
    waiting, seen = [_activations(network, layer)], set()
    while waiting and conditions:
        tensor = waiting.pop()
        if id(tensor) in conditions:
            return True
        if id(tensor) not in seen:
            seen.add(id(tensor))
            operation, node, _ = tensor._keras_history
            waiting += operation._inbound_nodes[node].input_tensors
    return False


def feature_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a network in their order, from the input to the output, without input layers."""
    return [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]


def input_names(network: keras.Model) -> list[str]:
    """The names of a network's inputs, in their order."""
    return [tensor.name for tensor in network.inputs]


def asked_inputs(network: keras.Model, first: int = 1) -> dict:
    """The inputs after the first that a network asks for by name.

    Returns:
      {"label", "attributes", "embedding" or "noise": the input}.
    """
    asked = {tensor.name: tensor for tensor in network.inputs[first:]}
    return {name: asked[name] for name in (*CONDITIONS, EMBEDDING, NOISE) if name in asked}


def noise_shape(network: keras.Model, first: int = 1) -> tuple[int, ...] | None:
    """The shape of the noise that a network takes for each example, after its first inputs; None if it takes none."""
    tensor = asked_inputs(network, first).get(NOISE)
    return None if tensor is None else tuple(tensor.shape[1:])


def conditions_of(network: keras.Model) -> list[str]:
    """Which of "label" and "attributes" a network takes beside its first input, the latter as they are or embedded."""
    asked = {"attributes" if name == EMBEDDING else name for name in asked_inputs(network)}
    return [name for name in CONDITIONS if name in asked]


def penultimate(network: keras.Model) -> str:
    """The name of a network's feature layer: its `penultimate` attribute, or else the layer before its last.

    Raises:
      InputError: the network has no layer before its last, or only an operation of `keras.ops`, which has no name.
    """
    layers = feature_layers(network)
    if len(layers) < 2:
        raise InputError(f"the {network.name} has no layer before its output, so it has no features")
    if hasattr(network, "penultimate"):
        return network.penultimate
    if (before := _operation_before(layers[-1])) not in (None, *layers):
        raise InputError(
            f"the output layer of the {network.name} follows {before.name}, which is no layer, so it has no features; "
            "use a layer there, or set the network's `penultimate` to a layer's name"
        )
    return layers[-2].name


def _operation_before(layer):
    """The operation that made a layer's first input; None if it is not known."""
    try:
        return layer._inbound_nodes[0].input_tensors[0]._keras_history.operation
    except (AttributeError, IndexError):
        return None


def shape_of(network, side):
    """The shape of a network's first input or output without the batch; None without a network or a known shape."""
    try:
        return tuple(getattr(network, side)[0].shape[1:])
    except (AttributeError, IndexError, TypeError, ValueError):
        return None


def fits(found, wanted) -> bool:
    """Whether the shape `found` is the one that is wanted. None in `wanted` stands for any size."""
    return len(found) == len(wanted) and all(each in (size, None) for each, size in zip(wanted, found, strict=True))


def check_networks(networks):
    """Raises InputError unless `networks` is a dictionary, role -> Keras model with known input and output shapes."""
    if not isinstance(networks, Mapping):
        raise InputError(f"networks must be a dictionary, role: Keras model, found {type(networks).__name__}")
    for role, network in networks.items():
        if not isinstance(network, keras.Model):
            raise InputError(f"the {role} among networks must be a Keras model, found {type(network).__name__}")
        if shape_of(network, "inputs") is None or shape_of(network, "outputs") is None:
            raise InputError(f"the {role} must be a functional Keras model, or a Sequential one with a keras.Input")
        noise = noise_shape(network)
        if noise is not None and None in noise:
            raise InputError(f"the {role} takes noise of shape {noise}, which must be known")
