"""The base class of systems: a forward pass that gives named tensors, losses computed from them, and added terms."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tf_bigan.errors import InputError, did_you_mean, shown
from tf_bigan.games.inspection import EMBEDDING, check_networks, feature_model, noise_shape, penultimate
from tf_bigan.games.objectives import HINGE, RELATIVISTIC, Objective, joint_logit
from tf_bigan.games.pair_model import PairModel
from tf_bigan.games.shared_gradient import SharedGradient
from tf_bigan.games.terms.term import Term
from tf_bigan.networks.layers import BatchNorm

# Objectives by their names in experiments; None = the system's own.
OBJECTIVES = {"paper": None, "relativistic": RELATIVISTIC, "hinge": HINGE}

_BATCH_NORMS = (BatchNorm, keras.layers.BatchNormalization)


class System(PairModel):
    """The networks of a game, its forward pass, and its players' losses; `Game` adds the training step.

    Subclasses define `roles`, `players` and `forward`, and declare what they need in the attributes below. They
    override `player_losses` if the losses are not the two sides of one objective.
    """

    # The roles of the system's networks.
    roles: tuple[str, ...] = ()
    # Player -> the roles of the networks whose variables it trains.
    players: dict[str, tuple[str, ...]] = {}
    # Roles of networks that no player trains: they run in inference mode, and keep their weights and statistics. The
    # networks themselves stay trainable, as they may be those of another game.
    frozen: tuple[str, ...] = ()
    # Roles of networks whose weights another run gives, without which training does not begin; () = none.
    inherits: tuple[str, ...] = ()
    # The losses of D and its opponents; None if there is no D.
    objective: Objective | None = None
    # Fields of a record, beside the examples, that training needs. The fields that networks take are needed, too.
    needs: tuple[str, ...] = ()

    # Whether training makes samples G(z) resemble examples.
    generates = True

    # Whether D's batch norms compute statistics over real and generated pairs together.
    joint_statistics = False

    # Whether the losses take exp(-log stddev) of a Gaussian posterior, rather than exp(log stddev).
    inverts_stddev = False

    # -- attributes that the networks' `make` functions read
    # `sees_codes`, too
    zero_encoder = False  # E's output layer starts at 0
    featured = False  # the system is trained for D's features
    supervised = False  # D has an output for each class even without the term `Labels`
    conditional = False  # E, G and D take an embedding of attributes

    def __init__(
        self,
        networks: Mapping[str, keras.Model],
        prior,
        terms=(),
        posterior=None,
        objective=None,
        seed=0,
        name=None,
    ):
        check_networks(networks)
        if missing := [role for role in self.roles if role not in networks]:
            raise InputError(f"{type(self).__name__} needs the network {missing[0]!r} among its networks")
        terms = [term for term in _terms(terms) if term.weight]
        brought = {role: network for term in terms for role, network in term.networks.items()}
        if taken := networks.keys() & brought.keys():
            raise InputError(f"a term brings the network {taken.pop()!r}, which is among the networks already")
        owned = {role for roles in type(self).players.values() for role in roles} | set(self.frozen)
        if idle := [role for role in networks if role not in owned]:
            raise InputError(
                f"no player of {type(self).__name__} trains the {idle[0]}; players are {type(self).players}"
            )
        super().__init__({**networks, **brought}, prior, posterior, seed, name)
        self.terms = tuple(terms)
        self.objective = _objective(objective) or type(self).objective
        self.players = {**type(self).players, **{p: roles for term in terms for p, roles in term.players.items()}}
        self._check_terms()
        self._discriminate = self._discriminator_function()
        self._to_features = {role: self._features_function(role) for term in terms for role in term.reads}
        # One backward pass through D serves both sides if D has one output for an example, which does not depend on the
        # others, if no loss except the objective reaches E and G through D, and if both sides' gradients are parallel.
        apart = self.discriminator is not None and not has_batch_norm(self.discriminator)
        alone = type(self).player_losses is System.player_losses and not any(
            each.through_discriminator for each in terms
        )
        self.shares_gradient = apart and alone and self.scores == 1 and self.objective.ratio is not None

    # -- what a system defines

    def forward(self, batch, z, draws) -> dict:
        """One shared forward pass in training mode.

        Args:
          batch: a record: "x", float32 [N, ...] examples; "reduced", the smaller images of D and G, if
            `encoder_is_larger`; "label" int [N] and "attributes" float32 [N, k] if the data has them.
          z: float32 [N, latent_dim] prior samples.
          draws: the step's `Draws`.

        Returns:
          Named tensors, at least those that the losses and the terms need. `inferred` and `judged` document theirs.
        """
        raise NotImplementedError

    def player_losses(self, tensors) -> dict:
        """The players' losses from the tensors of `forward`: {player: float32 scalar, a mean over the N}.

        In this class, D and one opponent minimise the two sides of the objective.
        """
        real, generated = tensors["real"], tensors["generated"]
        (opponent,) = type(self).players.keys() - {"discriminator"}
        return {
            "discriminator": self.objective.discriminate(real, generated),
            opponent: self.objective.deceive(real, generated),
        }

    def run_for_statistics(self, batch, z, draws) -> dict:
        """Runs each network in training mode on the data that its inference statistics are to describe.

        E and D get real data and G gets prior samples, whatever they see in training (as in Donahue et al.'s code).
        The arguments are as for `forward`, and the returned tensors are those of the real data.
        """
        tensors = self.inferred(batch, draws) if self.encoder is not None else {"x": batch["x"]}
        if self.discriminator is not None:
            self._judge_one_kind("real", self._pair(batch.get("reduced", batch["x"]), tensors), tensors, batch, draws)
        self.run("generator", [z], batch, draws)
        return tensors

    def prepare(self, examples):
        """Sets those initial weights that depend on the data. Most systems have none.

        `train` calls it before the first step of fresh weights. Code that calls `fit` itself may call it before.

        Args:
          examples: float32 [N, ...], a few hundred training examples.
        """

    @classmethod
    def settings(cls, experiment) -> dict:
        """The arguments of this system's own constructor, beyond those of `Game`, taken from an experiment."""
        del experiment
        return {}

    @property
    def scores(self) -> int:
        """How many scores D gives to a pair: more than 1 if its output is [N, scores, 1], else 1."""
        outputs = () if self.discriminator is None else self.discriminator.outputs[0].shape
        return outputs[1] if len(outputs) == 3 else 1

    # -- what the forward passes of systems share

    def run(self, role, main, batch, draws):
        """Runs a network in training mode, or in inference mode if it is frozen.

        Args:
          role: the network's role.
          main: its first inputs; the inputs after them, "label", "attributes", "embedding" and "noise", are filled by
            name.
          batch, draws: as for `forward`.
        """
        return self.networks[role](self._training_inputs(role, main, batch, draws), training=role not in self.frozen)

    def _training_inputs(self, role, main, batch, draws):
        network = self.networks[role]
        shape = noise_shape(network, len(main))
        noise = None if shape is None else draws.normal(draws.once(f"{role}/noise"), shape)
        return self.inputs_of(network, main, batch, noise)

    def run_to_features(self, role, main, batch, draws):
        """The features of a network in training mode, float [N, ...], if a term's `reads` has its role.

        The arguments are as for `run`.
        """
        return self._to_features[role](main, batch, draws)

    def infer(self, x, batch, draws):
        """Runs E in training mode: {"outputs": float [N, units], "codes": float32 [N, latent_dim]}."""
        outputs = self.run("encoder", [x], batch, draws)
        noise = None
        if self.posterior.stochastic:
            noise = draws.normal(draws.once("encoder/posterior"), (self.prior.latent_dim,))
        return {"outputs": outputs, "codes": self.posterior.sample(outputs, noise)}

    def inferred(self, batch, draws):
        """The tensors of `infer` for the batch's examples, with these as "x" and, at the size of D and G, "reduced"."""
        x = batch["x"]
        return {"x": x, "reduced": batch.get("reduced", x), **self.infer(x, batch, draws)}

    def judged(self, tensors, batch, z, draws):
        """Runs D on the real and the generated pairs.

        Args:
          tensors: "x", "samples", and "reduced" and "codes" if D sees them.
          batch, z, draws: as for `forward`.

        Returns:
          `tensors` with the following added: "z"; D's logits "real" and "generated", float32 [N, 1], which are the
          joint logits of the classes if D has several, or float32 [N, scores, 1]; its inputs "real_inputs" and
          "generated_inputs", whose images are augmented if a term says so; and, if a term needs them, its features
          "real_features" and "generated_features".
        """
        tensors = {"reduced": tensors["x"], "z": z, **tensors}
        pairs = {
            "real": self._pair(tensors["reduced"], tensors),
            "generated": [tensors["samples"], z] if self.sees_codes else [tensors["samples"]],
        }
        for term in self.terms:
            pairs = {kind: [term.augment(pair[0], draws), *pair[1:]] for kind, pair in pairs.items()}
        shared = SharedGradient() if self.shares_gradient else None
        if self.joint_statistics:
            both = [
                tf.concat([tf.cast(each, tf.float32) for each in kinds], 0)
                for kinds in zip(pairs["real"], pairs["generated"], strict=True)
            ]
            twice = {name: tf.concat([batch[name], batch[name]], 0) for name in self.conditions}
            with draws.parts(2):
                found = self._discriminate(*self._through(shared, both, twice), draws)
            for name, of_both in found.items():
                tensors[f"real{name}"], tensors[f"generated{name}"] = tf.split(of_both, 2)
            for kind, pair in pairs.items():
                tensors[f"{kind}_inputs"] = pair
            if shared:
                shared.ratio = tf.concat(self.objective.ratio(tensors["real"], tensors["generated"]), 0)
            return tensors
        shares = {kind: SharedGradient() if shared else None for kind in pairs}
        for kind, pair in pairs.items():
            self._judge_one_kind(kind, pair, tensors, batch, draws, shares[kind])
        if shared:
            ratios = self.objective.ratio(tensors["real"], tensors["generated"])
            shares["real"].ratio, shares["generated"].ratio = ratios
        return tensors

    def _judge_one_kind(self, kind, pair, tensors, batch, draws, shared=None):
        for name, found in self._discriminate(*self._through(shared, pair, batch), draws).items():
            tensors[f"{kind}{name}"] = found
        tensors[f"{kind}_inputs"] = pair

    def _through(self, shared, pair, batch):
        """D's inputs and the batch; gradients to E, G and the embedding are rescaled if `shared` is not None."""
        if shared is None:
            return pair, batch
        if self.embedding is None:
            return shared(pair), batch
        batch = self.embedded(batch)
        *pair, embedding = shared([*pair, batch[EMBEDDING]])
        return pair, {**batch, EMBEDDING: embedding}

    def _pair(self, x, tensors):
        return [x, tensors["codes"]] if self.sees_codes else [x]

    # -- structure

    def _check_terms(self):
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            raise InputError(f"each term can be attached once, found {', '.join(names)}")
        for term in self.terms:
            term.check_roles(self.networks, self.name)

    def owners(self, roles) -> list[str]:
        """The players that own any of the networks of these roles, each once."""
        return [player for player, owned in self.players.items() if set(owned) & set(roles)]

    def _discriminator_function(self):
        """D in training mode as a function: inputs -> {"": logits, "_features": its features if a term needs them}."""
        network = self.discriminator
        if network is None:
            return None
        if not any("real_features" in term.needs for term in self.terms):
            return lambda main, batch, draws: {"": joint_logit(self.run("discriminator", main, batch, draws))}
        part = feature_model(network, penultimate(network), "code")

        def discriminate(main, batch, draws):
            features, logits = part(self._training_inputs("discriminator", main, batch, draws), training=True)
            return {"": joint_logit(logits), "_features": features}

        return discriminate

    def _features_function(self, role):
        """A network in training mode, up to its features, as a function of the arguments of `run`."""
        part = feature_model(self.networks[role], penultimate(self.networks[role]))
        return lambda *given: part(self._training_inputs(role, *given), training=True)

    def player_variables(self, player: str):
        """The trainable variables that `player` owns."""
        roles = [role for role in self.players[player] if role not in self.frozen]
        return [v for role in roles for v in self.networks[role].trainable_variables]

    @property
    def trainable_variables(self):
        """The variables that training changes: the trainable ones, without those of frozen networks."""
        kept = {id(v) for role in self.frozen for v in self.networks[role].variables}
        return [v for v in super().trainable_variables if id(v) not in kept]

    trainable_weights = trainable_variables


def _terms(terms):
    """The given terms as a list; a single term may be given by itself."""
    try:
        found = [terms] if isinstance(terms, Term | str) else list(terms)
    except TypeError:
        found = [terms]
    for each in found:
        if not isinstance(each, Term):
            raise InputError(f"terms are those of tf_bigan.games.terms, as [R1(0.1)], found {shown(each)}")
    return found


def _objective(objective):
    """The objective, which may be given by its name; None = the system's own."""
    if isinstance(objective, str):
        if objective not in OBJECTIVES:
            raise InputError(f"unknown objective {objective!r}.{did_you_mean(objective, OBJECTIVES)}")
        return OBJECTIVES[objective]
    if not isinstance(objective, Objective | None):
        raise InputError(f"objective must be one of tf_bigan.games.objectives or its name, found {shown(objective)}")
    return objective


def has_batch_norm(network: keras.Model) -> bool:
    """Whether a network has batch norms, so that its output for an example depends on the rest of the batch."""
    return any(isinstance(layer, _BATCH_NORMS) for layer in network._flatten_layers())
