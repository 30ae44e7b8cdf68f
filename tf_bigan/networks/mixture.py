"""The permutation-invariant networks of Dumoulin et al. 2017 (ALI), section 5.1 and code, for points of a mixture.

E takes noise beside its points, so that it draws codes from a distribution without an explicit density. Each hidden
layer of E and G is a dense layer without bias, a batch norm with gain and bias, and a rectifier. Each hidden layer of D
has maxout units of five pieces, with biases and without batch norm. Output layers are linear, with biases. Biases start
from 0.

Half precision would round coordinates by about as much as the mixture's components are wide. So the first layer, whose
inputs are coordinates, and the output layer are float32 whatever the precision.
"""

import math

import keras
from keras import layers

from tf_bigan.networks.layers import BatchNorm, Maxout, Network, normal_initializer, outputs_of, settings_of

STDDEV = 0.02  # of the initial weights
EPSILON = 1e-4  # of the batch norms
MOMENTUM = 0.95  # of their running statistics
PIECES = 5  # of the maxout units


@keras.saving.register_keras_serializable("tf_bigan")
class MixtureEncoder(Network):
    """E: (points, noise) -> codes.

    Inputs "points", float32 [N, *point_shape], and "noise", float32 [N, latent_dim], which the caller draws from
    N(0, 1); output float32 [N, latent_dim]. Layer names: for n in 1 and 2, "h<n>_linear", "h<n>_norm" and "h<n>" (after
    the rectifier); "outputs".

    Args:
      point_shape: (dimensions,).
      latent_dim: dimensions of the code.
      width: units in each hidden layer.
      noise: whether E takes noise; if not, the points are its only input and determine the codes.
      gaussian: whether the output is float32 [N, 2 * latent_dim]: means, then logarithms of standard deviations.
      zero_output: initialise the output layer with zeros.
      stddev: standard deviation of the initial weights; 0 = the paper's 0.02.
      sync_batch_norm: compute batch statistics over all replicas.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy.
    """

    def __init__(
        self,
        point_shape=(2,),
        latent_dim=2,
        width=400,
        noise=True,
        gaussian=False,
        zero_output=False,
        stddev=0.0,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="encoder",
    ):
        policy = keras.dtype_policies.get(dtype)
        inputs = points = keras.Input(point_shape, name="points")
        h = points
        if noise:
            inputs = [points, keras.Input((latent_dim,), name="noise")]
            h = layers.Concatenate(name="joint_inputs", dtype="float32")(inputs)
        for n in (1, 2):
            h = _hidden(h, width, n, name, stddev, sync_batch_norm, seed, policy)
        units = latent_dim * (2 if gaussian else 1)
        outputs = _linear(units, "outputs", name, stddev, seed, "float32", zero=zero_output)(h)
        super().__init__(inputs, outputs)
        self.penultimate = "h2"


@keras.saving.register_keras_serializable("tf_bigan")
class MixtureGenerator(Network):
    """G, the paper's decoder: codes -> points.

    Input "z", float32 [N, latent_dim]; output float32 [N, *point_shape], without bounds. Layer names as for
    `MixtureEncoder`.

    Args:
      depth: number of hidden layers.

    The other arguments are as for `MixtureEncoder`.
    """

    def __init__(
        self,
        point_shape=(2,),
        latent_dim=2,
        width=400,
        depth=4,
        stddev=0.0,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="generator",
    ):
        policy = keras.dtype_policies.get(dtype)
        z = keras.Input((latent_dim,), name="z")
        h = z
        for n in range(1, depth + 1):
            h = _hidden(h, width, n, name, stddev, sync_batch_norm, seed, policy)
        points = _linear(math.prod(point_shape), "outputs", name, stddev, seed, "float32")(h)
        super().__init__(z, points)


@keras.saving.register_keras_serializable("tf_bigan")
class MixtureDiscriminator(Network):
    """D: (points, codes) -> the logit that the pair is (x, E(x)) rather than (G(z), z).

    Inputs "points", float32 [N, *point_shape], and "z", float32 [N, latent_dim]; output float32 [N, 1]. With
    latent_dim = 0, D judges points alone, as in a plain GAN, and takes them as its only input. Layer names: for n in
    1 ... 3, "h<n>_linear" and "h<n>" (the maximum of the pieces); "outputs".

    Args:
      width: units in each hidden layer, after the maximum.
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.

    The other arguments are as for `MixtureEncoder`.
    """

    def __init__(
        self,
        point_shape=(2,),
        latent_dim=2,
        width=200,
        outputs=1,
        stddev=0.0,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        policy = keras.dtype_policies.get(dtype)
        inputs = points = keras.Input(point_shape, name="points")
        h = points
        if latent_dim:
            inputs = [points, keras.Input((latent_dim,), name="z")]
            h = layers.Concatenate(name="joint_inputs", dtype="float32")(inputs)
        for n in (1, 2, 3):
            h = _linear(PIECES * width, f"h{n}_linear", name, stddev, seed, "float32" if n == 1 else policy)(h)
            h = Maxout(PIECES, name=f"h{n}", dtype=policy)(h)
        logits = _linear(outputs, "outputs", name, stddev, seed, "float32")(h)
        super().__init__(inputs, logits)
        self.penultimate = "h3"


def _hidden(h, width, n, network, stddev, sync_batch_norm, seed, policy):
    # The first layer's norm is float32, too: near points differ by little compared with their coordinates.
    precise = "float32" if n == 1 else policy
    h = _linear(width, f"h{n}_linear", network, stddev, seed, precise, use_bias=False)(h)
    h = BatchNorm(
        affine=True,
        epsilon=EPSILON,
        synchronized=sync_batch_norm,
        momentum=MOMENTUM,
        name=f"h{n}_norm",
        dtype=precise,
    )(h)
    return layers.ReLU(name=f"h{n}", dtype=policy)(h)


def _linear(units, name, network, stddev, seed, policy, use_bias=True, zero=False):
    normal = normal_initializer(stddev or STDDEV, seed, f"{network}/{name}")
    initializer = "zeros" if zero else normal
    return layers.Dense(units, use_bias=use_bias, kernel_initializer=initializer, name=name, dtype=policy)


def make(experiment, dtype, system) -> dict:
    """The networks of an experiment: {role: function without arguments that makes the network}.

    Args:
      experiment: an `Experiment` whose sizes are all set; `width` is that of E and G, and D has half of it.
      dtype: the networks' dtype policy.
      system: the game's class, with `sees_codes` (D sees codes, too) and `zero_encoder` (E's output layer starts at 0).
    """
    shape, codes, units, shared = settings_of(experiment, dtype)
    shared |= {"stddev": experiment.init_stddev}
    own = shared | {"width": max(experiment.width // 2, 1)}
    del own["sync_batch_norm"]  # D has no batch norm
    return {
        "encoder": lambda: MixtureEncoder(
            shape,
            codes,
            noise=experiment.posterior == "implicit",
            gaussian=units > codes,
            zero_output=system.zero_encoder,
            **shared,
        ),
        "generator": lambda: MixtureGenerator(shape, codes, **shared),
        "discriminator": lambda: MixtureDiscriminator(
            shape, codes if system.sees_codes else 0, outputs=outputs_of(experiment, system), **own
        ),
    }
