"""The convolutional networks of Donahue et al. 2017, section 4.2 and appendix C (ImageNet).

E is AlexNet up to conv5 with batch norms, padded as in the authors' code. G and D are DCGAN's networks, with z fed to
their hidden layers too. No convolution has a bias; the batch norms have a gain and a bias. E and D rescale images to
[-1, 1]. Every convolution and pool is aligned with the authors' code to the pixel, so that the authors' weights give
the authors' outputs.
"""

import keras
from keras import layers, ops

from tf_bigan.errors import InputError
from tf_bigan.networks.bias_free import Builder, kernels_as_images
from tf_bigan.networks.layers import Network, discriminator_settings, settings_of
from tf_bigan.networks.unary_scores import scores

KERNEL = 5  # edge of G's and D's kernels
WIDTH = 64  # the paper's; other widths scale every layer

# E's convolutions: name, channels at WIDTH, kernel, stride, padding on every side, groups.
ALEXNET = (
    ("conv1", 96, 11, 4, 5, 1),
    ("conv2", 256, 5, 1, 2, 2),
    ("conv3", 384, 3, 1, 1, 1),
    ("conv4", 384, 3, 1, 1, 2),
    ("conv5", 256, 3, 1, 1, 2),
)
POOLED = ("conv1", "conv2")  # each followed by a 3x3 max pool of stride 2


@keras.saving.register_keras_serializable("tf_bigan")
class ConvEncoder(Network):
    """E: images -> the raw outputs a that a posterior turns into codes.

    Input float32 [N, height, width, channels] in [0, 1]; output float [N, latent_dim]. Layer names: for each n in
    1 ... 5, "conv<n>_linear" (the convolution), "conv<n>_norm" (its batch norm; conv1 has none) and "conv<n>" (after
    the rectifier); "pool1", "pool2", "outputs".

    Args:
      image_shape: (height, width, channels); the paper uses (64, 64, 3) and (112, 112, 3).
      latent_dim: number of outputs: the dimensions of the code, or twice as many for a Gaussian posterior.
      width: 64 = the paper's channels; another width scales the channels of all layers.
      zero_output: initialise the output layer with zeros (for the latent regressors) rather than from N(0, 0.02^2).
      sync_batch_norm: compute batch statistics over all replicas.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy.

    Raises:
      InputError: images are smaller than 16x16, or the width is not a multiple of 4.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=200,
        width=WIDTH,
        zero_output=False,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="encoder",
    ):
        build = Builder(name, sync_batch_norm, seed, dtype)
        images, h = _alexnet(build, image_shape, width)
        super().__init__(images, build.dense(h, latent_dim, "outputs", zero=zero_output))
        self.penultimate = "conv5"

    def image_filters(self):
        """The first layer's weights as images: float32 [96 * width / 64, 11, 11, C]."""
        return kernels_as_images(self.get_layer("conv1_linear"))


@keras.saving.register_keras_serializable("tf_bigan")
class AlexNetDiscriminator(Network):
    """D of a plain GAN with E's architecture, the paper's baseline "D": images -> logits, float32 [N, 1].

    Layer names as for `ConvEncoder`. The output layer is initialised with zeros.

    Args:
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.
      norm: whether D has batch norms.

    The other arguments are as for `ConvEncoder`.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        width=WIDTH,
        outputs=1,
        norm=True,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        build = Builder(name, sync_batch_norm, seed, dtype, norm)
        images, h = _alexnet(build, image_shape, width)
        super().__init__(images, build.logits(h, outputs))
        self.penultimate = "conv5"

    def image_filters(self):
        """The first layer's weights as images: float32 [96 * width / 64, 11, 11, C]."""
        return kernels_as_images(self.get_layer("conv1_linear"))


@keras.saving.register_keras_serializable("tf_bigan")
class ConvGenerator(Network):
    """G: codes -> images.

    Input float32 [N, latent_dim]; output float [N, height, width, channels] in [0, 1].

    Args:
      image_shape: (edge, edge, channels), with an edge that is a multiple of 16.
      skip: feed z to every hidden layer. The authors' code does so; the paper does not say.

    The other arguments are as for `ConvEncoder`.

    Raises:
      InputError: the image shape is another.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=200,
        width=WIDTH,
        skip=True,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="generator",
    ):
        build = Builder(name, sync_batch_norm, seed, dtype)
        z = keras.Input((latent_dim,), name="z")
        h = build.first_map(z, _edge(image_shape) // 16, 8 * width)
        for n, channels in enumerate((4 * width, 2 * width, width), start=1):
            h = build.deconvolution(h, channels, KERNEL, f"deconv{n}")
            if skip:
                h = build.add_code(h, z, KERNEL, f"deconv{n}")
            h = build.rectifier(build.norm(h, f"deconv{n}"), f"deconv{n}")
        h = build.deconvolution(h, image_shape[-1], KERNEL, "outputs")
        images = layers.Activation("sigmoid", name="images", dtype=build.policy)(h)
        super().__init__(z, images)

    def image_filters(self):
        """The last layer's weights as images: float32 [width, 5, 5, C]."""
        return self.get_layer("outputs_linear").kernel.numpy().transpose(3, 0, 1, 2)


