"""A model in use: what its networks, once trained, are asked for."""

import enum

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, nearest


class Stream(enum.IntEnum):
    """What noise is drawn for; each stream is independent of the others."""

    TRAINING = 0
    STATISTICS = 1
    GENERATE = 2


def feature_model(network: keras.Model, *layers: str) -> keras.Model:
    """The part of a network up to the layers so called, sharing its weights: images -> activations.

    "code" stands for the output, of which a prior makes the code. Of several layers the activations are a list.
    """
    outputs = [network.outputs[0] if layer == "code" else network.get_layer(layer).output for layer in layers]
    return keras.Model(network.inputs[0], outputs)


def feature_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a network, from the images up."""
    return [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]


def _shape(network, side):
    """A network's one input or output shape without the batch; None if it has no network, or none is known."""
    try:
        return tuple(getattr(network, f"{side}_shape")[1:])
    except AttributeError:
        return None


class PairModel(keras.Model):
    """Networks and a prior: codes and features of images, and images of codes.

    Args:
      prior: p(z), from `tf_bigan.priors`.
      encoder, generator, discriminator: the networks, those that the system has.
      seed: of the noise.

    Raises:
      InputError: networks whose shapes do not fit each other or the prior, or are not known.
    """

    # Whether E may take larger images than D and G (the paper's generalised BiGAN).
    two_sizes = False

    def __init__(self, prior, encoder=None, generator=None, discriminator=None, seed=0, name=None):
        super().__init__(name=name)
        self.prior = prior
        self.encoder = encoder
        self.generator = generator
        self.discriminator = discriminator
        self.seed = seed
        self._compiled = {}
        self._check_networks()

    def _check_networks(self):
        latent_dim = getattr(self.prior, "latent_dim", None)
        if latent_dim is None:
            raise InputError(f"prior must be one of tf_bigan.priors, found {self.prior!r}")
        for role, side, what in (("encoder", "output", "gives codes"), ("generator", "input", "takes codes")):
            network = self.networks.get(role)
            shape = _shape(network, side)
            if network is not None and shape is None:
                raise InputError(f"the {role} must be a functional Keras model, or a Sequential one with a keras.Input")
            if shape not in (None, (latent_dim,)):
                raise InputError(f"the {role} {what} of shape {shape}, but the prior has {latent_dim} dimensions")
        read, made = _shape(self.encoder, "input"), _shape(self.generator, "output")
        self.reduces = bool(read and made) and read != made
        if self.reduces and not self.two_sizes:
            raise InputError(
                f"the encoder takes images of shape {read}, but the generator gives {made}; in {self.name} the "
                "encoder works on G's images, or G on the encoder's, so that both must agree"
            )
        if self.reduces and (read[-1] != made[-1] or min(read[0] - made[0], read[1] - made[1]) < 0):
            raise InputError(f"the encoder takes images of shape {read}, which do not reduce to the generator's {made}")

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The networks this system has, by role."""
        roles = {"encoder": self.encoder, "generator": self.generator, "discriminator": self.discriminator}
        return {role: network for role, network in roles.items() if network is not None}

    @property
    def image_shape(self):
        """(height, width, channels) of the images that `encode` and `features` take."""
        if self.encoder is not None:
            return tuple(self.encoder.input_shape[1:])
        return tuple(self.generator.output_shape[1:])

    def noise(self, count, step, stream=Stream.TRAINING):
        """The z of a step: float32 [count, latent_dim], from (seed, stream, step) alone."""
        step = tf.cast(step, tf.int64) * len(Stream) + stream
        return self.prior.sample(count, tf.stack([tf.constant(self.seed, tf.int64), step]))

    def call(self, images, training=False):
        """The game as a Keras layer is its encoder, or the network that stands in for one."""
        return self.feature_network(images, training=training)

    @property
    def feature_network(self) -> keras.Model:
        """The network whose layers `features` returns: the encoder; without one, the discriminator."""
        return self.discriminator if self.encoder is None else self.encoder

    def encode(self, images, batch_size=512):
        """E(x): float [N, H, W, C] in [0, 1] -> float32 [N, latent_dim] codes in the prior's support.

        Raises:
          InputError: images of the wrong shape or range, or a system without an encoder.
        """
        return self.features(images, "code", batch_size)

    def features(self, images, layer="penultimate", batch_size=512):
        """A layer's activations in inference mode.

        Args:
          images: float [N, H, W, C] in [0, 1].
          layer: "penultimate" (the one before the output: the paper's features), "code" (what `encode`
            returns), or a layer's name, as listed by `layer_names`.
          batch_size: images at a time.

        Returns:
          float32 [N, ...].

        Raises:
          InputError: images of the wrong shape or range, or an unknown layer.
        """
        function = self.feature_function(layer)
        self.check_images(images)
        return self._batched(function, images, batch_size)

    def feature_function(self, layer="penultimate"):
        """`features` as a compiled function of one batch: float32 tensor [N, H, W, C] -> float32 [N, ...].

        With a list of layers the function gives a list of theirs, from one pass through the network.
        """
        several = isinstance(layer, list | tuple)
        layers = layer if several else [layer]
        if "code" in layers:
            self._require("encoder", "encode")
        names = tuple(each if each == "code" else self.layer_name(each) for each in layers)
        if names not in self._compiled:
            part = feature_model(self.feature_network, *names)

            def features(x):
                found = zip(names, tf.nest.flatten(part(x, training=False)), strict=True)
                return [self.prior.code(h) if name == "code" else tf.cast(h, tf.float32) for name, h in found]

            self._compile(names, features, self.image_shape)
        function = self._compiled[names]
        return function if several else lambda x: function(x)[0]

    def layer_name(self, layer="penultimate") -> str:
        """The name of the layer that `features` calls `layer`. Raises InputError for an unknown one."""
        name = layer
        if layer == "penultimate":
            name = getattr(self.feature_network, "penultimate", self.layer_names[-2:][0])
        if name not in self.layer_names:
            raise InputError(
                f"unknown layer {layer!r}.{nearest(str(layer), ['penultimate', 'code', *self.layer_names])}"
            )
        return name

    @property
    def layer_names(self) -> list[str]:
        """The layers that `features` can return, from the images up."""
        return [layer.name for layer in feature_layers(self.feature_network)]

    def generate(self, count=None, seed=0, z=None, batch_size=512):
        """G(z): float32 images [N, H, W, C] in [0, 1].

        Args:
          count: how many to draw from the prior, from `seed`; or
          z: float [N, latent_dim], the codes to decode.
          seed: the same seed gives the same images.
          batch_size: images at a time.

        Raises:
          InputError: neither or both of count and z, or z of the wrong shape.
        """
        if (count is None) == (z is None):
            raise InputError("generate takes either a count or z")
        if z is None:
            if count < 0:
                raise InputError(f"count must be at least 0, found {count}")
            z = self.noise(count, seed, Stream.GENERATE)
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.prior.latent_dim:
            raise InputError(f"z must have shape [N, {self.prior.latent_dim}], got {list(z.shape)}")
        decode = self._compile(
            "generate", lambda z: tf.cast(self.generator(z, training=False), tf.float32), (self.prior.latent_dim,)
        )
        return self._batched(decode, z, batch_size)

    def reconstruct(self, images, batch_size=512):
        """G(E(x)): float [N, H, W, C] in [0, 1] -> float32 of that range, and of that shape unless G's is smaller.

        Raises:
          InputError: as `encode`.
        """
        return self.generate(z=self.encode(images, batch_size), batch_size=batch_size)

    def reduced(self, images):
        """Images as D and G have them: where these are smaller than E's, resized by Lanczos' filter, antialiased.

        The paper's g_X. Float32 [N, H, W, C] in [0, 1] -> the same, perhaps at another size; tensors or arrays.
        """
        if not self.reduces:
            return images
        height, width, _ = self.generator.output_shape[1:]
        small = tf.image.resize(images, (height, width), "lanczos3", antialias=True)
        small = tf.clip_by_value(small, 0.0, 1.0)
        return small.numpy() if isinstance(images, np.ndarray) else small

    def _compile(self, key, function, shape):
        """`function` of a float32 batch of `shape`, traced once per key."""
        if key not in self._compiled:
            signature = [tf.TensorSpec((None, *shape), tf.float32)]
            # Its one trace: TensorFlow takes the functions of several models for one that is traced too often.
            traced = tf.function(function, input_signature=signature).get_concrete_function()
            self._compiled[key] = lambda x: traced(tf.convert_to_tensor(x, tf.float32))
        return self._compiled[key]

    def _batched(self, function, inputs, batch_size):
        """`function` over `inputs`, a batch at a time, as one numpy array."""
        inputs = np.asarray(inputs, np.float32)
        if not len(inputs):  # which not every kernel takes
            return function(np.zeros((1, *inputs.shape[1:]), np.float32)).numpy()[:0]
        starts = range(0, len(inputs), batch_size)
        return np.concatenate([function(inputs[i : i + batch_size]).numpy() for i in starts])

    def _require(self, role, what):
        if role not in self.networks:
            raise InputError(f"{self.name} has no {role}, so it cannot {what}")

    def check_images(self, images):
        """Raises InputError unless `images` are finite numbers [N, H, W, C] in [0, 1] of this game's shape."""
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            want = ", ".join(map(str, self.image_shape))
            raise InputError(f"images must have shape [N, {want}], got {list(images.shape)}")
        if not np.issubdtype(images.dtype, np.floating):
            raise InputError(f"images must be float in [0, 1], got {images.dtype}; divide uint8 by 255")
        if not images.size:
            return
        low, high = images.min(), images.max()  # NaN if any is
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError("images contain NaN or infinite pixels")
        if low < 0 or high > 1:
            raise InputError(f"image values must lie in [0, 1], got [{low:.6g}, {high:.6g}]")
