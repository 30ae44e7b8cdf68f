"""The convolutional networks of Dumoulin et al. 2017 (ALI), appendix A. `ali_architectures.py` has their layers.

No convolution is padded. E outputs a mean and the logarithm of a standard deviation for each dimension of the code. G,
the paper's decoder, has an output bias for each pixel and channel. D has three parts: D(x) for images, D(z) for codes,
and a joint part for the concatenated features of both. Weights are initialised from N(0, 0.01^2), biases with 0.

Kernels have the shapes that Keras' layers use: (rows, columns, channels in, channels out) for convolutions and (rows,
columns, channels out, channels in) for transposed convolutions. `Maxout` documents the order of its channels.
"""

import keras
from keras import layers

from tf_bigan.networks.ali_layers import Builder
from tf_bigan.networks.layers import Network, OutputBias, outputs_of, settings_of


@keras.saving.register_keras_serializable("tf_bigan")
class ALIEncoder(Network):
    """E: images -> the parameters of q(z | x).

    Input "images", float32 [N, edge, edge, channels] in [0, 1]. Output float32 [N, 2 * latent_dim]: latent_dim means,
    then as many logarithms of standard deviations. Layer names: for each n from 1, "conv<n>_linear" (the convolution),
    "conv<n>_norm" (its batch norm) and "conv<n>" (after the rectifier); "outputs".

    Args:
      image_shape: (height, width, channels).
      latent_dim: dimensions of the code; None = the paper's.
      architecture: a name in `ARCHITECTURES`.
      width: channels of the first convolution; the channels of all other layers scale with it. 0 = the paper's.
      gaussian: whether E outputs log standard deviations; if not, the output is float32 [N, latent_dim].
      conditional: whether the network has a further input, "embedding", float32 [N, units]: the output of an
        `ALIEmbedding` of the same architecture and width. E's output layer takes it beside the last features.
      zero_output: initialise the output layer with zeros.
      stddev: standard deviation of the initial weights; 0 = the paper's 0.01.
      sync_batch_norm: compute batch statistics over all replicas.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy. The output layer is always float32.

    Raises:
      InputError: the architecture is unknown, the images do not have the size that it takes, or the width does not give
        every layer a whole number of channels.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=None,
        architecture="ali_cifar10",
        width=0,
        gaussian=True,
        conditional=False,
        zero_output=False,
        stddev=0.0,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="encoder",
    ):
        build = Builder(architecture, image_shape, width, stddev, sync_batch_norm, seed, dtype, name)
        latent_dim = build.table.latent_dim if latent_dim is None else latent_dim
        images = keras.Input(image_shape, name="images")
        h = images
        for n, row in enumerate(build.table.encoder, start=1):
            h = build.convolution(h, row, f"conv{n}", use_bias=False)
            h = build.rectifier(build.norm(h, f"conv{n}"), f"conv{n}")
        units = latent_dim * (2 if gaussian else 1)
        inputs = images
        if conditional:
            inputs = [images, build.embedding_input()]
            h = build.concatenate([h, build.as_map(inputs[1], "embedding_map")], "outputs_inputs")
        outputs = build.outputs(h, units, zero=zero_output)
        super().__init__(inputs, outputs, latent_dim=latent_dim)
        self.penultimate = f"conv{len(build.table.encoder)}"

    def image_filters(self):
        """The first layer's weights as images: float32 [units, rows, columns, channels]."""
        return self.get_layer("conv1_linear").kernel.numpy().transpose(3, 0, 1, 2)