@keras.saving.register_keras_serializable("tf_bigan")
class ConvDiscriminator(Network):
    """D: (images, codes) -> the logit that the pair is (x, E(x)) rather than (G(z), z).

    Inputs float32 [N, edge, edge, channels] in [0, 1] and float32 [N, latent_dim]; output float32 [N, 1]. With
    latent_dim = 0, D judges images alone and takes them as its only input. Layer names: for each n in 1 ... 4,
    "conv<n>_linear" and "conv<n>" (after the rectifier); "outputs".

    Args:
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.
      norm: whether D has batch norms.
      unary: D returns three scores of a pair, float32 [N, 3, 1], as described in `unary_scores`. Codes do not enter the
        convolutions then.

    The other arguments are as for `ConvGenerator`.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=200,
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
        _edge(image_shape)
        images = keras.Input(image_shape, name="images")
        z = keras.Input((latent_dim,), name="z") if latent_dim else None
        h = build.centred(images)
        for n, channels in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
            h = build.convolution(h, channels, KERNEL, 2, f"conv{n}")
            if n > 1:
                if latent_dim and not unary:
                    h = build.add_code(h, z, KERNEL, f"conv{n}")
                h = build.norm(h, f"conv{n}")
            h = build.leaky_rectifier(h, f"conv{n}")
        h = build.flat(h)
        judged = scores(build, h, z, width) if unary else build.logits(h, outputs)
        super().__init__([images, z] if latent_dim else images, judged)
        self.penultimate = "conv4"

    def image_filters(self):
        """The first layer's weights as images: float32 [width, 5, 5, C]."""
        return kernels_as_images(self.get_layer("conv1_linear"))


@keras.saving.register_keras_serializable("tf_bigan")
class PaddedMaxPool(layers.Layer):
    """3x3 max pooling with stride 2 over maps padded by one pixel on every side. The padding is never the maximum.

    Keras' padding "same" would place the windows one pixel off, and zeros would win over negative activations.
    """

    def call(self, x):
        padding = [[0, 0], [1, 1], [1, 1], [0, 0]]
        return ops.max_pool(ops.pad(x, padding, constant_values=float("-inf")), 3, 2, padding="valid")


def _alexnet(build, image_shape, width):
    """Returns (the input images, the flattened output of conv5)."""
    if min(image_shape[:2]) < 16:
        raise InputError(
            f"the convolutional encoder takes images of at least 16x16, not {image_shape[0]}x{image_shape[1]}"
        )
    if width % 4:
        raise InputError(f"width must be a multiple of 4 for the convolutional networks, found {width}")
    images = keras.Input(image_shape, name="images")
    h = build.centred(images)
    for name, channels, kernel, stride, padding, groups in ALEXNET:
        h = build.convolution(h, channels * width // WIDTH, kernel, stride, name, padding, groups)
        if name != "conv1":
            h = build.norm(h, name)
        h = build.leaky_rectifier(h, name)
        if name in POOLED:
            h = PaddedMaxPool(name=name.replace("conv", "pool"), dtype=build.policy.name)(h)
    return images, build.flat(h)


def _edge(image_shape):
    height, width, _ = image_shape
    if height != width or height % 16 or not height:
        raise InputError(
            f"the convolutional G and D take square images of a multiple of 16 pixels, not {height}x{width}"
        )
    return height


def make(experiment, dtype, system) -> dict:
    """The networks of an experiment: {role: function without arguments that makes the network}.

    Args:
      experiment: an `Experiment` whose sizes are all set.
      dtype: the networks' dtype policy.
      system: the game's class, with `sees_codes` (D sees codes, too), `zero_encoder` (E's output layer starts at 0) and
        `featured` (the system is trained for D's features, so D has E's architecture).
    """
    shape, codes, units, shared = settings_of(experiment, dtype)
    own = discriminator_settings(experiment, system)

    def discriminator():
        if system.featured:
            return AlexNetDiscriminator(shape, outputs=own["outputs"], norm=own["norm"], **shared)
        return ConvDiscriminator(shape, codes if system.sees_codes else 0, **own, **shared)

    return {
        "encoder": lambda: ConvEncoder(experiment.encoder_shape, units, zero_output=system.zero_encoder, **shared),
        "generator": lambda: ConvGenerator(shape, codes, skip=experiment.generator_skip, **shared),
        "discriminator": discriminator,
    }
