"""What terms add to the losses of players, compared with values that are computed independently."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batches, fit, images, tiny

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games import ALI, GAN, BiGAN, make_game, objectives
from tf_bigan.games.inspection import feature_model, penultimate
from tf_bigan.games.terms import R1, R2, DenoisingFeatureMatching, FeatureMatching, ReconstructionX, ReconstructionZ
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.networks.denoiser import Denoiser
from tf_bigan.networks.noise import Dropout
from tf_bigan.priors import Gaussian, Normal, Uniform

TINY = {"image_shape": (8, 8, 1), "latent_dim": 4, "width": 16}
SYSTEMS = {"gan": GAN, "bigan": BiGAN, "ali": ALI}
DFM = {"denoising_feature_matching": 0.03, "denoiser_layers": 2, "denoiser_width": 24}


def networks(system, seed=1):
    """Networks whose signals are of order 1; ALI's encoder gives means and log standard deviations."""
    found = {
        "encoder": MLPEncoder(**{**TINY, "latent_dim": 8 if system == "ali" else 4}),
        "generator": MLPGenerator(**TINY),
        "discriminator": MLPDiscriminator(**{**TINY, "latent_dim": 0 if system == "gan" else 4}),
    }
    for role, network in found.items():
        rng = np.random.default_rng([seed, *role.encode()])
        for variable in network.trainable_variables:
            variable.assign(rng.normal(0.0, 1.0 / np.sqrt(variable.shape[0]), variable.shape))
    return {role: found[role] for role in SYSTEMS[system].roles}


def game(system, *terms, **arguments):
    prior = Normal(4) if system == "ali" else Uniform(4)
    posterior = Gaussian() if system == "ali" else None
    return SYSTEMS[system](networks(system), prior, terms=terms, posterior=posterior, seed=3, name=system, **arguments)


def denoiser():
    network = Denoiser(16, depth=2, width=24, seed=5)
    for variable in network.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(np.random.default_rng(variable.shape[0]).normal(0, 0.3, variable.shape))
    return network


def step_of(game, x, z):
    """(losses of all players, named tensors) of one forward pass, with the draws of step 0."""
    draws = Draws(game.seed, 0, len(x))
    with draws.active():
        return game.play(x, z, draws), game.forward({"x": x}, z, Draws(game.seed, 0, len(x)))


def gradients_by_role(game, loss_of):
    """Role -> whether any variable of its network has a non-zero gradient of `loss_of()`."""
    with tf.GradientTape(persistent=True) as tape:
        loss = loss_of()
    found = {}
    for role, network in game.networks.items():
        values = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
        found[role] = any(value is not None and np.any(value) for value in values)
    return found


X, Z = tf.constant(images(12)), tf.constant(np.random.default_rng(2).uniform(-1, 1, (12, 4)).astype(np.float32))


