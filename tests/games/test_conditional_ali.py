"""Conditional ALI: who trains the embedding, the shared backward pass, and a model that is asked with attributes."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, images, tiny, values

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.games import ConditionalALI, make_game
from tf_bigan.games.conditioned import Conditioned, conditioned
from tf_bigan.games.terms import R1, Labels, ReconstructionX
from tf_bigan.networks import ALIEmbedding
from tf_bigan.priors import Normal

N, K = 8, 5
X = images(N, shape=(32, 32, 3))
ATTRIBUTES = np.random.default_rng(0).integers(0, 2, (N, K)).astype(np.float32)
RECORD = {"x": X, "attributes": ATTRIBUTES}


def experiment(**changes):
    flags = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    return dataclasses.replace(flags, **{"width": 4, "latent_dim": 6, "attributes": K, **changes})


def awake(**changes):
    """A small game in which signals are of order 1, unlike at the start of training."""
    game = make_game(experiment(**changes))
    for role, network in game.networks.items():
        rng = np.random.default_rng([*role.encode()])
        for variable in network.trainable_variables:
            fan_in = np.prod(variable.shape) / max(variable.shape[-1], 1)
            variable.assign(rng.normal(0.0, 0.7 / np.sqrt(max(fan_in, 4.0)), variable.shape))
    return game


def step(game, shared):
    """What one step of plain gradient descent takes from each trainable variable: {role: [arrays]}."""
    game.shares_gradient = shared
    before = {role: network.get_weights() for role, network in game.networks.items()}
    game.compile(keras.optimizers.SGD(1.0))
    game.fit(RECORD, batch_size=N, shuffle=False, verbose=0, statistics_steps=0)
    after = {role: [np.array(v) for v in network.trainable_variables] for role, network in game.networks.items()}
    for role, network in game.networks.items():
        network.set_weights(before[role])
    start = {role: [np.array(v) for v in network.trainable_variables] for role, network in game.networks.items()}
    return {role: [b - a for a, b in zip(after[role], start[role], strict=True)] for role in after}


def gradients(game, player, role):
    """The gradients of a player's own loss in the game's first step."""
    game.shares_gradient = False
    batch = {name: tf.constant(value) for name, value in RECORD.items()}
    draws = Draws(game.seed, 0, N)
    with tf.GradientTape() as tape:
        loss = game.play(batch, draws.codes(game.prior), draws)[player]
    return [np.array(each) for each in tape.gradient(loss, game.networks[role].trainable_variables)]


def assert_alike(found, expected, tolerance=1e-4):
    for one, two in zip(found, expected, strict=True):
        assert np.abs(two).max() > 0
        np.testing.assert_allclose(one, two, atol=tolerance * np.abs(two).max())


@pytest.mark.parametrize("terms", [{}, {"r1_penalty": 10.0, "reconstruction_x": 0.1}], ids=["alone", "terms"])
def test_one_backward_pass_gives_every_network_its_own_gradient(terms):
    game = awake(**terms)
    assert game.shares_gradient
    shared = step(game, shared=True)
    for role, player in (("embedding", "encoder_generator"), ("generator", "encoder_generator")):
        assert_alike(shared[role], gradients(awake(**terms), player, role))
    assert_alike(shared["discriminator"], gradients(awake(**terms), "discriminator", "discriminator"))


def test_a_penalty_of_ds_loss_does_not_reach_the_embedding():
    plain, penalised = (awake(r1_penalty=gamma) for gamma in (0.0, 100.0))
    one, two = (step(game, shared=True) for game in (plain, penalised))
    assert_alike(two["embedding"], one["embedding"])
    assert np.abs(two["discriminator"][0] - one["discriminator"][0]).max() > 1e-6


@pytest.mark.parametrize("networks", ["ali_cifar10", "ali_svhn"])
def test_the_embedding_is_trained_by_the_player_of_e_and_g_unless_it_is_frozen(networks):
    for trained in (True, False):
        game = awake(networks=networks, train_embedding=trained)
        owned = {id(v) for v in game.player_variables("encoder_generator")}
        assert all((id(v) in owned) == trained for v in game.embedding.variables)
        assert game.owners(["embedding"]) == ["encoder_generator"]
        before = values(game.embedding)
        game.compile()
        history = game.fit(RECORD, batch_size=4, epochs=2, verbose=0).history
        assert game.steps_done == 4 and all(np.isfinite(value).all() for value in history.values())
        for path, value in values(game.embedding).items():
            assert np.array_equal(value, before[path]) != trained


def test_a_conditional_model_is_asked_with_attributes():
    game = awake()
    embedding, z = np.array(game.embedding(ATTRIBUTES)), game.noise(N, 3, "generation")
    made = game.generate(N, seed=3, attributes=ATTRIBUTES)
    np.testing.assert_allclose(made, game.generator([np.array(z), embedding]), atol=1e-5)
    outputs = np.array(game.encoder([X, embedding]))
    codes = game.encode(X, attributes=ATTRIBUTES, batch_size=3)
    np.testing.assert_allclose(codes, outputs[:, :6], atol=1e-5)
    for layer, expected in (("outputs", outputs), ("code", codes)):
        np.testing.assert_allclose(game.features(X, layer, attributes=ATTRIBUTES), expected, atol=1e-5)
    np.testing.assert_allclose(
        game.reconstruct(X, attributes=ATTRIBUTES), game.generate(z=codes, attributes=ATTRIBUTES), atol=1e-5
    )
    assert np.abs(game.encode(X, attributes=1 - ATTRIBUTES) - codes).max() > 1e-3
    # Truth values and whole numbers are attributes, too; and what a layer does not depend on need not be given.
    np.testing.assert_array_equal(game.encode(X, attributes=ATTRIBUTES > 0), game.encode(X, attributes=ATTRIBUTES))
    np.testing.assert_array_equal(game.features(X), game.features(X, attributes=ATTRIBUTES))
    several = game.feature_function(["conv6", "outputs"])(X, attributes=ATTRIBUTES)
    np.testing.assert_allclose(several[1], outputs, atol=1e-5)


WRONG = {
    "missing": ({}, "^the {role} of conditional_ali needs attributes=, one for each example$"),
    "none": ({"attributes": None}, "^the {role} of conditional_ali needs attributes=, one for each example$"),
    "long": ({"attributes": np.zeros((N, 6))}, r"^attributes must have shape \[8, 5\], got \[8, 6\]$"),
    "few": ({"attributes": np.zeros((N - 1, K))}, r"^attributes must have shape \[8, 5\], got \[7, 5\]$"),
    "flat": ({"attributes": np.zeros(K)}, r"^attributes must have shape \[8, 5\], got \[5\]$"),
    "names": ({"attributes": ["Bald"] * N}, "^attributes must be an array of numbers, found list of strings$"),
    "NaN": ({"attributes": np.full((N, K), np.nan)}, "^attributes contain NaN or infinite values$"),
    "label": ({"label": [1] * N, "attributes": ATTRIBUTES}, "^the {role} of conditional_ali takes no label$"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_attributes_that_do_not_fit_are_named(kind):
    given, message = WRONG[kind]
    game = make_game(experiment())
    for role, ask in (
        ("encoder", lambda: game.encode(X, **given)),
        ("generator", lambda: game.generate(N, **given)),
        ("encoder", lambda: game.features(X, "code", **given)),
    ):
        with pytest.raises(InputError, match=message.format(role=role)):
            ask()


def test_fit_names_attributes_that_are_missing_or_do_not_fit():
    game = make_game(experiment())
    game.compile()
    for attributes, message in (
        (None, "^conditional_ali needs attributes, and the data has none; "),
        (np.zeros((N, 4)), r"^the encoder takes attributes of shape \[5\] per example, got \[4\]$"),
        (np.zeros((N, K, 1)), r"^the encoder takes attributes of shape \[5\] per example, got \[5, 1\]$"),
        (np.array([["Bald"] * K] * N), "^attributes must be an array of numbers, found ndarray of strings$"),
        (np.full((N, K), np.inf), "^attributes contain NaN or infinite values$"),
    ):
        given = {"x": X} if attributes is None else {"x": X, "attributes": attributes}
        with pytest.raises(InputError, match=message):
            game.fit(given, batch_size=N)
    assert game.steps_done == 0


def test_networks_that_do_not_go_together_are_named():
    networks = dict(make_game(experiment()).networks)
    with pytest.raises(InputError, match=r"takes embeddings of shape \(32,\), but the embedding gives \(64,\)"):
        ConditionalALI({**networks, "embedding": ALIEmbedding(K, width=8)}, Normal(6), posterior="gaussian")
    embedding = networks.pop("embedding")
    with pytest.raises(InputError, match="^ConditionalALI needs the network 'embedding' among its networks$"):
        ConditionalALI(networks, Normal(6), posterior="gaussian")
    game = ConditionalALI(
        {**networks, "embedding": embedding}, Normal(6), posterior="gaussian", terms=[R1(0.1), ReconstructionX(0.1)]
    )
    assert game.conditions == ("attributes",)
    with pytest.raises(InputError, match="^networks=mlp have no embedding, which conditional_ali needs$"):
        make_game(tiny(system="conditional_ali", attributes=3))
    with pytest.raises(InputError, match="^attributes must be known to build conditional networks; "):
        make_game(experiment(attributes=0))
    with pytest.raises(InputError, match="takes an embedding, and there is no embedding among the networks"):
        type(make_game(tiny()))(networks, Normal(6), posterior="gaussian")


def test_labels_are_refused_where_d_is_told_the_attributes():
    message = "^label_weight does not go with conditional_ali, whose D is told the attributes$"
    with pytest.raises(InputError, match=message):
        make_game(experiment(label_weight=1.0, classes=K))
    with pytest.raises(InputError, match=message):
        networks = make_game(experiment()).networks
        ConditionalALI(networks, Normal(6), posterior="gaussian", terms=[Labels(1.0)], name="conditional_ali")


def test_an_embedding_that_is_not_trained_stays_trainable_elsewhere():
    game = make_game(experiment(train_embedding=False))
    assert all(variable.trainable for variable in game.embedding.variables)
    owned = {id(v) for player in game.players for v in game.player_variables(player)}
    assert owned == {id(v) for v in game.trainable_variables} == {id(v) for v in game.trainable_weights}
    assert not owned & {id(v) for v in game.embedding.variables}


def test_the_embedding_s_initial_weights_have_a_deviation_of_their_own():
    papers, larger = (make_game(experiment(embedding_stddev=stddev)) for stddev in (0.0, 2.0))
    for role, network in papers.networks.items():
        scale = 200.0 if role == "embedding" else 1.0  # the paper's is 0.01
        for before, after in zip(network.get_weights(), larger.networks[role].get_weights(), strict=True):
            np.testing.assert_allclose(after, scale * before, rtol=1e-6)
    other = make_game(experiment(init_stddev=0.03)).embedding.get_weights()[0]
    np.testing.assert_allclose(other, 3.0 * papers.embedding.get_weights()[0], rtol=1e-6)


def test_a_model_with_conditions_at_hand_begins_again_after_the_last():
    game = awake()
    model = conditioned(game, {"x": X[:3], "attributes": ATTRIBUTES[:3]})
    assert isinstance(model, Conditioned) and model.domain == game.domain
    cyclic = ATTRIBUTES[[0, 1, 2, 0, 1]]
    np.testing.assert_array_equal(model.generate(5, seed=2), game.generate(5, seed=2, attributes=cyclic))
    np.testing.assert_array_equal(model.reconstruct(X[:5]), game.reconstruct(X[:5], attributes=cyclic))
    np.testing.assert_array_equal(
        model.encode(X[:2], sample=True, seed=4), game.encode(X[:2], sample=True, seed=4, attributes=ATTRIBUTES[:2])
    )
    plain = make_game(tiny())
    assert conditioned(plain, {"x": images(2)}) is plain
    with pytest.raises(InputError, match="^conditional_ali needs attributes, and the data has none$"):
        conditioned(game, {"x": X})
    with pytest.raises(InputError, match="^conditional_ali needs at least one example whose attributes it takes$"):
        conditioned(game, {"x": X[:0], "attributes": ATTRIBUTES[:0]})
