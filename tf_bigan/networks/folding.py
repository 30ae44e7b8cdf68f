"""Folds batch norms into the layers before them: inference gives the same results at a lower cost."""

import keras

from tf_bigan.networks.layers import BatchNorm


def fold_batch_norms(network: keras.Model) -> keras.Model:
    """A copy of `network` in inference mode, its batch norms folded away where the graph allows.

    A norm is folded if its input is the output of a convolution or dense layer that has no activation and feeds nothing
    else. This layer then takes over the norm's place and name. Its kernel becomes W g / s and its bias
    (b - m) g / s + beta. Here W and b are the layer's kernel and bias, and m, s, g and beta are the norm's mean,
    standard deviation (with epsilon under the root), gain and bias (Donahue et al.'s transfer, in their code). The copy
    has neither the layer's own name nor the values before the norm. Other norms stay.

    Args:
      network: a functional Keras model; any other model is returned unchanged.
    """
    if not isinstance(network, keras.Sequential | keras.src.models.functional.Functional):
        return network
    folds = _folds(network)
    norms = {id(norm) for norm in folds.values()}

    def copy(layer):
        if id(layer) in norms:
            return lambda x, **_: x
        config = layer.get_config()
        if layer.name in folds:
            config |= {"name": folds[layer.name].name, "use_bias": True}
        return type(layer).from_config(config)

    twin = keras.models.clone_model(network, clone_function=copy)
    for layer in network.layers:
        if layer.name in folds:
            norm = folds[layer.name]
            twin.get_layer(norm.name).set_weights(_folded(layer, norm))
        elif layer.weights and id(layer) not in norms:
            twin.get_layer(layer.name).set_weights(layer.get_weights())
    return twin


def _folds(network):
    """{name of a layer: the batch norm that is folded into it}."""
    readers = {}
    for layer in network.layers:
        for node in layer._inbound_nodes:  # `layer.input` is only the input of the first call
            for tensor in node.input_tensors:
                readers.setdefault(id(tensor), []).append(layer)
    outputs = {id(tensor) for tensor in network.outputs}
    found = {}
    for layer in network.layers:
        linear = isinstance(layer, keras.layers.Dense | keras.layers.Conv2D | keras.layers.Conv2DTranspose)
        if linear and layer.activation is keras.activations.linear and _once(layer) and id(layer.output) not in outputs:
            match readers.get(id(layer.output)):
                case [BatchNorm() as norm] if _once(norm):
                    found[layer.name] = norm
    return found


def _once(layer):
    """Whether the layer is called only once."""
    return len(layer._inbound_nodes) == 1


def _folded(layer, norm):
    """[kernel, bias] of `layer` with `norm` folded in."""
    scale = norm.inverse_stdev * (norm.gain if norm.affine else 1.0)
    bias = ((layer.bias if layer.use_bias else 0.0) - norm.mean) * scale + (norm.bias if norm.affine else 0.0)
    # The output channels are the kernel's last axis, except in transposed convolutions: there, the axis before it.
    along = scale[:, None] if isinstance(layer, keras.layers.Conv2DTranspose) else scale
    return [keras.ops.convert_to_numpy(layer.kernel * along), keras.ops.convert_to_numpy(bias)]