@keras.saving.register_keras_serializable("tf_bigan")
class ALIGenerator(Network):
    """G, the paper's decoder: codes -> images.

    Input "z", float32 [N, latent_dim]; output float32 [N, edge, edge, channels] in [0, 1]. Layer names: for each n from
    1, "deconv<n>_linear", "deconv<n>_norm" and "deconv<n>" (after the rectifier); "outputs_linear", "outputs" (after
    the bias), "images" (after the sigmoid). Arguments as for `ALIEncoder`; a conditional G takes z and the embedding
    side by side.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=None,
        architecture="ali_cifar10",
        width=0,
        conditional=False,
        stddev=0.0,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="generator",
    ):
        build = Builder(architecture, image_shape, width, stddev, sync_batch_norm, seed, dtype, name)
        latent_dim = build.table.latent_dim if latent_dim is None else latent_dim
        z = keras.Input((latent_dim,), name="z")
        inputs, h = z, build.as_map(z, "z_map")
        if conditional:
            inputs = [z, build.embedding_input()]
            h = build.concatenate([h, build.as_map(inputs[1], "embedding_map")], "deconv1_inputs")
        for n, row in enumerate(build.table.generator, start=1):
            h = build.deconvolution(h, row, f"deconv{n}")
            h = build.rectifier(build.norm(h, f"deconv{n}"), f"deconv{n}")
        h = build.deconvolution(h, (1, 1, image_shape[-1]), "outputs", scaled=False)
        # The bias is float32, as half precision rounds the large log-odds of dark and bright pixels coarsely.
        h = OutputBias(name="outputs", dtype="float32")(h)
        images = layers.Activation("sigmoid", name="images", dtype="float32")(h)
        super().__init__(inputs, images, latent_dim=latent_dim)

    def set_mean(self, images):
        """Sets the output bias from images, float [N, edge, edge, channels] in [0, 1]; see `OutputBias.set_mean`."""
        self.get_layer("outputs").set_mean(images)

    def image_filters(self):
        """The output layer's weights as images of one pixel: float32 [units, 1, 1, channels]."""
        return self.get_layer("outputs_linear").kernel.numpy().transpose(3, 0, 1, 2)


@keras.saving.register_keras_serializable("tf_bigan")
class ALIDiscriminator(Network):
    """D: (images, codes) -> the logit that the pair is (x, E(x)) rather than (G(z), z).

    Inputs "images", float32 [N, edge, edge, channels] in [0, 1], and "z", float32 [N, latent_dim]; output float32
    [N, 1]. With latent_dim = 0, D judges images alone: "images" is the only input, and the joint part receives only the
    features of D(x).

    Layer names: for each n from 1, "x_conv<n>", "z_conv<n>" and "joint<n>" (after the rectifier or maxout). With the
    same prefix, for example "x_conv1", there are "x_conv1_dropout" (its inputs after dropout), "x_conv1_linear" (the
    convolution) and, where it has a batch norm, "x_conv1_norm". Also "joint_inputs" (D(x)'s features, then D(z)'s, then
    the embedding of a conditional D) and "outputs".

    Dropout draws its masks from `tf_bigan.draws`, so D can be called in training mode only within a step. The batch
    norms compute statistics over the whole batch of a call: the paper passes real and generated pairs in one call.

    Args:
      outputs: 1, or the number of classes: D then returns float32 [N, outputs], a logit for each.
      dropout: True = as the paper's tables intend it: on the inputs of all layers, with one rate for the first layers
        of D(x) and D(z) and another rate for the rest. "as_coded" = as in the authors' code. For CIFAR-10 this code has
        no dropout on the inputs of D(x)'s third and fourth layers, but has dropout on the third layer's outputs.
        False = no dropout.

    The other arguments are as for `ALIEncoder`.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=None,
        architecture="ali_cifar10",
        width=0,
        conditional=False,
        dropout=True,
        outputs=1,
        stddev=0.0,
        sync_batch_norm=False,
        seed=0,
        dtype=None,
        name="discriminator",
    ):
        build = Builder(architecture, image_shape, width, stddev, sync_batch_norm, seed, dtype, name)
        table, latent_dim = build.table, build.table.latent_dim if latent_dim is None else latent_dim
        first, rest = table.dropout if dropout else (0.0, 0.0)
        before, after = [first] + [rest] * (len(table.images) - 1), [0.0] * len(table.images)
        if dropout == "as_coded" and table.as_coded:
            before, after = table.as_coded

        images = keras.Input(image_shape, name="images")
        h = images
        for n, row in enumerate(table.images, start=1):
            part, normed = f"x_conv{n}", table.normed and n > 1
            h = build.dropout(h, before[n - 1], f"{part}_dropout")
            h = build.convolution(h, row, part, use_bias=not normed)
            h = build.norm(h, part) if normed else h
            h = build.activation(build.dropout(h, after[n - 1], f"{part}_linear_dropout"), part)
        inputs, parts = [images], [h]
        if latent_dim:
            z = keras.Input((latent_dim,), name="z")
            inputs.append(z)
            codes = build.as_map(z, "z_map")
            for n, row in enumerate(table.codes, start=1):
                codes = build.dropout(codes, rest if n > 1 else first, f"z_conv{n}_dropout")
                codes = build.convolution(codes, row, f"z_conv{n}", use_bias=table.code_bias)
                codes = build.activation(codes, f"z_conv{n}")
            parts.append(codes)
        if conditional:
            inputs.append(build.embedding_input())
            parts.append(build.as_map(inputs[-1], "embedding_map"))
        h = build.concatenate(parts, "joint_inputs") if len(parts) > 1 else h
        for n, row in enumerate(table.joint, start=1):
            h = build.convolution(build.dropout(h, rest, f"joint{n}_dropout"), row, f"joint{n}", use_bias=True)
            h = build.activation(h, f"joint{n}")
        logits = build.outputs(build.dropout(h, rest, "outputs_dropout"), outputs)
        super().__init__(inputs if len(inputs) > 1 else images, logits, latent_dim=latent_dim)
        self.penultimate = f"joint{len(table.joint)}"

    def image_filters(self):
        """The first layer's weights as images: float32 [units, rows, columns, channels]."""
        return self.get_layer("x_conv1_linear").kernel.numpy().transpose(3, 0, 1, 2)


