"""A model in use: what its networks, once trained, are asked for."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.domains import domain_of, numbers, shown, whole_number
from tf_bigan.draws import GENERATION, Draws
from tf_bigan.errors import InputError, nearest
from tf_bigan.games.compiled import in_batches, traced_once
from tf_bigan.games.records import CONDITIONS, checked_condition
from tf_bigan.preparation import Preparation
from tf_bigan.priors import Implicit, make_posterior

# What a network may take beside its first inputs and conditions, by the name of its input.
NOISE = "noise"


def feature_model(network: keras.Model, *layers: str) -> keras.Model:
    """The part of a network up to the layers so called, sharing its weights: inputs -> activations.

    "code" stands for the output, of which a posterior makes the code. Of several layers the activations are a list.
    """
    outputs = [network.outputs[0] if layer == "code" else network.get_layer(layer).output for layer in layers]
    return keras.Model(network.inputs[0] if len(network.inputs) == 1 else network.inputs, outputs)


def feature_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a network, from the examples up."""
    return [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]


def input_names(network: keras.Model) -> list[str]:
    """The names of a network's inputs, in their order."""
    return [tensor.name for tensor in network.inputs]


def asked_inputs(network: keras.Model, first: int = 1) -> dict:
    """What a network asks for by name, after its first inputs: {"label", "attributes" or "noise": its input}."""
    asked = {tensor.name: tensor for tensor in network.inputs[first:]}
    return {name: asked[name] for name in (*CONDITIONS, NOISE) if name in asked}


def noise_shape(network: keras.Model, first: int = 1) -> tuple[int, ...] | None:
    """The shape of the noise that a network takes of an example, after its first inputs; None if it takes none."""
    tensor = asked_inputs(network, first).get(NOISE)
    return None if tensor is None else tuple(tensor.shape[1:])


def conditions_of(network: keras.Model) -> list[str]:
    """Which of "label" and "attributes" a network takes beside its first input."""
    return [name for name in asked_inputs(network) if name != NOISE]


def check_networks(networks):
    """Raises InputError unless `networks` is a dictionary, role -> Keras model of known inputs and outputs."""
    if not isinstance(networks, Mapping):
        raise InputError(f"networks must be a dictionary, role: Keras model, found {type(networks).__name__}")
    for role, network in networks.items():
        if not isinstance(network, keras.Model):
            raise InputError(f"the {role} among networks must be a Keras model, found {type(network).__name__}")
        if _shape(network, "inputs") is None or _shape(network, "outputs") is None:
            raise InputError(f"the {role} must be a functional Keras model, or a Sequential one with a keras.Input")
        noise = noise_shape(network)
        if noise is not None and None in noise:
            raise InputError(f"the {role} takes noise of shape {noise}, which must be known")


def penultimate(network: keras.Model) -> str:
    """The name of a network's feature layer: what it says itself, or the layer before its last.

    Raises:
      InputError: a network without a layer before its last.
    """
    layers = feature_layers(network)
    if len(layers) < 2:
        raise InputError(f"the {network.name} has no layer before its output, so it has no features")
    return getattr(network, "penultimate", layers[-2].name)


def _preparation(domain):
    """The preparation that the shape of examples tells; None for images that are not square."""
    if domain.name == "points":
        return Preparation(dimensions=domain.shape[0])
    height, width, channels = domain.shape
    return Preparation(height, channels) if height == width else None


