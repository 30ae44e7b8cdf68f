"""Games whose D has an output for each class: the term `Labels`, the system `Supervised`, and what D answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import awake_game, images, tiny_game

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games import ALI, BiGAN, Supervised, objectives
from tf_bigan.games.terms import R1, Labels
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.priors import Uniform

K = 10
X, LABELS = images(16), np.arange(16) % K
Z = tf.constant(np.random.default_rng(2).uniform(-1, 1, (16, 4)).astype(np.float32))
LEARNED = {"label_weight": 1.0, "classes": K}
GAUSSIAN = {"prior": "normal", "posterior": "gaussian"}
SYSTEMS = {"ali": GAUSSIAN, "bigan": {}, "gan": {}}
SECOND = {"labelled_x": images(16, seed=7), "labelled_label": LABELS[::-1].copy()}


def game_of(system, **changes):
    return awake_game(system, **{**SYSTEMS.get(system, {}), **LEARNED, **changes})


def losses_of(game, batch):
    draws = Draws(game.seed, 0, 16)
    return {player: float(loss) for player, loss in game.play(batch, Z, draws).items()}


def logits_of(game, *main):
    """D's outputs for its inputs, in training mode; without those that it does not take."""
    inputs = [tf.convert_to_tensor(each) for each in main][: len(game.discriminator.inputs)]
    with Draws(game.seed, 0, len(inputs[0])).active():
        return np.array(game.discriminator(inputs if len(inputs) > 1 else inputs[0], training=True))


def codes_of(game, x):
    """The mean codes, with E in training mode."""
    return Z if game.encoder is None else game.posterior.mean(game.encoder(tf.constant(x), training=True))


def cross_entropies(logits, labels):
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), labels]


def weights(game):
    return {role: network.get_weights() for role, network in game.networks.items()}


# -- values worked out by hand


def test_the_joint_logit_of_classes():
    logits = tf.constant([[np.log(1.0), np.log(2.0), np.log(5.0)], [0.0, 0.0, 0.0]], tf.float32)
    np.testing.assert_allclose(objectives.joint_logit(logits), [[np.log(8.0)], [np.log(3.0)]], rtol=1e-6)
    # Its sigmoid is the softmax's share of the classes beside a logit of 0: 8 / 9.
    np.testing.assert_allclose(tf.sigmoid(objectives.joint_logit(logits))[0], [8 / 9], rtol=1e-6)
    single = tf.constant([[0.3], [-2.0]])
    assert objectives.joint_logit(single) is single
    flat = tf.constant([0.3, -2.0, 1.0])
    assert objectives.joint_logit(flat) is flat


def test_the_cross_entropy_of_labels():
    logits = tf.constant([[np.log(1.0), np.log(2.0), np.log(5.0)]] * 3, tf.float32)
    found = objectives.label_errors(logits, tf.constant([2, 0, -1], tf.int64))
    np.testing.assert_allclose(found, [np.log(8 / 5), np.log(8.0), 0.0], rtol=1e-6)


def test_large_logits_stay_finite_in_half_precision():
    logits = tf.constant([[300.0, -300.0]], tf.bfloat16)
    assert objectives.joint_logit(logits).dtype == tf.float32
    np.testing.assert_allclose(objectives.label_errors(logits, [1]), [600.0], rtol=0.01)