@keras.saving.register_keras_serializable("tf_bigan")
class ALIEmbedding(Network):
    """The embedding of attributes, which conditional E, G and D share: one linear layer with a bias.

    Input "attributes", float32 [N, attributes], such as 0 and 1; output float32 [N, units]. Layer name: "outputs". The
    layer is float32 whatever the dtype.

    Args:
      attributes: number of attributes of an example.
      architecture, width, stddev, seed, dtype: as for `ALIEncoder`. The paper's 256 units scale with the width.
    """

    def __init__(
        self, attributes=40, architecture="ali_cifar10", width=0, stddev=0.0, seed=0, dtype=None, name="embedding"
    ):
        build = Builder(architecture, None, width, stddev, False, seed, dtype, name)
        y = keras.Input((attributes,), name="attributes")
        super().__init__(y, layers.Dense(build.embedding_units, **build.dense_settings("outputs"))(y))


def make(experiment, dtype, system) -> dict:
    """The networks of an experiment: {role: function without arguments that makes the network}.

    The embedding is for conditional systems only, which alone know the number of attributes.

    Args:
      experiment: an `Experiment` whose sizes are all set; `networks` is a name in `ARCHITECTURES`.
      dtype: the networks' dtype policy.
      system: the game's class, with `sees_codes` (D sees codes, too), `zero_encoder` (E's output layer starts at 0) and
        `conditional` (E, G and D take an embedding of attributes).
    """
    shape, codes, units, shared = settings_of(experiment, dtype)
    shared |= {"architecture": experiment.networks, "stddev": experiment.init_stddev}
    alone = {name: value for name, value in shared.items() if name != "sync_batch_norm"}
    shared["conditional"] = system.conditional
    embedding = {"stddev": experiment.embedding_stddev or experiment.init_stddev}
    return {
        "encoder": lambda: ALIEncoder(
            experiment.encoder_shape,
            codes,
            gaussian=units > codes,
            zero_output=system.zero_encoder,
            **shared,
        ),
        "generator": lambda: ALIGenerator(shape, codes, **shared),
        "discriminator": lambda: ALIDiscriminator(
            shape,
            codes if system.sees_codes else 0,
            dropout=experiment.dropout,
            outputs=outputs_of(experiment, system),
            **shared,
        ),
        "embedding": lambda: ALIEmbedding(experiment.attributes, **alone | embedding),
    }
