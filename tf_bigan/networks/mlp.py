"""The permutation-invariant networks of Donahue et al. 2017, section 4.1 and appendix C (MNIST).

Each network has two hidden layers, and there are no biases anywhere. z enters G at its input and again at the second
hidden layer, and D at its second hidden layer. Batch norms have neither gain nor bias; they follow both hidden layers
of G but only the second of D and of E. Weights are initialised from N(0, 0.02^2), except that D's output layer starts
at exactly 0, so that D's first logits are all 0.
"""

import math

import keras
from keras import layers

from tf_bigan.networks.layers import BatchNorm, Network, normal_initializer, outputs_of, settings_of

SLOPE = 0.2  # of the leaky rectifiers in D and E
STDDEV = 0.02  # of the initial weights


@keras.saving.register_keras_serializable("tf_bigan")
class MLPEncoder(Network):
    """E: images -> the raw outputs a that a posterior turns into codes.

    Input float32 [N, height, width, channels] in [0, 1]; output float [N, latent_dim].
    Layer names: "h1", "h2" (after the rectifiers), "outputs".

    Args:
      image_shape: (height, width, channels).
      latent_dim: number of outputs: the dimensions of the code, or twice as many for a Gaussian posterior.
      width: units in each hidden layer.
      zero_output: initialise the output layer with zeros (for the latent regressors) rather than from N(0, 0.02^2).
      sync_batch_norm: compute batch statistics over all replicas.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=50,
        width=1024,
        zero_output=False,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="encoder",
    ):
        policy = keras.dtype_policies.get(dtype)
        images = keras.Input(image_shape, name="images")
        h = layers.Flatten(name="flat", dtype=policy)(images)
        h = _linear(width, "h1_linear", name, seed, policy)(h)
        h = layers.LeakyReLU(SLOPE, name="h1", dtype=policy)(h)
        h = _linear(width, "h2_linear", name, seed, policy)(h)
        h = BatchNorm(synchronized=sync_batch_norm, name="h2_norm", dtype=policy)(h)
        h = layers.LeakyReLU(SLOPE, name="h2", dtype=policy)(h)
        outputs = _linear(latent_dim, "outputs", name, seed, policy, zero=zero_output)(h)
        super().__init__(images, outputs)
        self.penultimate = "h2"

    def image_filters(self):
        """The first layer's weights as images: float32 [width, H, W, C]."""
        return _as_images(self.get_layer("h1_linear").kernel.numpy().T, self._config["image_shape"])


@keras.saving.register_keras_serializable("tf_bigan")
class MLPGenerator(Network):
    """G: codes -> images.

    Input float32 [N, latent_dim]; output float [N, height, width, channels] in [0, 1].

    Args:
      skip: feed z to the second hidden layer as well. The authors' code does so; the paper does not say.

    The other arguments are as for `MLPEncoder`.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=50,
        width=1024,
        skip=True,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="generator",
    ):
        policy = keras.dtype_policies.get(dtype)
        z = keras.Input((latent_dim,), name="z")
        h = _linear(width, "h1_linear", name, seed, policy)(z)
        h = BatchNorm(synchronized=sync_batch_norm, name="h1_norm", dtype=policy)(h)
        h = layers.ReLU(name="h1", dtype=policy)(h)
        h = _linear(width, "h2_linear", name, seed, policy)(h)
        if skip:
            h = layers.Add(name="h2_sum", dtype=policy)([h, _linear(width, "h2_z", name, seed, policy)(z)])
        h = BatchNorm(synchronized=sync_batch_norm, name="h2_norm", dtype=policy)(h)
        h = layers.ReLU(name="h2", dtype=policy)(h)
        h = _linear(math.prod(image_shape), "outputs", name, seed, policy)(h)
        h = layers.Activation("sigmoid", name="pixels", dtype=policy)(h)
        images = layers.Reshape(image_shape, name="images", dtype=policy)(h)
        super().__init__(z, images)

    def image_filters(self):
        """The last layer's weights as images: float32 [width, H, W, C]."""
        return _as_images(self.get_layer("outputs").kernel.numpy(), self._config["image_shape"])


@keras.saving.register_keras_serializable("tf_bigan")
class MLPDiscriminator(Network):
    """D: (images, codes) -> the logit that the pair is (x, E(x)) rather than (G(z), z).

    Inputs float32 [N, height, width, channels] in [0, 1] and float32 [N, latent_dim]; output float32 [N, 1].
    With latent_dim = 0, D judges images alone, as in a plain GAN, and takes them as its only input.
    Layer names: "h1", "h2" (after the rectifiers), "outputs".

    Args:
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.
      norm: whether D has its batch norm.

    The other arguments are as for `MLPEncoder`.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=50,
        width=1024,
        outputs=1,
        norm=True,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        policy = keras.dtype_policies.get(dtype)
        images = keras.Input(image_shape, name="images")
        h = layers.Flatten(name="flat", dtype=policy)(images)
        h = _linear(width, "h1_linear", name, seed, policy)(h)
        h = layers.LeakyReLU(SLOPE, name="h1", dtype=policy)(h)
        h = _linear(width, "h2_linear", name, seed, policy)(h)
        inputs = images
        if latent_dim:
            z = keras.Input((latent_dim,), name="z")
            inputs = [images, z]
            h = layers.Add(name="h2_sum", dtype=policy)([h, _linear(width, "h2_z", name, seed, policy)(z)])
        if norm:
            h = BatchNorm(synchronized=sync_batch_norm, name="h2_norm", dtype=policy)(h)
        h = layers.LeakyReLU(SLOPE, name="h2", dtype=policy)(h)
        logits = layers.Dense(outputs, use_bias=False, kernel_initializer="zeros", name="outputs", dtype="float32")(h)
        super().__init__(inputs, logits)
        self.penultimate = "h2"

    def image_filters(self):
        """The first layer's weights as images: float32 [width, H, W, C]."""
        return _as_images(self.get_layer("h1_linear").kernel.numpy().T, self._config["image_shape"])


def _linear(units, name, network, seed, policy, zero=False):
    initializer = "zeros" if zero else normal_initializer(STDDEV, seed, f"{network}/{name}")
    return layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name, dtype=policy)


def _as_images(rows, image_shape):
    return rows.reshape(len(rows), *image_shape)


def make(experiment, dtype, system) -> dict:
    """The networks of an experiment: {role: function without arguments that makes the network}.

    Args:
      experiment: an `Experiment` whose sizes are all set.
      dtype: the networks' dtype policy.
      system: the game's class, with `sees_codes` (D sees codes, too) and `zero_encoder` (E's output layer starts at 0).
    """
    shape, codes, units, shared = settings_of(experiment, dtype)
    return {
        "encoder": lambda: MLPEncoder(experiment.encoder_shape, units, zero_output=system.zero_encoder, **shared),
        "generator": lambda: MLPGenerator(shape, codes, skip=experiment.generator_skip, **shared),
        "discriminator": lambda: MLPDiscriminator(
            shape,
            codes if system.sees_codes else 0,
            outputs=outputs_of(experiment, system),
            norm=experiment.discriminator_norm,
            **shared,
        ),
    }