class PairModel(keras.Model):
    """Networks, a prior and a posterior: codes and features of examples, and examples of codes.

    Examples are images, float32 [N, H, W, C] in [0, 1], or points, float32 [N, d], as the networks take them.

    Args:
      networks: role -> `keras.Model`, functional, or Sequential with a `keras.Input`. The encoder takes examples, the
        generator codes. Inputs called "label", "attributes" and "noise" follow those and are filled by name.
      prior: p(z), from `tf_bigan.priors`.
      posterior: how E's output becomes a code, from `tf_bigan.priors`, or its name; None = the prior's own.
      seed: of everything random.

    Attributes:
      preparation: a `Preparation`, what happens to examples before `encode` and `features`: what
        `open_data(..., like=model)` and exported modules do. None for images that are not square.

    Raises:
      InputError: networks whose shapes do not fit each other or the prior, or are not known; arguments of another type.
    """

    # Whether E may take larger images than D and G (the generalised BiGAN of Donahue et al. 2017, section 3.6).
    two_sizes = False

    def __init__(self, networks: Mapping[str, keras.Model], prior, posterior=None, seed=0, name=None):
        super().__init__(name=name)
        check_networks(networks)
        if isinstance(prior, type) or not all(hasattr(prior, each) for each in ("latent_dim", "sample", "posterior")):
            raise InputError(f"prior must be one of tf_bigan.priors, found {shown(prior)}; for example Normal(50)")
        self.prior = prior
        self.posterior = _posterior(prior.posterior if posterior is None else posterior)
        self.encoder = self.generator = self.discriminator = None
        self._roles = tuple(networks)
        for role, network in networks.items():
            setattr(self, role, network)  # Keras tracks networks that are attributes
        self.seed = _seed(seed)
        self._compiled = {}
        self._check_networks()
        self.domain = domain_of(self.example_shape)
        self.preparation = _preparation(self.domain)  # `make_game` replaces it by its experiment's

    def _check_networks(self):
        latent_dim = self.prior.latent_dim
        for role in ("encoder", "generator"):
            network = self.networks.get(role)
            if network is None:
                continue
            shape = _shape(network, "outputs" if role == "encoder" else "inputs")
            if role == "generator" and shape != (latent_dim,):
                raise InputError(
                    f"the generator takes codes of shape {shape}, but the prior has {latent_dim} dimensions"
                )
            units = self.posterior.units(latent_dim)
            if role == "encoder" and shape != (units,):
                what = "dimensions" if units == latent_dim else f"dimensions, and the posterior takes {units} outputs"
                raise InputError(f"the encoder gives codes of shape {shape}, but the prior has {latent_dim} {what}")
        if isinstance(self.posterior, Implicit) and self.encoder is not None and noise_shape(self.encoder) is None:
            raise InputError(
                "the posterior implicit needs an encoder with an input called 'noise'; networks=mixture has one"
            )
        taken, made = _shape(self.encoder, "inputs"), _shape(self.generator, "outputs")
        self.reduces = bool(taken and made) and taken != made
        if self.reduces and not (self.two_sizes and len(taken) == len(made) == 3):
            raise InputError(
                f"the encoder takes examples of shape {taken}, but the generator gives {made}; in {self.name} the "
                "encoder works on G's examples, or G on the encoder's, so that both must agree"
            )
        if self.reduces and (taken[-1] != made[-1] or min(taken[0] - made[0], taken[1] - made[1]) < 0):
            raise InputError(
                f"the encoder takes images of shape {taken}, which do not reduce to the generator's {made}"
            )

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The networks this system has, by role."""
        return {role: getattr(self, role) for role in self._roles}

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of the examples that `encode` and `features` take, without the batch."""
        if self.encoder is not None:
            return _shape(self.encoder, "inputs")
        return _shape(self.generator, "outputs")

    @property
    def conditions(self) -> tuple[str, ...]:
        """Which of "label" and "attributes" the networks take."""
        taken = {name for network in self.networks.values() for name in conditions_of(network)}
        return tuple(name for name in CONDITIONS if name in taken)

    def noise(self, count, step, purpose="training"):
        """The z of a step: float32 [count, latent_dim], from (seed, purpose, step) alone."""
        return Draws(self.seed, step, count, purpose).codes(self.prior)

    def call(self, examples, training=False):
        """The game as a Keras layer is its encoder, or the network that stands in for one, with noise 0.

        Raises:
          InputError: a network that takes a label or attributes, too.
        """
        network = self.feature_network
        if asked := conditions_of(network):
            raise InputError(f"the {network.name} of {self.name} takes a {asked[0]} too; encode and generate take one")
        return network(self.inputs_of(network, [examples], {}), training=training)

    @property
    def feature_network(self) -> keras.Model:
        """The network whose layers `features` returns: the encoder; without one, the discriminator."""
        return self.discriminator if self.encoder is None else self.encoder

    def encode(self, examples, batch_size=512, sample=False, seed=0, **conditions):
        """E(x), as the posterior makes codes of it: float examples [N, ...] -> float32 [N, latent_dim].

        Args:
          examples: in the model's domain, as images in [0, 1].
          batch_size: examples at a time.
          sample: draw codes from the posterior, and the encoder's noise if it takes any, from `seed`; else take the
            posterior's mean, at noise 0. Squashed and linear posteriors have no other code than their mean.
          seed: of the draws.
          **conditions: label=int [N] or attributes=float [N, k], where the encoder takes them. Labels are at least 0;
            truth values and floats that are whole are labels, too.

        Raises:
          InputError: examples of the wrong shape or range, conditions that are missing, of the wrong shape or no labels
            or attributes, or a system without an encoder.
        """
        self._require("encoder", "encode")
        self.domain.check(examples)
        examples = np.asarray(examples)
        draws = Draws(_seed(seed), 0, len(examples), GENERATION) if sample else None
        # Published models with an implicit posterior have drawn their encoder's noise by the posterior's name.
        name = "posterior" if isinstance(self.posterior, Implicit) else "encoder/noise"
        noise = _normal(draws, name, len(examples), noise_shape(self.encoder))
        deviation = _normal(draws, "posterior", len(examples), (self.prior.latent_dim,))
        extra = self._extra_inputs("encoder", len(examples), conditions)

        def code(x, noise, deviation, *extra):
            inputs = self.inputs_of(self.encoder, [x], dict(zip(CONDITIONS, extra, strict=True)), noise)
            outputs = self.encoder(inputs, training=False)
            return self.posterior.sample(outputs, deviation) if sample else self.posterior.mean(outputs)

        return self._batched(f"encode/{bool(sample)}", code, [examples, noise, deviation, *extra], batch_size)

    def features(self, examples, layer="penultimate", batch_size=512):
        """A layer's activations in inference mode.

        Args:
          examples: float [N, ...] in the model's domain, as images in [0, 1].
          layer: "penultimate" (the one before the output: the paper's features), "code" (what `encode`
            returns), or a layer's name, as listed by `layer_names`.
          batch_size: examples at a time.

        Returns:
          float32 [N, ...].

        Raises:
          InputError: examples of the wrong shape or range, or an unknown layer.
        """
        function = self.feature_function(layer)
        self.domain.check(examples)
        return in_batches(function, [np.asarray(examples, np.float32)], whole_number(batch_size, "batch_size", 1))

    def feature_function(self, layer="penultimate"):
        """`features` as a compiled function of one batch: float32 tensor [N, ...] -> float32 [N, ...].

        With a list of layers the function gives a list of theirs, from one pass through the network. A network's noise
        is 0.
        """
        several = isinstance(layer, list | tuple)
        layers = layer if several else [layer]
        if "code" in layers:
            self._require("encoder", "encode")
        names = tuple(each if each == "code" else self.layer_name(each) for each in layers)
        if names not in self._compiled:
            network = self.feature_network
            if asked := conditions_of(network):
                raise InputError(f"the features of {self.name} depend on a {asked[0]}; encode takes one")
            part = feature_model(network, *names)

            def features(x):
                found = tf.nest.flatten(part(self.inputs_of(network, [x], {}), training=False))
                pairs = zip(names, found, strict=True)
                return [self.posterior.mean(h) if name == "code" else tf.cast(h, tf.float32) for name, h in pairs]

            traced = traced_once(features, tf.zeros((0, *self.example_shape)), batches=True)
            self._compiled[names] = lambda x: traced(tf.convert_to_tensor(x, tf.float32))
        function = self._compiled[names]
        return function if several else lambda x: function(x)[0]

    def layer_name(self, layer="penultimate") -> str:
        """The name of the layer that `features` calls `layer`. Raises InputError for an unknown one."""
        name = penultimate(self.feature_network) if layer == "penultimate" else layer
        if name not in self.layer_names:
            raise InputError(
                f"unknown layer {layer!r}.{nearest(str(layer), ['penultimate', 'code', *self.layer_names])}"
            )
        return name

    @property
    def layer_names(self) -> list[str]:
        """The layers that `features` can return, from the examples up."""
        return [layer.name for layer in feature_layers(self.feature_network)]

    def generate(self, count=None, seed=0, z=None, batch_size=512, **conditions):
        """G(z): float32 examples [N, ...] in the model's domain, as images in [0, 1].

        Args:
          count: how many to draw from the prior, from `seed`; or
          z: float [N, latent_dim], the codes to decode.
          seed: the same seed gives the same examples. A generator's noise is drawn from it, too.
          batch_size: examples at a time.
          **conditions: label=int [N] or attributes=float [N, k], where the generator takes them, as for `encode`.

        Raises:
          InputError: neither or both of count and z, a count that is no whole number, z of the wrong shape, or
            conditions that are missing, of the wrong shape or no labels or attributes.
        """
        self._require("generator", "generate")
        if (count is None) == (z is None):
            raise InputError("generate takes either a count or z")
        seed = _seed(seed)
        if z is None:
            z = self.noise(whole_number(count, "count", 0), seed, GENERATION)
        z = numbers(z, "z").astype(np.float32)
        if z.ndim != 2 or z.shape[1] != self.prior.latent_dim:
            raise InputError(f"z must have shape [N, {self.prior.latent_dim}], got {list(z.shape)}")
        draws = Draws(self.seed, seed, len(z), GENERATION)
        noise = _normal(draws, "generator/noise", len(z), noise_shape(self.generator))
        extra = self._extra_inputs("generator", len(z), conditions)

        def decode(z, noise, *extra):
            inputs = self.inputs_of(self.generator, [z], dict(zip(CONDITIONS, extra, strict=True)), noise)
            return tf.cast(self.generator(inputs, training=False), tf.float32)

        return self._batched("generate", decode, [z, noise, *extra], batch_size)

    def reconstruct(self, examples, batch_size=512, sample=False, seed=0, **conditions):
        """G(E(x)): examples [N, ...] -> float32 of that range, and of that shape unless G's is smaller.

        Arguments and errors as of `encode`; a generator's noise is drawn from `seed` whether codes are or not.
        """
        self._require("encoder", "encode")
        self._require("generator", "generate")
        taken = {*conditions_of(self.encoder), *conditions_of(self.generator)}
        if unknown := sorted(map(str, conditions.keys() - taken)):
            raise InputError(f"the encoder and the generator of {self.name} take no {unknown[0]}")
        codes = self.encode(examples, batch_size, sample, seed, **_taken(self.encoder, conditions))
        return self.generate(z=codes, seed=seed, batch_size=batch_size, **_taken(self.generator, conditions))

    def reduced(self, images):
        """Images as D and G have them: where these are smaller than E's, resized by Lanczos' filter, antialiased.

        The paper's g_X. Float32 [N, H, W, C] in [0, 1] -> the same, perhaps at another size; tensors or arrays.
        """
        if not self.reduces:
            return images
        height, width, _ = _shape(self.generator, "outputs")
        small = tf.image.resize(images, (height, width), "lanczos3", antialias=True)
        small = tf.clip_by_value(small, 0.0, 1.0)
        return small.numpy() if isinstance(images, np.ndarray) else small

    def inputs_of(self, network, main, conditions, noise=None):
        """A network's inputs: `main`, then those that it asks for by name; noise that is not given is 0."""
        names = input_names(network)[len(main) :]
        if NOISE in names and noise is None:
            noise = tf.zeros((tf.shape(main[0])[0], *noise_shape(network, len(main))))
        # What is not asked for by a name of ours goes to the network's own call, which says that it is missing.
        named = {NOISE: noise, **conditions}
        inputs = [*main, *(named[name] for name in names if named.get(name) is not None)]
        if len(inputs) > 1:  # of which Keras does not take arrays beside tensors
            inputs = [tf.convert_to_tensor(each) if isinstance(each, np.ndarray) else each for each in inputs]
        return inputs if len(inputs) > 1 else inputs[0]

    def _extra_inputs(self, role, count, conditions):
        """The label and attributes of `count` examples as arrays, of width 0 where the network takes none."""
        network = self.networks[role]
        if unknown := conditions.keys() - set(CONDITIONS):
            raise InputError(f"unknown condition {sorted(unknown)[0]!r}; there are {' and '.join(CONDITIONS)}")
        taken = asked_inputs(network)
        arrays = []
        for name in CONDITIONS:
            if name in taken and conditions.get(name) is None:
                raise InputError(f"the {role} of {self.name} takes a {name}; give {name}=, one of each example")
            if name not in taken and name in conditions:
                raise InputError(f"the {role} of {self.name} takes no {name}")
            if name not in taken:
                arrays.append(np.zeros((count, 0), np.float32))
                continue
            shape, dtype = tuple(taken[name].shape[1:]), tf.as_dtype(taken[name].dtype)
            value = checked_condition(name, conditions[name], shape)
            if not fits(value.shape, (count, *shape)):
                raise InputError(
                    f"{name} must have shape [{', '.join(map(str, (count, *shape)))}], got {list(value.shape)}"
                )
            if dtype.is_integer and value.size and value.max() > dtype.max:
                raise InputError(f"the {role} takes a {name} of at most {dtype.max}, found {value.max()}")
            arrays.append(value.astype(dtype.as_numpy_dtype))
        return arrays

    def _batched(self, key, function, inputs, batch_size):
        """`function` of tensors, compiled once a key, over arrays of as many rows, a batch at a time; one array."""
        batch_size = whole_number(batch_size, "batch_size", 1)
        inputs = [np.asarray(each) for each in inputs]
        inputs = [each.astype(np.float32) if np.issubdtype(each.dtype, np.floating) else each for each in inputs]
        if key not in self._compiled:
            empty = (tf.zeros((0, *each.shape[1:]), each.dtype) for each in inputs)
            self._compiled[key] = traced_once(function, *empty, batches=True)
        return in_batches(self._compiled[key], inputs, batch_size)

    def _require(self, role, what):
        if role not in self.networks:
            raise InputError(f"{self.name} has no {role}, so it cannot {what}")