# -- weight 0


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "make", [lambda w: DenoisingFeatureMatching(w, denoiser()), FeatureMatching, R1, R2], ids=["dfm", "fm", "r1", "r2"]
)
def test_weight_0_is_the_game_without_the_term_to_the_bit(system, make):
    plain, with_term = game(system), game(system, make(0.0))
    for each in (plain, with_term):
        each.compile()
        fit(each, images(48), 16)
    assert with_term.networks.keys() == plain.networks.keys() and with_term.players == plain.players
    for role, network in plain.networks.items():
        for found, expected in zip(with_term.networks[role].get_weights(), network.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("system", ["bigan", "ali"])
def test_reconstruction_of_weight_0_is_the_game_without_it_to_the_bit(system):
    plain, with_term = game(system), game(system, ReconstructionX(0.0), ReconstructionZ(0.0))
    for each in (plain, with_term):
        each.compile()
        fit(each, images(48), 16)
    np.testing.assert_array_equal(with_term.generate(3), plain.generate(3))


# -- reconstruction


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_reconstruction_adds_its_summed_error_to_those_who_own_e_and_g(error):
    plain, _ = step_of(game("bigan"), X, Z)
    with_term = game("bigan", ReconstructionX(0.5, error))
    losses, tensors = step_of(with_term, X, Z)
    difference = np.array(X - with_term.generator(tensors["codes"], training=True)).reshape(12, -1)
    expected = {"l1": np.abs(difference), "l2": difference**2}[error].sum(1).mean()
    assert losses["discriminator"] == plain["discriminator"]
    np.testing.assert_allclose(losses["encoder_generator"] - plain["encoder_generator"], 0.5 * expected, rtol=1e-5)


def test_reconstruction_of_codes_is_against_z():
    plain, _ = step_of(game("bigan"), X, Z)
    with_term = game("bigan", ReconstructionZ(2.0))
    losses, tensors = step_of(with_term, X, Z)
    codes = with_term.posterior.mean(with_term.encoder(tensors["samples"], training=True))
    expected = np.square(np.array(codes - Z)).sum(1).mean()
    np.testing.assert_allclose(losses["encoder_generator"] - plain["encoder_generator"], 2 * expected, rtol=1e-5)


# -- gradient penalties


def numeric_squared_norm(discriminator, inputs):
    """Mean over examples of the squared gradient norm of the logit, by central differences with float64 steps."""
    total = 0.0
    for i, each in enumerate(inputs):
        flat = each.reshape(len(each), -1)
        for j in range(flat.shape[1]):
            ends = []
            for sign in (1, -1):
                moved = flat.copy()
                moved[:, j] += sign * 1e-2
                changed = [*inputs[:i], moved.reshape(each.shape), *inputs[i + 1 :]]
                ends.append(np.array(discriminator(changed, training=False))[:, 0])
            total = total + ((ends[0] - ends[1]) / 2e-2) ** 2
    return float(np.mean(total))


@pytest.mark.parametrize("kind, term", [("real", R1), ("generated", R2)])
def test_penalties_are_half_gamma_times_the_squared_gradient_in_all_inputs(kind, term):
    x, z = keras.Input((8, 8, 1), name="images"), keras.Input((4,), name="z")
    h = keras.layers.Concatenate()([keras.layers.Flatten()(x), z])
    d = keras.Model([x, z], keras.layers.Dense(1)(keras.layers.Dense(8, activation="tanh")(h)))
    made = networks("bigan") | {"discriminator": d}
    plain, _ = step_of(BiGAN(made, Uniform(4), seed=3), X, Z)
    with_term = BiGAN(made, Uniform(4), terms=[term(0.3)], seed=3)
    losses, tensors = step_of(with_term, X, Z)
    inputs = [np.array(each) for each in tensors[f"{kind}_inputs"]]
    expected = 0.15 * numeric_squared_norm(d, inputs)
    assert losses["encoder_generator"] == plain["encoder_generator"]
    np.testing.assert_allclose(losses["discriminator"] - plain["discriminator"], expected, rtol=2e-3)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_penalty_moves_d_alone(system):
    with_term = game(system, R1(1.0), R2(1.0))
    draws = Draws(3, 0, 12)

    def penalty():
        tensors = with_term.forward({"x": X}, Z, draws)
        return sum(sum(term.losses(with_term, tensors, {"x": X}, draws).values()) for term in with_term.terms)

    with draws.active():
        found = gradients_by_role(with_term, penalty)
    assert found == {role: role == "discriminator" for role in with_term.networks}


def test_an_interval_applies_the_penalty_as_many_times_as_strongly():
    every, third = game("bigan", R1(0.7)), game("bigan", R1(0.7, interval=3))
    plain = game("bigan")
    draws = [Draws(3, step, 12) for step in range(4)]
    losses = [[each.play(X, Z, d)["discriminator"] for d in draws] for each in (every, third, plain)]
    added, lazily = (np.array(found) - np.array(losses[2]) for found in losses[:2])
    np.testing.assert_allclose(lazily, [3 * added[0], 0, 0, 3 * added[3]], rtol=1e-4, atol=1e-6)


# -- denoising feature matching


@pytest.mark.parametrize("system", SYSTEMS)
def test_denoising_feature_matching_by_hand(system):
    plain, _ = step_of(game(system), X, Z)
    with_term = game(system, DenoisingFeatureMatching(0.03, denoiser()))
    losses, tensors = step_of(with_term, X, Z)
    opponent = "generator" if system == "gan" else "encoder_generator"
    real, generated = np.array(tensors["real_features"]), np.array(tensors["generated_features"])
    noise = np.array(Draws(3, 0, 12).normal("denoiser/corruption", (16,)))
    denoised = np.array(with_term.denoiser(real + noise, training=True))
    target = np.array(with_term.denoiser(generated, training=True))
    np.testing.assert_allclose(losses["denoiser"], np.square(real - denoised).sum(1).mean(), rtol=1e-4)
    np.testing.assert_allclose(losses["discriminator"], plain["discriminator"], rtol=1e-6)
    expected = 0.03 / 16 * np.square(generated - target).sum(1).mean()
    np.testing.assert_allclose(losses[opponent] - plain[opponent], expected, rtol=1e-3)


@pytest.mark.parametrize("system", SYSTEMS)
def test_features_are_ds_penultimate_layer_with_its_statistics(system):
    with_term = game(system, DenoisingFeatureMatching(0.03, denoiser()))
    _, tensors = step_of(with_term, X, Z)
    part = feature_model(with_term.discriminator, "h2")
    pairs = [tensors["real_inputs"], tensors["generated_inputs"]]
    if with_term.joint_statistics:
        both = [np.concatenate(kinds) for kinds in zip(*pairs, strict=True)]
        expected = np.split(np.array(part(both if len(both) > 1 else both[0], training=True)), 2)
    else:
        expected = [np.array(part(pair if len(pair) > 1 else pair[0], training=True)) for pair in pairs]
    for found, wanted in zip((tensors["real_features"], tensors["generated_features"]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_who_moves_by_denoising_feature_matching(system):
    with_term = game(system, DenoisingFeatureMatching(0.03, denoiser()))
    draws = Draws(3, 0, 12)

    def losses():
        return with_term.terms[0].losses(with_term, with_term.forward({"x": X}, Z, draws), {"x": X}, draws)

    with draws.active():
        of_denoiser = gradients_by_role(with_term, lambda: losses()[("denoiser",)])
        of_generator = gradients_by_role(with_term, lambda: losses()[("generator",)])
    assert of_denoiser == {role: role == "denoiser" for role in with_term.networks}
    # The target is a constant. D's variables have a gradient of this loss, but the player that owns them ignores it.
    assert of_generator["generator"] and not of_generator["denoiser"]
    assert with_term.owners(("generator",)) == ["generator" if system == "gan" else "encoder_generator"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_d_steps_as_without_the_term(system):
    plain, with_term = game(system), game(system, DenoisingFeatureMatching(10.0, denoiser()))
    for each in (plain, with_term):
        each.compile(keras.optimizers.SGD(0.1))
        fit(each, images(16), 16)
    for found, expected in zip(
        with_term.discriminator.trainable_variables, plain.discriminator.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    moved = [
        not np.allclose(a, b, atol=1e-6)
        for a, b in zip(with_term.generator.trainable_variables, plain.generator.trainable_variables, strict=True)
    ]
    assert any(moved)


def test_the_denoisers_statistics_are_of_real_features():
    with_term = game("bigan", DenoisingFeatureMatching(0.03, denoiser()))
    with_term.compile()
    with_term.estimate_statistics(batches(images(24), 12), 2)
    norm = with_term.denoiser.get_layer("h1_norm")
    assert float(norm.batches) == 2.0
    part = feature_model(with_term.discriminator, "h2")
    expected = []
    for step, x in enumerate(batches(images(24), 12)):
        codes = with_term.posterior.mean(with_term.encoder(x, training=True))
        corrupted = part([x, codes], training=True) + Draws(3, step, 12, "statistics").normal(
            "denoiser/corruption", (16,)
        )
        expected.append(np.array(corrupted @ with_term.denoiser.get_layer("h1_linear").kernel).mean(0))
    np.testing.assert_allclose(norm.mean, np.mean(expected, 0), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"system": "conditional_ali", "attributes": 3, "networks": "ali_cifar10", "image_size": 32, "channels": 3},
        {"system": "bigan", "label_weight": 1.0, "classes": 3},
        {"system": "gan", "label_weight": 1.0, "classes": 3},
    ],
    ids=["conditional", "K+1 bigan", "K+1 gan"],
)
def test_denoising_feature_matching_of_ds_with_conditions_or_classes(changes):
    settings = {"posterior": "gaussian", "prior": "normal"} if changes["system"] == "conditional_ali" else {}
    width = {"width": 8} if "networks" in changes else {}
    made = make_game(tiny(**settings, **changes, **width, **DFM))
    shape = made.example_shape
    x = tf.constant(images(6, shape=shape))
    batch = {"x": x, "label": tf.constant([0, 1, 2, -1, 0, 1]), "attributes": tf.one_hot([0, 1, 2, 0, 1, 2], 3)}
    if made.embedding is None:
        del batch["attributes"]
    draws = Draws(3, 0, 6)
    with draws.active():
        losses, added, _, tensors = made._play(batch, draws.codes(made.prior), draws)
        generated = tf.reshape(tensors["generated_features"], (6, -1))
        distance = np.square(generated - made.denoiser(generated, training=True)).sum(1).mean()
    (opponent,) = made.owners(("generator",))
    assert losses["denoiser"] > 0
    np.testing.assert_allclose(added[opponent], [0.03 / generated.shape[1] * distance], rtol=1e-4)


# -- feature matching


@pytest.mark.parametrize("system", SYSTEMS)
def test_feature_matching_by_hand(system):
    plain, _ = step_of(game(system), X, Z)
    with_term = game(system, FeatureMatching(2.0))
    losses, tensors = step_of(with_term, X, Z)
    opponent = "generator" if system == "gan" else "encoder_generator"
    real, generated = (np.array(tensors[f"{kind}_features"], np.float64) for kind in ("real", "generated"))
    expected = 2.0 * np.square(real.mean(0) - generated.mean(0)).sum()
    np.testing.assert_allclose(losses[opponent] - plain[opponent], expected, rtol=1e-3)
    np.testing.assert_allclose(losses["discriminator"], plain["discriminator"], rtol=1e-6)


def test_feature_matching_moves_g_alone():
    """The features of real pairs depend on E, but are constants."""
    with_term = game("bigan", FeatureMatching(1.0))
    draws = Draws(3, 0, 12)

    def loss():
        (found,) = with_term.terms[0].losses(with_term, with_term.forward({"x": X}, Z, draws), {"x": X}, draws).values()
        return found

    with draws.active():
        moved = gradients_by_role(with_term, loss)
    assert moved["generator"] and not moved["encoder"]


# -- the flags, and what does not go


def test_a_terms_masks_do_not_depend_on_other_terms():
    """The R2 penalty of a D with dropout does not change if R1 is added, although R1 runs D earlier."""

    def penalty(*others):
        roles = networks("bigan")
        x, z = keras.Input((8, 8, 1), name="images"), keras.Input((4,), name="z")
        h = keras.layers.Concatenate()([keras.layers.Flatten()(x), z])
        h = Dropout(0.5, "discriminator/drop")(keras.layers.Dense(8, "relu", kernel_initializer=ones_and_twos)(h))
        roles["discriminator"] = keras.Model([x, z], keras.layers.Dense(1, kernel_initializer=ones_and_twos)(h))
        made = BiGAN(roles, Uniform(4), terms=[*others, R2(1.0)], seed=3)
        batch, draws = {"x": tf.constant(images(6))}, Draws(3, 0, 6)
        with draws.active():
            return made._play(batch, draws.codes(made.prior), draws)[2]["r2_penalty"].numpy()

    alone = penalty()
    assert alone > 0
    assert penalty(R1(1.0)) == alone


def ones_and_twos(shape, dtype=None):
    return tf.cast(tf.random.stateless_uniform(shape, (0, 1), 1, 3, tf.int32), "float32") / 10.0


def test_an_experiments_flags_turn_terms_on():
    settings = {"reconstruction_x": 0.1, "reconstruction_z": 0.2, "r1_penalty": 0.3, "r2_penalty": 0.4, **DFM}
    settings["feature_matching"] = 0.5
    made = make_game(tiny(**settings, reconstruction_error="l1", penalty_interval=5))
    found = {term.name: term.weight for term in made.terms}
    assert found == {
        "reconstruction_x": 0.1,
        "reconstruction_z": 0.2,
        "r1_penalty": 0.3,
        "r2_penalty": 0.4,
        "denoising_feature_matching": 0.03,
        "feature_matching": 0.5,
    }
    assert made.terms[0].error is objectives.reconstruction_l1 and made.terms[2].interval == 5
    assert len([layer for layer in made.denoiser.layers if layer.name.endswith("_linear")]) == 2
    assert not make_game(tiny()).terms
    made.compile()
    history = fit(made, images(32), 16).history
    assert {"denoiser_loss", "feature_matching_loss", "r1_penalty_loss", "reconstruction_x_loss"} <= history.keys()


@pytest.mark.parametrize("setting", ["reconstruction_x", "reconstruction_z"])
def test_a_term_that_does_not_go_with_a_system_says_what_it_misses(setting):
    with pytest.raises(InputError, match=f"{setting} needs a network called encoder, and gan has none"):
        make_game(tiny(system="gan", **{setting: 1.0}))


def test_a_term_on_a_system_without_d_says_so():
    with pytest.raises(
        InputError, match="r1_penalty needs a network called discriminator, and autoencoder_l2 has none"
    ):
        make_game(tiny(system="autoencoder_l2", r1_penalty=1.0))
    with pytest.raises(InputError, match="needs a network called discriminator"):
        make_game(tiny(system="autoencoder_l2", **DFM))


def test_a_term_is_attached_once():
    with pytest.raises(InputError, match="each term can be attached once"):
        game("bigan", R1(1.0), R1(2.0))


def test_features_need_a_layer_before_the_output():
    only = keras.Sequential([keras.Input((64,)), keras.layers.Dense(1)], name="bare")
    with pytest.raises(InputError, match="the bare has no layer before its output"):
        penultimate(only)


def test_features_are_of_a_layer():
    x = keras.Input((64,))
    h = keras.ops.tanh(keras.layers.Dense(8, name="h")(x))
    network = keras.Model(x, keras.layers.Dense(1)(h), name="of_operations")
    with pytest.raises(
        InputError, match="of the of_operations follows tanh.*, which is no layer, so it has no features"
    ):
        penultimate(network)
    network.penultimate = "h"
    assert penultimate(network) == "h"


# -- objectives and the shared backward pass


def test_relativistic_losses_by_hand():
    real, generated = tf.constant([[1.0], [-2.0]]), tf.constant([[0.5], [1.0]])
    expected = np.mean(np.log1p(np.exp([-0.5, 3.0])))
    opposite = np.mean(np.log1p(np.exp([0.5, -3.0])))
    np.testing.assert_allclose(objectives.discriminate_relativistic(real, generated), expected, rtol=1e-6)
    np.testing.assert_allclose(objectives.deceive_relativistic(real, generated), opposite, rtol=1e-6)


@pytest.mark.parametrize("name", ["HALVED", "SUMMED", "PLAIN", "RELATIVISTIC"])
def test_the_ratio_of_an_objectives_derivatives(name):
    objective = getattr(objectives, name)
    real, generated = (tf.constant(np.random.default_rng(i).normal(0, 2, (6, 1)), tf.float32) for i in (0, 1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, generated])
        losses = objective.discriminate(real, generated), objective.deceive(real, generated)
    of_d, of_others = (tape.gradient(loss, [real, generated], unconnected_gradients="zero") for loss in losses)
    for ratio, above, below in zip(objective.ratio(real, generated), of_others, of_d, strict=True):
        np.testing.assert_allclose(ratio * below, above, rtol=1e-4, atol=1e-7)


def points_game(system, **changes):
    settings = {"dataset": "mixture", "networks": "mixture", "prior": "normal", "posterior": "implicit", "width": 16}
    settings |= {"dimensions": 2, "image_size": 0, "channels": 0, "latent_dim": 2, "init_stddev": 0.3}
    return make_game(tiny(system=system, **settings, **changes))


@pytest.mark.parametrize("objective", ["paper", "relativistic"])
@pytest.mark.parametrize("system", ["ali", "bigan", "gan"])
def test_one_backward_pass_through_d_equals_two(system, objective):
    x = np.random.default_rng(0).normal(0, 2, (48, 2)).astype(np.float32)
    weights = []
    for shared in (True, False):
        made = points_game(system, objective=objective, **({} if system == "gan" else {"reconstruction_x": 0.5}))
        assert made.shares_gradient
        made.shares_gradient = shared
        made.compile(keras.optimizers.SGD(0.1))
        fit(made, x, 16)
        weights.append([w for network in made.networks.values() for w in network.get_weights()])
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-5)


def test_ds_with_batch_norms_or_other_terms_do_not_share_their_backward_pass():
    assert not game("bigan").shares_gradient
    assert not points_game("ali", **DFM).shares_gradient
