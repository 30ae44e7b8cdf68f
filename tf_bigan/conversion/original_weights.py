"""Converts the BiGAN authors' ImageNet parameter files to this project's networks.

A file lists the arrays of a network in the order of their creation, without names. For each layer, these are its
weight, the weight of its z-injection if it has one, then its batch norm's count, sum of means, sum of variances, gain
and bias. Kernels are stored for true convolutions (which mirror the kernel), channels first.
"""

import pathlib

import numpy as np

from tf_bigan.conversion.joblib_files import read_arrays
from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.files import replacing, write_text
from tf_bigan.networks.conv import ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.training.run_directory import RunDirectory

LATENT_DIM = 200
IMAGE_SHAPE = (64, 64, 3)
ENCODER_SIZES = {4: 64, 7: 112}  # edge of conv5 -> edge of E's images

_NORM = ("count", "means", "variances", "gain", "bias")

# Role -> its layers in the file's order: (name, shape of the weight, channels of the z-injection, channels of the batch
# norm). 0 channels = the layer has none. None in a shape = it depends on the size of E's images.
_LAYERS = {
    "encoder": (
        ("conv1", (96, 3, 11, 11), 0, 0),
        ("conv2", (256, 48, 5, 5), 0, 256),
        ("conv3", (384, 256, 3, 3), 0, 384),
        ("conv4", (384, 192, 3, 3), 0, 384),
        ("conv5", (256, 192, 3, 3), 0, 256),
        ("outputs", (None, LATENT_DIM), 0, 0),
    ),
    "generator": (
        ("fc", (LATENT_DIM, 8192), 0, 8192),
        ("deconv1", (512, 256, 5, 5), 256, 256),
        ("deconv2", (256, 128, 5, 5), 128, 128),
        ("deconv3", (128, 64, 5, 5), 64, 64),
        ("outputs", (64, 3, 5, 5), 0, 0),
    ),
    "discriminator": (
        ("conv1", (64, 3, 5, 5), 0, 0),
        ("conv2", (128, 64, 5, 5), 128, 128),
        ("conv3", (256, 128, 5, 5), 256, 256),
        ("conv4", (512, 256, 5, 5), 512, 512),
        ("outputs", (8192, 1), 0, 0),
    ),
}


# Edge of E's images -> (shorter edge before the crop, results that the authors report in their units, number of
# queries). Their gallery has five times as many images as queries.
_PUBLISHED = {
    64: (72, "EGr 64.98 against 82.64, EGg 63.28 against 84.10; 1-NN of conv5 3.78 %, of the output 2.30 %", 10_000),
    112: (128, "EGr 66.49 against 81.08; 1-NN of conv5 3.84 %, of the output 2.27 %", 3_566),
}


def convert_run(encoder, generator, discriminator, output):
    """Writes the authors' three parameter files as a run directory, which `tf_bigan.load` and every tool take.

    Args:
      encoder, generator, discriminator: paths of the files, for example "100_encode_params.jl".
      output: the folder to write; it must not exist.

    Returns:
      (`output`, the Experiment that describes it).

    Raises:
      InputError: for the reasons of `convert`, or the files come from different runs, or `output` exists or cannot be
        written.
    """
    output = pathlib.Path(output)
    if output.exists():
        raise InputError(f"{output} exists; give a folder that does not exist yet")
    paths = {"encoder": encoder, "generator": generator, "discriminator": discriminator}
    converted = {role: convert(role, path) for role, path in paths.items()}
    counts = {role: count for role, (_, count) in converted.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"the files are not of one run: their statistics are of {counts} batches")
    networks = {role: network for role, (network, _) in converted.items()}
    size = networks["encoder"].input_shape[1]
    shorter_edge, published, queries = _PUBLISHED[size]
    experiment = Experiment(
        dataset="imagenet2012",
        image_size=IMAGE_SHAPE[0],
        encoder_size=size if size > IMAGE_SHAPE[0] else 0,
        channels=IMAGE_SHAPE[2],
        shorter_edge=shorter_edge,
        crop="random",
        networks="conv",
        width=64,
        latent_dim=LATENT_DIM,
        constant_epochs=50,
        decay_epochs=50,
        statistics_steps=counts["encoder"],
        precision="float32",
    )
    with replacing(output) as temporary:
        temporary.mkdir()
        run = RunDirectory(temporary)
        run.write_experiment(experiment)
        run.save_weights(networks, experiment.epochs, counts["encoder"])
        write_text(temporary / "README.md", _card(size, published, queries))
    return output, experiment


