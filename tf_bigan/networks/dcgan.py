"""DCGAN's networks for small images (Radford et al. 2016), as Warde-Farley and Bengio 2017 train them.

The DCGAN paper does not describe its networks for 32x32 images; the tables below are those of the authors' parameter
files. Every kernel is 3x3. G and D are those of the authors' ImageNet model at the width 128; Warde-Farley and Bengio's
CIFAR-10 model has half of its channels. The maps that G begins and D ends with have an eighth of the image's edge: 4
pixels for 32x32 images, 6 for STL-10's 48x48. E, and a D that judges pairs, are this project's: E is D's layers with an
output for each dimension of the code, and D adds a linear map of z to the maps of every layer with a batch norm, as
Donahue et al. do. No convolution has a bias. Images are in [0, 1] at the border and in [-1, 1] inside.

The authors draw the gains of batch norms from N(1, 0.02^2) and D's output weights from N(0, 0.02^2). Here the gains
start at 1, and D's output weights at 0, so that D's first logits are 0.
"""

import keras
from keras import layers

from tf_bigan.errors import InputError
from tf_bigan.networks.bias_free import Builder, kernels_as_images
from tf_bigan.networks.layers import Network, discriminator_settings, settings_of
from tf_bigan.networks.unary_scores import scores

KERNEL = 3
WIDTH = 64  # channels next to the image; DCGAN's own is 128

# Layers from input to output: channels as multiples of the width, stride. Strides of G's layers enlarge the map.
FIRST_MAP = 4  # channels of the map that G begins with
GENERATOR = ((4, 2), (2, 1), (2, 2), (1, 1), (1, 2))  # a layer with stride 1 follows, which gives the image
DISCRIMINATOR = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2))


@keras.saving.register_keras_serializable("tf_bigan")
class DCGANEncoder(Network):
    """E: images -> the raw outputs a that a posterior turns into codes.

    Input float32 [N, edge, edge, channels] in [0, 1]; output float [N, latent_dim]. Layer names: for each n in 1 ... 6,
    "conv<n>_linear" (the convolution), "conv<n>_norm" (its batch norm; conv1 has none) and "conv<n>" (after the
    rectifier); "outputs".

    Args:
      image_shape: (edge, edge, channels), with an edge that is a multiple of 8.
      latent_dim: number of outputs: the dimensions of the code, or twice as many for a Gaussian posterior.
      width: channels of the first layers, of which all others are multiples.
      zero_output: initialise the output layer with zeros (for the latent regressors) rather than from N(0, 0.02^2).
      sync_batch_norm: compute batch statistics over all replicas.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy.

    Raises:
      InputError: the image shape is another.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=100,
        width=WIDTH,
        zero_output=False,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="encoder",
    ):
        build = Builder(name, sync_batch_norm, seed, dtype)
        images, h = _convolutions(build, image_shape, width)
        super().__init__(images, build.dense(h, latent_dim, "outputs", zero=zero_output))
        self.penultimate = f"conv{len(DISCRIMINATOR)}"

    def image_filters(self):
        """The first layer's weights as images: float32 [width, 3, 3, C]."""
        return kernels_as_images(self.get_layer("conv1_linear"))


