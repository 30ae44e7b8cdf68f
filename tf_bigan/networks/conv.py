"""The convolutional networks of Donahue et al. 2017, section 4.2 and appendix C (ImageNet).

E is AlexNet up to conv5 with batch norms, padded as in the authors' code. G and D are DCGAN's networks, with z fed to
their hidden layers too. No convolution has a bias; the batch norms have a gain and a bias. E and D rescale images to
[-1, 1]. Every convolution and pool is aligned with the authors' code to the pixel, so that the authors' weights give
the authors' outputs.
"""

import keras
from keras import layers, ops

from tf_bigan.errors import InputError
from tf_bigan.networks.kernels import Convolution, TransposedConvolution
from tf_bigan.networks.layers import BatchNorm, Network, normal_initializer, outputs_of, settings_of

SLOPE = 0.2  # of the leaky rectifiers in D and E
STDDEV = 0.02  # of the initial weights; those that add z to hidden layers have STDDEV times the kernel's area
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
        policy = keras.dtype_policies.get(dtype)
        images, h = _alexnet(image_shape, width, sync_batch_norm, seed, policy, name)
        outputs = _linear(latent_dim, "outputs", name, seed, policy, zero=zero_output)(h)
        super().__init__(images, outputs)
        self.penultimate = "conv5"

    def image_filters(self):
        """The first layer's weights as images: float32 [96 * width / 64, 11, 11, C]."""
        return _kernels(self.get_layer("conv1_linear"))


@keras.saving.register_keras_serializable("tf_bigan")
class AlexNetDiscriminator(Network):
    """D of a plain GAN with E's architecture, the paper's baseline "D": images -> logits, float32 [N, 1].

    Layer names as for `ConvEncoder`. The output layer is initialised with zeros.

    Args:
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.

    The other arguments are as for `ConvEncoder`.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        width=WIDTH,
        outputs=1,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        policy = keras.dtype_policies.get(dtype)
        images, h = _alexnet(image_shape, width, sync_batch_norm, seed, policy, name)
        super().__init__(images, _logits(h, outputs))
        self.penultimate = "conv5"

    def image_filters(self):
        """The first layer's weights as images: float32 [96 * width / 64, 11, 11, C]."""
        return _kernels(self.get_layer("conv1_linear"))


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
        policy = keras.dtype_policies.get(dtype)
        edge = _edge(image_shape) // 16
        z = keras.Input((latent_dim,), name="z")
        h = _linear(edge * edge * 8 * width, "fc_linear", name, seed, policy)(z)
        # As in the authors' code, the norm precedes the reshaping, so that each unit has statistics of its own.
        h = BatchNorm(affine=True, synchronized=sync_batch_norm, name="fc_norm", dtype=policy)(h)
        h = layers.ReLU(name="fc", dtype=policy)(h)
        h = layers.Reshape((edge, edge, 8 * width), name="fc_map", dtype=policy)(h)
        for n, channels in enumerate((4 * width, 2 * width, width), start=1):
            h = _deconvolution(h, channels, f"deconv{n}", name, seed, policy)
            if skip:
                h = _add_code(h, z, f"deconv{n}", name, seed, policy)
            h = BatchNorm(affine=True, synchronized=sync_batch_norm, name=f"deconv{n}_norm", dtype=policy)(h)
            h = layers.ReLU(name=f"deconv{n}", dtype=policy)(h)
        h = _deconvolution(h, image_shape[-1], "outputs", name, seed, policy)
        images = layers.Activation("sigmoid", name="images", dtype=policy)(h)
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

    The other arguments are as for `ConvGenerator`.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=200,
        width=WIDTH,
        outputs=1,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        policy = keras.dtype_policies.get(dtype)
        _edge(image_shape)
        images = keras.Input(image_shape, name="images")
        z = keras.Input((latent_dim,), name="z") if latent_dim else None
        h = layers.Rescaling(2.0, -1.0, name="centred", dtype=policy)(images)
        for n, channels in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
            h = _convolution(h, channels, KERNEL, 2, 2, 1, f"conv{n}", name, seed, policy)
            if n > 1:
                if latent_dim:
                    h = _add_code(h, z, f"conv{n}", name, seed, policy)
                h = BatchNorm(affine=True, synchronized=sync_batch_norm, name=f"conv{n}_norm", dtype=policy)(h)
            h = layers.LeakyReLU(SLOPE, name=f"conv{n}", dtype=policy)(h)
        h = layers.Flatten(name="flat", dtype=policy)(h)
        super().__init__([images, z] if latent_dim else images, _logits(h, outputs))
        self.penultimate = "conv4"

    def image_filters(self):
        """The first layer's weights as images: float32 [width, 5, 5, C]."""
        return _kernels(self.get_layer("conv1_linear"))