def convert(role: str, path):
    """A network with the parameters of one of the authors' files.

    Args:
      role: "encoder", "generator" or "discriminator".
      path: the file, for example "100_encode_params.jl".

    Returns:
      (the `keras.Model`, float32, with its inference statistics; the number of batches behind these statistics).

    Raises:
      InputError: the file is damaged, of another network, or has no statistics.
    """
    layers = _layers(role, path, read_arrays(path))
    if role == "encoder":
        edge = _flat_edge(layers["outputs"]["weight"], 256)
        size = ENCODER_SIZES[edge]
        network = ConvEncoder((size, size, 3), LATENT_DIM)
    else:
        edge = 4
        network = (ConvGenerator if role == "generator" else ConvDiscriminator)(IMAGE_SHAPE, LATENT_DIM)
    counts = {int(arrays["count"]) for arrays in layers.values() if "count" in arrays}
    if len(counts) != 1 or min(counts) <= 0:
        raise InputError(f"{path} has batch norm counts {sorted(counts)}; one positive count is needed")
    for name, arrays in layers.items():
        if name == "fc":  # its columns and its batch norm's entries are in channels, y, x order
            arrays = {
                key: value if key == "count" else _channels_last(value, 512, edge) for key, value in arrays.items()
            }
        _assign(network, name, arrays, edge)
    return network, counts.pop()


def _layers(role, path, arrays):
    """Layer name -> {"weight", "z", "count", ...: array}, every shape checked."""
    layers, left = {}, list(enumerate(arrays))
    expected = sum(1 + bool(z) + len(_NORM) * bool(norm) for _, _, z, norm in _LAYERS[role])
    if len(arrays) != expected:
        raise InputError(f"{path} has {len(arrays)} arrays, not the {expected} of the {role}")
    for name, shape, z, norm in _LAYERS[role]:
        shapes = {"weight": shape}
        if z:
            shapes["z"] = (LATENT_DIM, z)
        if norm:
            shapes |= {key: () if key == "count" else (norm,) for key in _NORM}
        layers[name] = {}
        for key, wanted in shapes.items():
            index, array = left.pop(0)
            fits = array.ndim == len(wanted) and all(w in (None, n) for n, w in zip(array.shape, wanted, strict=True))
            if wanted == (None, LATENT_DIM):
                fits = fits and len(array) in {256 * edge**2 for edge in ENCODER_SIZES}
            if not fits:
                raise InputError(
                    f"{path}: array {index} has shape {list(array.shape)}; {name} {key} of the {role} has "
                    f"{['4096 or 12544' if n is None else n for n in wanted]}"
                )
            if not np.isfinite(array).all():
                raise InputError(f"{path}: array {index}, {name} {key}, has values that are not finite")
            if key == "variances" and array.min() < 0:
                raise InputError(f"{path}: array {index}, {name} {key}, has negative values")
            layers[name][key] = array
    return layers


def _assign(network, name, arrays, edge):
    weight = arrays["weight"]
    if weight.ndim == 4:
        # Theano's convolutions mirror the kernel: [out, in, y, x] -> [y, x, in, out], with y and x reversed. For a
        # transposed convolution, in and out change places in both layouts, so that the same permutation is right.
        layer, value = f"{name}_linear", weight[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
    elif name == "outputs":
        layer, value = name, _channels_last(weight.T, len(weight) // edge**2, edge).T
    else:
        layer, value = f"{name}_linear", weight
    network.get_layer(layer).kernel.assign(value)
    if "z" in arrays:
        network.get_layer(f"{name}_z").kernel.assign(arrays["z"])
    if "count" in arrays:
        norm, count = network.get_layer(f"{name}_norm"), float(arrays["count"])
        norm.gain.assign(arrays["gain"])
        norm.bias.assign(arrays["bias"])
        norm.mean.assign(arrays["means"].astype(np.float64) / count)
        norm.variance.assign(arrays["variances"].astype(np.float64) / count)
        norm.batches.assign(count)


def _channels_last(array, channels, edge):
    """[..., channels * edge * edge] in channels, y, x order -> the same in y, x, channels order."""
    maps = array.reshape(*array.shape[:-1], channels, edge, edge)
    return np.moveaxis(maps, -3, -1).reshape(array.shape)


def _flat_edge(weight, channels):
    return int(round((len(weight) / channels) ** 0.5))


def _card(size, published, queries):
    return f"""# The BiGAN authors' ImageNet weights, E at {size}x{size}

Converted from the parameter files that Donahue, Krähenbühl and Darrell publish beside their code
(github.com/jeffdonahue/bigan, pretrained_bigan_weights.zip): 1000 classes of ILSVRC 2012, 100 epochs, images in 64x64,
E's in {size}x{size}, shorter edge resized first. Their own inference statistics are kept.

The authors report about (README of their code): {published}. They measure distances over pixels in [-1, 1]; over
[0, 1], as here, distances are half as large. Their queries are {queries} validation images, and their gallery is random
crops of five times as many images; here it is crops of their centres:

    python tools/evaluate.py --model=DIR --metrics=knn,reconstruction --layers=conv5,outputs \\
        --gallery_split=train[:{5 * queries}] --query_split=validation[:{queries}]

Which numbers these files give here has not been measured.

## Terms

The authors' page states a licence for the code, none for the weights: ask them before passing these files on. Training
data: ImageNet, non-commercial research and education.
"""