@keras.saving.register_keras_serializable("tf_bigan")
class DCGANGenerator(Network):
    """G: codes -> images.

    Input float32 [N, latent_dim]; output float [N, edge, edge, channels] in [0, 1]. A layer of the table with stride 1
    is a convolution: it has the same functions as the authors' transposed convolution, whose kernels are mirrored.

    The arguments and errors are as for `DCGANEncoder`.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=100,
        width=WIDTH,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="generator",
    ):
        build = Builder(name, sync_batch_norm, seed, dtype)
        z = keras.Input((latent_dim,), name="z")
        h = build.first_map(z, _edge(image_shape) // 8, FIRST_MAP * width)
        for n, (multiple, stride) in enumerate(GENERATOR, start=1):
            if stride == 1:
                h = build.convolution(h, multiple * width, KERNEL, 1, f"deconv{n}")
            else:
                h = build.deconvolution(h, multiple * width, KERNEL, f"deconv{n}")
            h = build.rectifier(build.norm(h, f"deconv{n}"), f"deconv{n}")
        h = build.convolution(h, image_shape[-1], KERNEL, 1, "outputs")
        h = layers.Activation("tanh", name="outputs", dtype=build.policy)(h)
        super().__init__(z, layers.Rescaling(0.5, 0.5, name="images", dtype=build.policy)(h))

    def image_filters(self):
        """The last layer's weights as images: float32 [width, 3, 3, C]."""
        return self.get_layer("outputs_linear").kernel.numpy().transpose(2, 0, 1, 3)


@keras.saving.register_keras_serializable("tf_bigan")
class DCGANDiscriminator(Network):
    """D: images, or (images, codes) -> the logit that the example is real rather than generated.

    Inputs float32 [N, edge, edge, channels] in [0, 1] and float32 [N, latent_dim]; output float32 [N, 1]. With
    latent_dim = 0, D judges images alone and takes them as its only input. Layer names as for `DCGANEncoder`.

    Args:
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.
      norm: whether D has batch norms.
      unary: D returns three scores of a pair, float32 [N, 3, 1], as described in `unary_scores`. Codes do not enter the
        convolutions then.

    The other arguments and the errors are as for `DCGANEncoder`.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=0,
        width=WIDTH,
        outputs=1,
        norm=True,
        unary=False,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        build = Builder(name, sync_batch_norm, seed, dtype, norm)
        z = keras.Input((latent_dim,), name="z") if latent_dim else None
        images, h = _convolutions(build, image_shape, width, None if unary else z)
        judged = scores(build, h, z, width) if unary else build.logits(h, outputs)
        super().__init__(images if z is None else [images, z], judged)
        self.penultimate = f"conv{len(DISCRIMINATOR)}"

    def image_filters(self):
        """The first layer's weights as images: float32 [width, 3, 3, C]."""
        return kernels_as_images(self.get_layer("conv1_linear"))


def _convolutions(build, image_shape, width, z=None):
    """D's layers before its output: (the input images, the flattened maps)."""
    _edge(image_shape)
    images = keras.Input(image_shape, name="images")
    h = build.centred(images)
    for n, (multiple, stride) in enumerate(DISCRIMINATOR, start=1):
        h = build.convolution(h, multiple * width, KERNEL, stride, f"conv{n}")
        if n > 1:
            if z is not None:
                h = build.add_code(h, z, KERNEL, f"conv{n}")
            h = build.norm(h, f"conv{n}")
        h = build.leaky_rectifier(h, f"conv{n}")
    return images, build.flat(h)


def _edge(image_shape):
    height, width, _ = image_shape
    if height != width or height % 8 or not height:
        raise InputError(f"the DCGAN networks take square images of a multiple of 8 pixels, not {height}x{width}")
    return height


def make(experiment, dtype, system) -> dict:
    """The networks of an experiment: {role: function without arguments that makes the network}.

    Args:
      experiment: an `Experiment` whose sizes are all set.
      dtype: the networks' dtype policy.
      system: the game's class, with `sees_codes` (D sees codes, too) and `zero_encoder` (E's output layer starts at 0).

    Raises:
      InputError: as in `discriminator_settings`.
    """
    shape, codes, units, shared = settings_of(experiment, dtype)
    return {
        "encoder": lambda: DCGANEncoder(experiment.encoder_shape, units, zero_output=system.zero_encoder, **shared),
        "generator": lambda: DCGANGenerator(shape, codes, **shared),
        "discriminator": lambda: DCGANDiscriminator(
            shape, codes if system.sees_codes else 0, **discriminator_settings(experiment, system), **shared
        ),
    }