@keras.saving.register_keras_serializable("tf_bigan")
class PaddedMaxPool(layers.Layer):
    """3x3 max pooling with stride 2 over maps padded by one pixel on every side. The padding is never the maximum.

    Keras' padding "same" would place the windows one pixel off, and zeros would win over negative activations.
    """

    def call(self, x):
        padding = [[0, 0], [1, 1], [1, 1], [0, 0]]
        return ops.max_pool(ops.pad(x, padding, constant_values=float("-inf")), 3, 2, padding="valid")


def _alexnet(image_shape, width, sync_batch_norm, seed, policy, network):
    """Returns (the input images, the flattened output of conv5)."""
    if min(image_shape[:2]) < 16:
        raise InputError(
            f"the convolutional encoder takes images of at least 16x16, not {image_shape[0]}x{image_shape[1]}"
        )
    if width % 4:
        raise InputError(f"width must be a multiple of 4 for the convolutional networks, found {width}")
    images = keras.Input(image_shape, name="images")
    h = layers.Rescaling(2.0, -1.0, name="centred", dtype=policy)(images)
    for name, channels, kernel, stride, padding, groups in ALEXNET:
        h = _convolution(h, channels * width // WIDTH, kernel, stride, padding, groups, name, network, seed, policy)
        if name != "conv1":
            h = BatchNorm(affine=True, synchronized=sync_batch_norm, name=f"{name}_norm", dtype=policy)(h)
        h = layers.LeakyReLU(SLOPE, name=name, dtype=policy)(h)
        if name in POOLED:
            h = PaddedMaxPool(name=name.replace("conv", "pool"), dtype=policy.name)(h)
    return images, layers.Flatten(name="flat", dtype=policy)(h)


def _edge(image_shape):
    height, width, _ = image_shape
    if height != width or height % 16 or not height:
        raise InputError(
            f"the convolutional G and D take square images of a multiple of 16 pixels, not {height}x{width}"
        )
    return height


def _convolution(h, channels, kernel, stride, padding, groups, name, network, seed, policy):
    # The padding is explicit: Keras' "same" pads strided convolutions with one pixel less in front.
    return Convolution(
        channels,
        kernel,
        stride,
        pad=padding,
        groups=groups,
        use_bias=False,
        kernel_initializer=normal_initializer(STDDEV, seed, f"{network}/{name}"),
        name=f"{name}_linear",
        dtype=policy,
    )(h)


def _deconvolution(h, channels, name, network, seed, policy):
    """Doubles the edge: the gradient of a 5x5 convolution with stride 2, padded by 2 on every side."""
    # The trim is explicit: Keras' "same" drops one pixel less in front.
    return TransposedConvolution(
        channels,
        KERNEL,
        2,
        trim=(2, 1),
        use_bias=False,
        kernel_initializer=normal_initializer(STDDEV, seed, f"{network}/{name}"),
        name=f"{name}_linear",
        dtype=policy,
    )(h)


def _add_code(h, z, name, network, seed, policy):
    """Adds W z to every pixel of `h`."""
    channels = h.shape[-1]
    stddev = STDDEV * KERNEL * KERNEL
    code = _linear(channels, f"{name}_z", network, seed, policy, stddev=stddev)(z)
    code = layers.Reshape((1, 1, channels), name=f"{name}_z_map", dtype=policy)(code)
    return layers.Add(name=f"{name}_sum", dtype=policy)([h, code])


def _linear(units, name, network, seed, policy, zero=False, stddev=STDDEV):
    initializer = "zeros" if zero else normal_initializer(stddev, seed, f"{network}/{name}")
    return layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name, dtype=policy)


def _logits(h, outputs):
    return layers.Dense(outputs, use_bias=False, kernel_initializer="zeros", name="outputs", dtype="float32")(h)


def _kernels(layer):
    """A convolution's weights as images: float32 [channels out, height, width, channels in]."""
    return layer.kernel.numpy().transpose(3, 0, 1, 2)


def make(experiment, dtype, system) -> dict:
    """The networks of an experiment: {role: function without arguments that makes the network}.

    Args:
      experiment: an `Experiment` whose sizes are all set.
      dtype: the networks' dtype policy.
      system: the game's class, with `sees_codes` (D sees codes, too), `zero_encoder` (E's output layer starts at 0) and
        `featured` (the system is trained for D's features, so D has E's architecture).
    """
    shape, codes, units, shared = settings_of(experiment, dtype)
    outputs = outputs_of(experiment, system)

    def discriminator():
        if system.featured:
            return AlexNetDiscriminator(shape, outputs=outputs, **shared)
        return ConvDiscriminator(shape, codes if system.sees_codes else 0, outputs=outputs, **shared)

    return {
        "encoder": lambda: ConvEncoder(experiment.encoder_shape, units, zero_output=system.zero_encoder, **shared),
        "generator": lambda: ConvGenerator(shape, codes, skip=experiment.generator_skip, **shared),
        "discriminator": discriminator,
    }