def fits(found, wanted) -> bool:
    """Whether a shape is the one that is wanted, where None stands for any size."""
    return len(found) == len(wanted) and all(each in (size, None) for each, size in zip(wanted, found, strict=True))


def _posterior(posterior):
    """A posterior that may be given by its name."""
    if isinstance(posterior, str):
        return make_posterior(posterior)
    wanted = ("stochastic", "units", "mean", "sample")
    if isinstance(posterior, type) or not all(hasattr(posterior, each) for each in wanted):
        raise InputError(f"posterior must be one of tf_bigan.priors or its name, found {shown(posterior)}")
    return posterior


def _seed(seed):
    number = whole_number(seed, "seed")
    if not -(2**63) <= number < 2**63:
        raise InputError(f"seed must fit into 64 bits, found {number}")
    return number


def _normal(draws, name, count, shape):
    """Noise: float32 [count, *shape] from N(0, 1); 0 without `draws`; of width 0 without a shape."""
    if draws is None or shape is None:
        return np.zeros((count, *((0,) if shape is None else shape)), np.float32)
    return draws.normal(name, shape).numpy()


def _taken(network, conditions):
    return {name: value for name, value in conditions.items() if name in conditions_of(network)}


def _shape(network, side):
    """The shape of a network's first input or output without the batch; None if it has no network, or none is known."""
    try:
        return tuple(getattr(network, side)[0].shape[1:])
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