# -- the term


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_game_s_losses_are_of_the_joint_logit(system):
    game = game_of(system)
    draws = Draws(game.seed, 0, 16)
    with draws.active():
        tensors = game.forward({"x": tf.constant(X)}, Z, draws)
    for kind in ("real", "generated"):
        logits = logits_of(game, *tensors[f"{kind}_inputs"])
        if not game.joint_statistics:  # with them, D's batch norms saw both kinds of pairs
            joint = np.log(np.exp(logits).sum(1, keepdims=True))
            np.testing.assert_allclose(tensors[kind], joint, rtol=1e-4, atol=1e-4)
        assert tensors[kind].shape == (16, 1)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_term_adds_the_cross_entropy_of_the_second_batch_to_d_alone(system):
    if system == "ali":  # a code without noise, so that it can be computed here
        game = game_of(system, posterior="linear")
        plain = game_of(system, posterior="linear", label_weight=1e-9)
    else:
        game, plain = game_of(system), game_of(system, label_weight=1e-9)
    found, without = (losses_of(each, {"x": X, "label": LABELS, **SECOND}) for each in (game, plain))
    logits = logits_of(game, SECOND["labelled_x"], codes_of(game, SECOND["labelled_x"]))
    expected = np.mean(cross_entropies(logits, SECOND["labelled_label"]))
    np.testing.assert_allclose(found["discriminator"] - without["discriminator"], expected, rtol=1e-4)
    (opponent,) = found.keys() - {"discriminator"}
    assert found[opponent] == without[opponent]


