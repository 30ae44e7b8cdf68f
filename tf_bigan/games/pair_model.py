"""A model in use: codes and features of examples, and generated examples, from its networks."""

import numpy as np
import tensorflow as tf

from tf_bigan.domains import numbers
from tf_bigan.draws import GENERATION, Draws
from tf_bigan.errors import InputError, did_you_mean, whole_number
from tf_bigan.games.compiled import in_batches, traced_once
from tf_bigan.games.inspection import (
    base_layer,
    conditions_of,
    depends_on_conditions,
    feature_layers,
    feature_model,
    fits,
    noise_shape,
    penultimate,
    read_out,
    rectified_layer,
)
from tf_bigan.games.networks_by_role import NetworksByRole, checked_seed
from tf_bigan.games.records import CONDITIONS, checked_condition
from tf_bigan.priors import Implicit


class PairModel(NetworksByRole):
    """Networks with a prior and a posterior. They turn examples into codes and features, and codes into examples.

    Examples are images, float32 [N, H, W, C] in [0, 1], or points, float32 [N, d], as the networks take them.

    Args:
      networks: role -> `keras.Model`, functional, or Sequential with a `keras.Input`. The encoder's first input is
        examples, and the generator's is codes. Inputs called "label", "attributes", "embedding" and "noise" follow
        these and are filled by name. "embedding" is what a network of that role makes of attributes.
      prior: p(z), from `tf_bigan.priors`.
      posterior: how E's output becomes a code, from `tf_bigan.priors`, or its name; None = the prior's own.
      seed: seed of everything random.

    Attributes:
      preparation: the `Preparation` of examples for `encode` and `features`. `open_data(..., like=model)` and exported
        modules apply it. None for images that are not square.

    Raises:
      InputError: the shapes of networks are not known, or do not fit each other or the prior; or an argument has
        another type.
    """

    sees_codes = False  # whether D judges pairs of examples and codes

    def encode(self, examples, batch_size=512, sample=False, seed=0, **conditions):
        """The codes that the posterior makes of E(x): float examples [N, ...] -> float32 [N, latent_dim].

        Args:
          examples: in the model's domain, for example images in [0, 1].
          batch_size: examples per batch.
          sample: True = draw codes from the posterior, and the encoder's noise if it takes any, with `seed`. False =
            return the posterior's mean, with noise 0. Squashed and linear posteriors have no other code than their
            mean.
          seed: seed of the draws.
          **conditions: label=int [N] or attributes=float [N, k], where the encoder takes them. Labels are at least 0;
            booleans and floats with whole values are accepted, too.

        Raises:
          InputError: examples have the wrong shape or range; conditions are missing, invalid or of the wrong shape; or
            the system has no encoder.
        """
        self._require("encoder", "encode")
        self.domain.check(examples)
        examples = np.asarray(examples)
        draws = Draws(checked_seed(seed), 0, len(examples), GENERATION) if sample else None
        # Published models with an implicit posterior drew their encoder's noise under the name "posterior".
        name = "posterior" if isinstance(self.posterior, Implicit) else "encoder/noise"
        noise = _normal(draws, name, len(examples), noise_shape(self.encoder))
        deviation = _normal(draws, "posterior", len(examples), (self.prior.latent_dim,))
        extra = self._extra_inputs("encoder", len(examples), conditions)

        def code(x, noise, deviation, *extra):
            inputs = self.inputs_of(self.encoder, [x], dict(zip(CONDITIONS, extra, strict=True)), noise)
            outputs = self.encoder(inputs, training=False)
            return self.posterior.sample(outputs, deviation) if sample else self.posterior.mean(outputs)

        return self._batched(f"encode/{bool(sample)}", code, [examples, noise, deviation, *extra], batch_size)

    def features(self, examples, layer="penultimate", batch_size=512, **conditions):
        """A layer's activations in inference mode.

        Args:
          examples: float [N, ...] in the model's domain, for example images in [0, 1].
          layer: "penultimate" (the layer before the output: the paper's features), "code" (what `encode`
            returns), or a layer's name, as listed by `layer_names`. "crelu(conv5_norm)" is the activations h of that
            layer, read out as [ReLU(h), ReLU(-h)] along the last axis, which gets twice as long; so is any other name.
          batch_size: examples per batch.
          **conditions: as for `encode`; they may be left out where the layer does not depend on them.

        Returns:
          float32 [N, ...].

        Raises:
          InputError: examples have the wrong shape or range, the layer is unknown, or conditions are missing, invalid
            or of the wrong shape.
        """
        function, asked = self.feature_function(layer), self.conditions_of_layer(layer)
        self.domain.check(examples)
        examples, given = np.asarray(examples, np.float32), {}
        if asked or conditions:
            role = "discriminator" if self.encoder is None else "encoder"
            given = dict(zip(CONDITIONS, self._extra_inputs(role, len(examples), conditions), strict=True))

        def of_batch(x, *values):
            return function(x, **dict(zip(asked, values, strict=True)))

        inputs = [examples, *(given[name] for name in asked)]
        return in_batches(of_batch, inputs, whole_number(batch_size, "batch_size", 1))

    def conditions_of_layer(self, layer="penultimate") -> list[str]:
        """Which of "label" and "attributes" a layer, or any of a list of layers, depends on; named as in `features`."""
        network, layers = self.feature_network, layer if isinstance(layer, list | tuple) else [layer]
        names = [self.feature_name(each) for each in layers]
        return conditions_of(network) if any(depends_on_conditions(network, name) for name in names) else []

    def feature_function(self, layer="penultimate"):
        """`features` as a compiled function of one batch: float32 tensor [N, ...] -> float32 [N, ...].

        For a list of layers, the function returns a list of their activations, from one pass through the network. If
        the network takes noise, the noise is 0. If a layer depends on a label or attributes, the function also takes
        these: function(x, attributes=attributes).
        """
        several = isinstance(layer, list | tuple)
        layers = layer if several else [layer]
        names = tuple(self.feature_name(each) for each in layers)
        if any(base_layer(name) == "code" for name in names):
            self._require("encoder", "encode")
        if names not in self._compiled:
            self._compiled[names] = self._traced_features(names)
        function = self._compiled[names]
        return function if several else lambda x, **conditions: function(x, **conditions)[0]

    def _traced_features(self, names):
        network, part = self.feature_network, feature_model(self.feature_network, *names)
        idle, asked = self.idle_conditions(network, 0), self.conditions_of_layer(names)

        def features(x, *conditions):
            given = dict(zip(asked, conditions, strict=True)) or self.idle_conditions(network, tf.shape(x)[0])
            found = tf.nest.flatten(part(self.inputs_of(network, [x], given), training=False))
            pairs = zip(names, found, strict=True)
            return [self.read_out(name, h) for name, h in pairs]

        traced = traced_once(
            features, tf.zeros((0, *self.example_shape)), *(idle[name] for name in asked), batches=True
        )

        def function(x, **conditions):
            self._check_form(x)
            if missing := [name for name in asked if conditions.get(name) is None]:
                raise InputError(f"{', '.join(names)} of {self.name} needs {missing[0]}=, one for each example")
            given = [tf.cast(conditions[name], idle[name].dtype) for name in asked]
            x = tf.cast(x, tf.float32)
            if x.shape[0] != 0:
                return traced(x, *given)
            one = [tf.zeros((1, *each.shape[1:]), each.dtype) for each in (x, *given)]  # see `in_batches`
            return [found[:0] for found in traced(*one)]

        return function

    def read_out(self, name, activations):
        """The features of a `feature_name` from the activations that `feature_model` gives for it, float32 [N, ...]."""
        code = base_layer(name) == "code"
        return read_out(name, self.posterior.mean(activations) if code else tf.cast(activations, tf.float32))

    def feature_name(self, layer="penultimate") -> str:
        """`layer_name` of anything that `features` takes, "code" and read-outs such as "crelu(penultimate)", too."""
        inner = rectified_layer(layer) if isinstance(layer, str) else None
        if inner is not None and rectified_layer(inner) is None:
            return f"crelu({self.feature_name(inner)})"
        return layer if layer == "code" else self.layer_name(layer)

    def layer_name(self, layer="penultimate") -> str:
        """The name of the layer that `features` calls `layer`. Raises InputError for an unknown one."""
        name = penultimate(self.feature_network) if layer == "penultimate" else layer
        if name not in self.layer_names:
            raise InputError(
                f"unknown layer {layer!r}.{did_you_mean(str(layer), ['penultimate', 'code', *self.layer_names])}"
            )
        return name

    @property
    def layer_names(self) -> list[str]:
        """The names of the layers that `features` can return, from the input to the output."""
        return [layer.name for layer in feature_layers(self.feature_network)]

    def generate(self, count=None, seed=0, z=None, batch_size=512, **conditions):
        """G(z): float32 examples [N, ...] in the model's domain, for example images in [0, 1].

        Either `count` or `z` is given.

        Args:
          count: the number of codes to draw from the prior, with `seed`.
          z: float [N, latent_dim], the codes to decode.
          seed: seed of the codes and of the generator's noise. The same seed gives the same examples.
          batch_size: examples per batch.
          **conditions: label=int [N] or attributes=float [N, k], where the generator takes them, as for `encode`.

        Raises:
          InputError: neither or both of count and z are given, count is not a whole number, z has the wrong shape, or
            conditions are missing, invalid or of the wrong shape.
        """
        self._require("generator", "generate")
        if (count is None) == (z is None):
            raise InputError("generate takes either a count or z")
        seed = checked_seed(seed)
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
        """G(E(x)): examples [N, ...] -> float32 in the same range, of the same shape unless G's images are smaller.

        Arguments and errors are as for `encode`. A generator's noise is drawn with `seed` even if `sample` is False.
        """
        self._require("encoder", "encode")
        self._require("generator", "generate")
        taken = {*conditions_of(self.encoder), *conditions_of(self.generator)}
        if unknown := sorted(map(str, conditions.keys() - taken)):
            raise InputError(f"the encoder and the generator of {self.name} take no {unknown[0]}")
        codes = self.encode(examples, batch_size, sample, seed, **_taken(self.encoder, conditions))
        return self.generate(z=codes, seed=seed, batch_size=batch_size, **_taken(self.generator, conditions))

    @property
    def class_count(self) -> int:
        """The number of classes that D has outputs [N, K] for; 0 if it has a single output or there is no D."""
        outputs = () if self.discriminator is None else self.discriminator.outputs[0].shape
        return outputs[1] if len(outputs) == 2 and outputs[1] > 1 else 0

    def class_probabilities(self, examples, batch_size=512):
        """The classes that D gives to real examples: float examples [N, ...] -> float32 [N, K], rows that sum to 1.

        Args:
          examples: in the model's domain, for example images in [0, 1]. If D sees codes, they are judged together with
            the mean of their posterior.
          batch_size: examples per batch.

        Raises:
          InputError: D has no outputs for classes, a network takes labels or attributes, or examples have the wrong
            shape or range.
        """
        if not self.class_count:
            raise InputError(
                f"{self.name} was trained without labels, so it has no classes; label_weight=1 and system=supervised "
                "train D to know them"
            )
        networks = [network for network in (self.encoder, self.discriminator) if network is not None]
        if asked := [name for network in networks for name in conditions_of(network)]:
            raise InputError(
                f"the classes of {self.name} depend on {asked[0]}, which class_probabilities does not take"
            )
        self.domain.check(examples)

        def classes(x):
            pair = [self.reduced(x)]
            if self.sees_codes:
                pair.append(self.posterior.mean(self.encoder(self.inputs_of(self.encoder, [x], {}), training=False)))
            logits = self.discriminator(self.inputs_of(self.discriminator, pair, {}), training=False)
            return tf.nn.softmax(tf.cast(logits, tf.float32))

        return self._batched("classes", classes, [np.asarray(examples)], batch_size)

    def classify(self, examples, batch_size=512):
        """The most likely class of each example: int64 [N]. Arguments and errors are as for `class_probabilities`."""
        return np.argmax(self.class_probabilities(examples, batch_size), axis=1)

    def _extra_inputs(self, role, count, conditions):
        """The label and attributes of `count` examples as arrays. An array has width 0 if the network takes none."""
        network = self.networks[role]
        if unknown := conditions.keys() - set(CONDITIONS):
            raise InputError(f"unknown condition {sorted(unknown)[0]!r}; the known ones are {' and '.join(CONDITIONS)}")
        taken = self.condition_inputs(network)
        arrays = []
        for name in CONDITIONS:
            if name in taken and conditions.get(name) is None:
                raise InputError(f"the {role} of {self.name} needs {name}=, one for each example")
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
                raise InputError(f"the {role} takes {name} of at most {dtype.max}, found {value.max()}")
            arrays.append(value.astype(dtype.as_numpy_dtype))
        return arrays

    def _batched(self, key, function, inputs, batch_size):
        """The results of `function`, compiled once per key, on arrays with equally many rows, batch by batch."""
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


def _normal(draws, name, count, shape):
    """Noise from N(0, 1): float32 [count, *shape]. It is 0 without `draws`, and has width 0 without a shape."""
    if draws is None or shape is None:
        return np.zeros((count, *((0,) if shape is None else shape)), np.float32)
    return draws.normal(name, shape).numpy()


def _taken(network, conditions):
    return {name: value for name, value in conditions.items() if name in conditions_of(network)}
