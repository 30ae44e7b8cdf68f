"""The networks of a system by role, with a prior and a posterior, checked to fit each other."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.domains import domain_of, numbers
from tf_bigan.draws import Draws
from tf_bigan.errors import InputError, shown, whole_number
from tf_bigan.games.inspection import (
    EMBEDDING,
    NOISE,
    asked_inputs,
    check_networks,
    conditions_of,
    input_names,
    noise_shape,
    shape_of,
)
from tf_bigan.games.records import CONDITIONS
from tf_bigan.preparation import Preparation
from tf_bigan.priors import Implicit, make_posterior


class NetworksByRole(keras.Model):
    """The encoder, generator and other networks of a system, checked to fit each other, the prior and the posterior.

    Arguments, attributes and errors are as for `PairModel`.
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
        self.encoder = self.generator = self.discriminator = self.embedding = None
        self._roles = tuple(networks)
        for role, network in networks.items():
            setattr(self, role, network)  # Keras tracks networks that are attributes
        self.seed = checked_seed(seed)
        self._compiled = {}
        self._check_networks()
        self.domain = domain_of(self.example_shape)
        self.preparation = _preparation(self.domain)  # `make_game` replaces it with that of its experiment

    def _check_networks(self):
        latent_dim = self.prior.latent_dim
        for role in ("encoder", "generator"):
            network = self.networks.get(role)
            if network is None:
                continue
            shape = shape_of(network, "outputs" if role == "encoder" else "inputs")
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
        self._check_embedding()
        taken, made = shape_of(self.encoder, "inputs"), shape_of(self.generator, "outputs")
        self.encoder_is_larger = bool(taken and made) and taken != made
        if self.encoder_is_larger and not (self.two_sizes and len(taken) == len(made) == 3):
            raise InputError(
                f"the encoder takes examples of shape {taken}, but the generator gives {made}; in {self.name} the "
                "encoder works on G's examples, or G on the encoder's, so that both must agree"
            )
        if self.encoder_is_larger and (taken[-1] != made[-1] or min(taken[0] - made[0], taken[1] - made[1]) < 0):
            raise InputError(
                f"the encoder takes images of shape {taken}, which do not reduce to the generator's {made}"
            )

    def _check_embedding(self):
        for role, network in self.networks.items():
            asked = asked_inputs(network).get(EMBEDDING)
            if asked is None:
                continue
            if self.embedding is None:
                raise InputError(f"the {role} takes an embedding, and there is no embedding among the networks")
            wanted, given = tuple(asked.shape[1:]), shape_of(self.embedding, "outputs")
            if wanted != given:
                raise InputError(f"the {role} takes embeddings of shape {wanted}, but the embedding gives {given}")

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The networks this system has, by role."""
        return {role: getattr(self, role) for role in self._roles}

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of the examples that `encode` and `features` take, without the batch."""
        if self.encoder is not None:
            return shape_of(self.encoder, "inputs")
        if self.generator is not None:
            return shape_of(self.generator, "outputs")
        return shape_of(self.discriminator, "inputs")

    @property
    def conditions(self) -> tuple[str, ...]:
        """Which of "label" and "attributes" the networks take."""
        taken = {name for network in self.networks.values() for name in conditions_of(network)}
        return tuple(name for name in CONDITIONS if name in taken)

    @property
    def feature_network(self) -> keras.Model:
        """The network whose layers `features` returns: the encoder, or the discriminator if there is no encoder."""
        return self.discriminator if self.encoder is None else self.encoder

    def noise(self, count, step, purpose="training"):
        """The prior samples z of a step: float32 [count, latent_dim], drawn from (seed, purpose, step) alone."""
        return Draws(self.seed, step, count, purpose).codes(self.prior)

    def call(self, examples, training=False):
        """Runs the feature network with noise 0. So, used as a Keras layer, a system acts as its encoder.

        Raises:
          InputError: the network also takes a label or attributes, or examples have another shape or dtype.
        """
        self._check_form(examples)
        network = self.feature_network
        if asked := conditions_of(network):
            raise InputError(f"the {network.name} of {self.name} also needs {asked[0]}=; encode and generate take it")
        return network(self.inputs_of(network, [examples], {}), training=training)

    def predict(self, x, *args, **kwargs):
        """`call` of examples in batches, as for `keras.Model.predict`; arrays are checked first."""
        if hasattr(x, "shape"):
            self._check_form(x)
        return super().predict(x, *args, **kwargs)

    def _check_form(self, examples):
        """Raises InputError unless examples, an array or a tensor, have the domain's shape and dtype."""
        unknown = getattr(getattr(examples, "shape", None), "rank", 0) is None
        if not unknown:
            known = hasattr(examples, "shape") and hasattr(examples, "dtype")
            self.domain.check_form(examples if known else numbers(examples, self.domain.name))

    def condition_inputs(self, network) -> dict:
        """The inputs for the conditions that a network depends on: {"label" or "attributes": a Keras tensor}.

        If the network takes embedded attributes, it is the input of the embedding.
        """
        asked = asked_inputs(network)
        found = {name: asked[name] for name in CONDITIONS if name in asked}
        return {"attributes": self.embedding.inputs[0], **found} if EMBEDDING in asked else found

    def idle_conditions(self, network, count) -> dict:
        """Zeros in place of the conditions of a network, for `count` examples and layers that do not depend on them."""
        inputs = self.condition_inputs(network).items()
        return {name: tf.zeros((count, *(size or 1 for size in i.shape[1:])), i.dtype) for name, i in inputs}

    def embedded(self, conditions) -> dict:
        """The conditions of examples with the embedding of their attributes: "embedding", float32 [N, units].

        They are returned unchanged if they have it already, or have no attributes, or if there is no embedding.
        """
        attributes = conditions.get("attributes")
        if self.embedding is None or attributes is None or conditions.get(EMBEDDING) is not None:
            return conditions
        return {**conditions, EMBEDDING: self.embedding(tf.cast(attributes, tf.float32))}

    def inputs_of(self, network, main, conditions, noise=None):
        """A network's inputs: `main`, then those that it asks for by name. Noise is 0 if it is not given."""
        names = input_names(network)[len(main) :]
        if EMBEDDING in names:
            conditions = self.embedded(conditions)
        if NOISE in names and noise is None:
            noise = tf.zeros((tf.shape(main[0])[0], *noise_shape(network, len(main))))
        # Inputs with names that are not ours are left out; the network's own call reports that they are missing.
        named = {NOISE: noise, **conditions}
        inputs = [*main, *(named[name] for name in names if named.get(name) is not None)]
        if len(inputs) > 1:  # Keras does not accept arrays beside tensors
            inputs = [tf.convert_to_tensor(each) if isinstance(each, np.ndarray) else each for each in inputs]
        return inputs if len(inputs) > 1 else inputs[0]

    def reduced(self, images):
        """Resizes images to the size of D's and G's, if these are smaller than E's, with an antialiased Lanczos filter.

        This is the paper's g_X: float32 [N, H, W, C] in [0, 1] -> float32 [N, h, w, C] in [0, 1]. Arrays give arrays,
        and tensors give tensors.
        """
        if not self.encoder_is_larger:
            return images
        height, width, _ = shape_of(self.generator, "outputs")
        small = tf.image.resize(images, (height, width), "lanczos3", antialias=True)
        small = tf.clip_by_value(small, 0.0, 1.0)
        return small.numpy() if isinstance(images, np.ndarray) else small


def _preparation(domain):
    """The preparation that follows from the shape of the examples; None for images that are not square."""
    if domain.name == "points":
        return Preparation(dimensions=domain.shape[0])
    height, width, channels = domain.shape
    return Preparation(height, channels) if height == width else None


def _posterior(posterior):
    """The posterior, which may be given by its name."""
    if isinstance(posterior, str):
        return make_posterior(posterior)
    wanted = ("stochastic", "units", "mean", "sample")
    if isinstance(posterior, type) or not all(hasattr(posterior, each) for each in wanted):
        raise InputError(f"posterior must be one of tf_bigan.priors or its name, found {shown(posterior)}")
    return posterior


def checked_seed(seed) -> int:
    """`seed` as an int. Raises InputError unless it is a whole number that fits into 64 bits."""
    number = whole_number(seed, "seed")
    if not -(2**63) <= number < 2**63:
        raise InputError(f"seed must fit into 64 bits, found {number}")
    return number