def test_without_a_second_batch_the_labels_of_the_batch_are_learned_but_not_those_of_minus_1():
    game, few = game_of("bigan"), LABELS.copy()
    few[4:] = -1
    expected = np.mean(cross_entropies(logits_of(game, X, codes_of(game, X)), LABELS)[:4])
    plain = losses_of(game_of("bigan", label_weight=1e-9), {"x": X, "label": few})
    found = losses_of(game, {"x": X, "label": few})
    np.testing.assert_allclose(found["discriminator"] - plain["discriminator"], expected, rtol=1e-4)
    none = losses_of(game, {"x": X, "label": np.full(16, -1)})
    np.testing.assert_allclose(none["discriminator"], plain["discriminator"], rtol=1e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_e_and_g_step_as_without_the_term(system):
    """Also where one backward pass through D serves both sides, as in networks without batch norm."""
    points = {"networks": "mixture", "dimensions": 2, "image_size": 0, "channels": 0}
    networks = points if system == "ali" else {}
    moved = []
    for weight in (1.0, 1e-12):
        game = tiny_game(system, **SYSTEMS[system], **{**LEARNED, "label_weight": weight}, **networks)
        if system == "ali":
            assert game.shares_gradient
        x = images(8, shape=game.example_shape)
        game.compile(keras.optimizers.SGD(1.0))
        game.fit({"x": x, "label": LABELS[:8]}, batch_size=8, statistics_steps=0, verbose=0)
        moved.append(weights(game))
    for role in moved[0].keys() - {"discriminator"}:
        for one, other in zip(moved[0][role], moved[1][role], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(*(each["discriminator"] for each in moved), strict=True))


@pytest.mark.parametrize("system", SYSTEMS)
def test_weight_0_is_the_game_without_labels_to_the_bit(system):
    found = []
    for changes in ({}, {"labelled": 20, "classes": K}):
        game = tiny_game(system, **SYSTEMS[system], **changes)
        game.compile(keras.optimizers.Adam(1e-3))
        game.fit(X, LABELS, batch_size=8, statistics_steps=0, verbose=0)
        assert game.discriminator.outputs[0].shape[-1] == 1 and not game.class_count
        found.append(weights(game))
    for role, arrays in found[0].items():
        for one, other in zip(arrays, found[1][role], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_gradient_penalty_is_that_of_the_joint_logit():
    game = game_of("gan", r1_penalty=2.0)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        joint = tf.reduce_logsumexp(game.discriminator(x, training=True), axis=1)
    expected = np.square(np.array(tape.gradient(joint, x))).sum((1, 2, 3)).mean()
    without = losses_of(game_of("gan"), {"x": X, "label": LABELS})
    found = losses_of(game, {"x": X, "label": LABELS})
    np.testing.assert_allclose(found["discriminator"] - without["discriminator"], expected, rtol=1e-4)


# -- labels alone


def test_supervised_trains_e_and_d_as_one_player():
    game = game_of("supervised", label_weight=0.0)
    assert isinstance(game, Supervised) and game.players == {"classifier": ("encoder", "discriminator")}
    expected = np.mean(cross_entropies(logits_of(game, X, codes_of(game, X)), LABELS))
    np.testing.assert_allclose(losses_of(game, {"x": X, "label": LABELS})["classifier"], expected, rtol=1e-4)
    # With a second batch, the first does not enter.
    second = {"labelled_x": X, "labelled_label": LABELS}
    found = losses_of(game, {"x": images(16, seed=3), "label": np.full(16, -1), **second})
    np.testing.assert_allclose(found["classifier"], expected, rtol=1e-4)


def test_supervised_learns_what_is_learnable():
    game = tiny_game("supervised", classes=2, width=32)
    x = images(256)
    labels = (x.mean((1, 2, 3)) > 0.5).astype(int)
    x[labels == 1] = np.minimum(x[labels == 1] + 0.2, 1.0)
    game.compile(keras.optimizers.Adam(1e-2))
    game.fit(x, labels, batch_size=32, epochs=20, statistics_steps=8, verbose=0)
    assert np.mean(game.classify(x) == labels) > 0.9


# -- replicas


@pytest.mark.parametrize("system", ["bigan", "supervised"])
def test_two_replicas_with_half_the_batch_step_as_one_device(system, mirrored):
    """Networks without batch norm, and labels of which the replicas have different numbers."""
    few = np.where(np.arange(16) < 9, LABELS, -1)
    for batch in ({"x": X, "label": LABELS, **SECOND}, {"x": X, "label": few}):
        one = plain(system)
        with mirrored.scope():
            two = plain(system)
        for game in (one, two):
            game.compile(keras.optimizers.SGD(0.5))
            data = tf.data.Dataset.from_tensors(batch).unbatch().batch(16, drop_remainder=True)
            game.fit(data, statistics_steps=0, verbose=0)
        for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def plain(system):
    """A game of two dense layers each, without batch norm."""

    def dense(units, seed):
        return keras.layers.Dense(units, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.3, seed=seed))

    x, z = keras.Input((8, 8, 1), name="images"), keras.Input((4,), name="z")
    flat = keras.layers.Flatten()
    encoder = keras.Model(x, dense(4, 2)(keras.ops.tanh(dense(8, 1)(flat(x)))), name="encoder")
    pixels = keras.ops.sigmoid(dense(64, 4)(keras.ops.tanh(dense(8, 3)(z))))
    generator = keras.Model(z, keras.ops.reshape(pixels, (-1, 8, 8, 1)), name="generator")
    hidden = keras.ops.tanh(dense(8, 5)(flat(x)) + dense(8, 6)(z))
    discriminator = keras.Model([x, z], dense(K, 7)(hidden), name="discriminator")
    if system == "supervised":
        return Supervised({"encoder": encoder, "discriminator": discriminator}, Uniform(4), seed=3, name="supervised")
    networks = {"encoder": encoder, "generator": generator, "discriminator": discriminator}
    return BiGAN(networks, Uniform(4), terms=[Labels(1.0)], seed=3, name="bigan")


# -- a D without classes


def test_a_d_whose_logits_have_the_shape_n_plays_as_one_of_the_shape_n_1():
    moved = []
    for flat in (True, False):
        networks = dict(tiny_game("bigan", width=4).networks)
        if flat:
            d = networks["discriminator"]
            networks["discriminator"] = keras.Model(d.inputs, keras.layers.Flatten()(d.outputs[0])[:, 0])
        game = BiGAN(networks, Uniform(4), terms=[R1(0.1)], seed=3)
        assert not game.class_count and len(game.discriminator.outputs[0].shape) == (1 if flat else 2)
        with pytest.raises(InputError, match="was trained without labels, so it has no classes"):
            game.class_probabilities(X)
        game.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
        game.fit(X, batch_size=8, shuffle=False, statistics_steps=0, verbose=0)
        moved.append(game.get_weights())
    for one, other in zip(*moved, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


# -- what D answers


@pytest.mark.parametrize("system", [*SYSTEMS, "supervised"])
def test_class_probabilities_are_those_of_the_mean_code_without_dropout(system):
    game = game_of(system, **({"label_weight": 0.0} if system == "supervised" else {}))
    found = game.class_probabilities(X, batch_size=5)
    pair = [X] if game.encoder is None else [X, game.encode(X)]
    logits = np.array(game.discriminator(pair if len(pair) > 1 else X, training=False))
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found.dtype == np.float32 and game.class_count == K
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert game.classify(X).dtype == np.int64
    np.testing.assert_array_equal(game.classify(X), expected.argmax(1))


def test_a_bigan_of_two_sizes_learns_labels_at_both():
    shape = {"networks": "conv", "width": 4, "image_size": 16, "encoder_size": 32, "channels": 3}
    game = tiny_game("bigan", **LEARNED, **shape)
    x = images(8, shape=(32, 32, 3))
    record = {"x": x, "label": LABELS[:8], "labelled_x": x[::-1].copy(), "labelled_label": LABELS[:8]}
    assert game.record(record)["labelled_reduced"].shape == (8, 16, 16, 3)
    assert np.isfinite(game.play(record, Z[:8])["discriminator"])
    assert game.class_probabilities(x).shape == (8, K)


# -- errors


def test_what_cannot_learn_labels_is_refused():
    with pytest.raises(InputError, match="bigan was trained without labels, so it has no classes"):
        tiny_game("bigan").class_probabilities(X)
    with pytest.raises(InputError, match="needs at least 2 classes, found classes=0"):
        tiny_game("bigan", label_weight=1.0)
    with pytest.raises(InputError, match="labels needs a network called discriminator, and autoencoder_l2 has none"):
        tiny_game("autoencoder_l2", label_weight=1.0, classes=K)
    shape = {"image_shape": (8, 8, 1), "latent_dim": 4, "width": 16}
    networks = {"encoder": MLPEncoder(**shape), "discriminator": MLPDiscriminator(**shape)}
    with pytest.raises(
        InputError, match=r"needs a D with an output for each class, found outputs of shape \(None, 1\)"
    ):
        Supervised(networks, Uniform(4), name="supervised")
    with pytest.raises(InputError, match="labels needs a D with an output for each class"):
        ALI({**networks, "generator": MLPGenerator(**shape)}, Uniform(4), terms=[Labels(1.0)])


def test_data_whose_labels_do_not_fit_is_refused():
    game = game_of("bigan")
    game.compile()
    with pytest.raises(InputError, match="bigan needs labels, and the data has none"):
        game.fit(X, batch_size=8)
    with pytest.raises(InputError, match="D has an output for each of 10 classes, found the label 10"):
        game.fit(X, LABELS + 1, batch_size=8)


WRONG_SECOND = {
    "class": ({"labelled_label": LABELS + 1}, "D has an output for each of 10 classes, found the label 10$"),
    "negative": ({"labelled_label": LABELS - 2}, "labels must be at least 0 or -1 .none., found -2$"),
    "shape": ({"labelled_x": images(16, shape=(4, 4, 1))}, r"images must have shape .*, got \[16, 4, 4, 1\]"),
    "range": ({"labelled_x": SECOND["labelled_x"] + 1}, r"image values must lie in \[0, 1\]"),
}


@pytest.mark.parametrize("kind", WRONG_SECOND)
def test_a_second_batch_that_does_not_fit_is_refused(kind):
    changes, message = WRONG_SECOND[kind]
    game = game_of("bigan")
    game.check_record({"x": X, "label": LABELS, **SECOND})
    with pytest.raises(InputError, match=f"^labelled_x, labelled_label: {message}"):
        game.check_record({"x": X, "label": LABELS, **SECOND, **changes})


def test_a_second_batch_needs_examples_and_labels():
    game = game_of("bigan")
    for name, message in (
        ("labelled_x", "^a batch with labelled_label needs labelled_x, the examples that these are of$"),
        ("labelled_label", "^labelled_x: bigan needs labels, and the data has none"),
    ):
        second = {key: value for key, value in SECOND.items() if key != name}
        with pytest.raises(InputError, match=message):
            game.check_record({"x": X, "label": LABELS, **second})
    # Without classes, such fields mean nothing to the game.
    tiny_game("bigan").check_record({"x": X, **SECOND, "labelled_label": LABELS + 1})
