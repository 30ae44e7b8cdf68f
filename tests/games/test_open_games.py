"""User-defined games from public names, ALI, conditional games, and batches as records."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batches, fit, images, scalar, tiny

from tf_bigan import registry
from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games import ALI, GAN, BiGAN, Game, make_game, objectives
from tf_bigan.games.terms import R1, DenoisingFeatureMatching
from tf_bigan.networks import ALIEmbedding, MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.networks.denoiser import Denoiser
from tf_bigan.networks.layers import BatchNorm
from tf_bigan.priors import Gaussian, Implicit, Normal, Uniform, make_posterior

# -- a system by hand, from public names alone


class ConditionalGAN(Game):
    roles = ("generator", "discriminator")
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    objective = objectives.PLAIN
    needs = ("label",)

    def forward(self, batch, z, draws):
        samples = self.run("generator", [z], batch, draws)
        return self.judged({"x": batch["x"], "samples": samples}, batch, z, draws)


def conditional_gan():
    def with_label(main, units, activation=None):
        label = keras.Input((), dtype="int32", name="label")
        h = keras.layers.Concatenate()([keras.layers.Flatten()(main), keras.layers.Embedding(10, 4)(label)])
        h = keras.layers.Dense(16, activation="relu")(h)
        return [main, label], keras.layers.Dense(units, activation)(h)

    inputs, pixels = with_label(keras.Input((4,), name="z"), 64, "sigmoid")
    generator = keras.Model(inputs, keras.layers.Reshape((8, 8, 1))(pixels), name="generator")
    discriminator = keras.Model(*with_label(keras.Input((8, 8, 1), name="images"), 1), name="discriminator")
    networks = {"generator": generator, "discriminator": discriminator}
    return ConditionalGAN(networks, Normal(4), terms=[R1(0.1)], seed=1, name="conditional_gan")


LABELS = np.arange(64) % 10


def test_a_conditional_gan_by_hand_trains_on_two_replicas(mirrored):
    with mirrored.scope():
        game = conditional_gan()
    game.compile(keras.optimizers.Adam(1e-3))
    history = game.fit(images(64), LABELS, batch_size=16, statistics_steps=0, verbose=0).history
    assert scalar(game.step) == 4
    assert history.keys() == {"discriminator_loss", "generator_loss", "r1_penalty_loss"}
    assert all(np.isfinite(value).all() for value in history.values())


def test_replicas_and_one_device_train_a_conditional_gan_alike(mirrored):
    games = []
    for strategy in (mirrored, tf.distribute.get_strategy()):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            games.append(conditional_gan())
    for role, network in games[1].networks.items():
        network.set_weights(games[0].networks[role].get_weights())
    for game in games:
        game.compile(keras.optimizers.SGD(0.1))
        data = tf.data.Dataset.from_tensor_slices({"x": images(64), "label": LABELS}).batch(16, drop_remainder=True)
        game.fit(data, statistics_steps=0, verbose=0)
    for role, network in games[1].networks.items():
        for one, two in zip(network.get_weights(), games[0].networks[role].get_weights(), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_conditional_generator_is_asked_with_labels():
    game = conditional_gan()
    made = game.generate(6, seed=1, label=[0, 1, 2, 3, 4, 5])
    z = game.noise(6, 1, "generation")
    np.testing.assert_allclose(made, game.generator([z, tf.range(6)]), atol=1e-6)
    assert not np.allclose(made, game.generate(6, seed=1, label=[5] * 6))


def test_conditions_that_are_missing_or_do_not_fit_are_named():
    game = conditional_gan()
    with pytest.raises(InputError, match="the generator of conditional_gan needs label=, one for each example"):
        game.generate(3)
    with pytest.raises(InputError, match=r"label must have shape \[3\], got \[2\]"):
        game.generate(3, label=[1, 2])
    with pytest.raises(InputError, match="unknown condition 'labels'"):
        game.generate(3, labels=[1, 2, 3])
    with pytest.raises(InputError, match="takes no label"):
        make_game(tiny()).generate(2, label=[0, 1])
    game.compile()
    with pytest.raises(InputError, match="conditional_gan needs labels, and the data has none"):
        game.fit(images(16), batch_size=16)


BAD_LABELS = {
    "strings": (["a", "b", "c"], "^labels must be an array of numbers, found list of strings$"),
    "ragged": ([[0], [1, 2], [3]], "^labels must be an array of numbers, found list$"),
    "halves": ([0, 0.5, 1], "^labels must be whole numbers, found 0.5$"),
    "NaN": ([0, np.nan, 1], "^labels must be whole numbers, found nan$"),
    "negative": ([0, -2, 1], "^labels must be at least 0, found -2$"),
    "none": ([0, -1, 1], "^labels must be at least 0, found -1$"),
    "too large": ([0, 2**40, 1], "^the generator takes label of at most 2147483647, found 1099511627776$"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_that_are_none_are_refused_where_a_network_takes_them(kind):
    labels, message = BAD_LABELS[kind]
    with pytest.raises(InputError, match=message):
        conditional_gan().generate(3, label=labels)


def test_truth_values_and_whole_floats_are_labels():
    game = conditional_gan()
    expected = game.generate(3, label=[0, 1, 1])
    for labels in ([False, True, True], np.array([0.0, 1.0, 1.0]), tf.constant([0, 1, 1], tf.uint8)):
        np.testing.assert_array_equal(game.generate(3, label=labels), expected)
    assert game.generate(0, label=[]).shape == (0, 8, 8, 1)
    game.compile()
    game.fit(images(16), np.arange(16) % 2 == 0, batch_size=16, statistics_steps=0, verbose=0)
    game.fit(images(16), np.zeros(16), batch_size=16, statistics_steps=0, verbose=0)
    assert game.steps_done == 2


def feeds(labels):
    """Labels of 32 images in the forms that `fit` takes. In all but the first form, the 32 make a single batch."""
    x = images(32)
    yield "arrays", (x, labels)
    yield "record", ({"x": x, "label": labels},)
    yield "dataset", (tf.data.Dataset.from_tensor_slices((x, labels)).batch(32),)
    yield "generator", (iter([(x, labels)]),)


@pytest.mark.parametrize("form", range(4), ids=[name for name, *_ in feeds(np.zeros(32))])
def test_fit_refuses_labels_that_are_none(form):
    needs, ignores = conditional_gan(), make_game(tiny())
    for game in (needs, ignores):
        game.compile()

    def with_last(label, dtype=None):
        return list(feeds(np.array([1] * 31 + [label], dtype)))[form][1]

    for game in (needs, ignores):  # a game checks labels even if it does not need them
        with pytest.raises(InputError, match="labels must be an array of numbers, found .* of strings"):
            game.fit(*with_last("a"), batch_size=16)
        with pytest.raises(InputError, match="^labels must be whole numbers, found 0.5$"):
            game.fit(*with_last(0.5), batch_size=16)
        with pytest.raises(InputError, match=r"^labels must be at least 0.*, found -2$"):
            game.fit(*with_last(-2), batch_size=16)
    with pytest.raises(InputError, match="^labels must be at least 0, found -1$"):
        needs.fit(*with_last(-1), batch_size=16)
    ignores.check_record({"x": images(32), "label": np.full(32, -1)})
    assert needs.steps_done == ignores.steps_done == 0


@pytest.mark.parametrize(
    "record, message",
    [
        ({"label": np.zeros(15, int)}, r"^16 examples came with labels of shape \[15\]$"),
        ({"label": np.array(3)}, r"^16 examples came with labels of shape \[\]$"),
        ({"label": np.zeros((16, 2), int)}, r"^labels must have shape \[N\], got \[16, 2\]$"),
        ({"attributes": np.zeros((15, 2))}, r"^16 examples came with attributes of shape \[15, 2\]$"),
        ({"attributes": np.zeros(16)}, r"^attributes must have shape \[N, k\], got \[16\]$"),
        ({"attributes": np.full((16, 2), np.inf)}, "^attributes contain NaN or infinite values$"),
        ({"attributes": [["blond"]] * 16}, "^attributes must be an array of numbers, found list of strings$"),
        ({"attributes": {"blond": np.zeros(16)}}, "^attributes must be an array of numbers, found dict$"),
    ],
)
def test_conditions_of_a_batch_fit_its_examples(record, message):
    with pytest.raises(InputError, match=message):
        make_game(tiny()).check_record({"x": images(16), **record})


def test_a_network_may_take_its_label_as_a_vector():
    label, z = keras.Input((3,), name="label"), keras.Input((4,), name="z")
    pixels = keras.layers.Dense(64, "sigmoid")(keras.layers.Concatenate()([z, label]))
    generator = keras.Model([z, label], keras.layers.Reshape((8, 8, 1))(pixels), name="generator")
    game = GAN({"generator": generator, "discriminator": MLPDiscriminator((8, 8, 1), 0, 16)}, Normal(4), name="gan")
    assert game.generate(2, label=[[0.5, 0.5, 0.0], [0, 0, 1]]).shape == (2, 8, 8, 1)
    with pytest.raises(InputError, match="^label contain NaN or infinite values$"):
        game.generate(1, label=[[0, np.nan, 0]])
    with pytest.raises(InputError, match=r"^label must have shape \[2, 3\], got \[2\]$"):
        game.generate(2, label=[0, 1])


def test_attributes_of_another_length_are_named():
    attributes = keras.Input((3,), name="attributes")
    z = keras.Input((4,), name="z")
    pixels = keras.layers.Dense(64, "sigmoid")(keras.layers.Concatenate()([z, attributes]))
    generator = keras.Model([z, attributes], keras.layers.Reshape((8, 8, 1))(pixels), name="generator")
    game = GAN({"generator": generator, "discriminator": MLPDiscriminator((8, 8, 1), 0, 16)}, Normal(4), name="gan")
    game.compile()
    x = {"x": images(16), "attributes": np.zeros((16, 5), np.float32)}
    with pytest.raises(InputError, match=r"the generator takes attributes of shape \[3\] per example, got \[5\]"):
        game.fit(x, batch_size=16)
    with pytest.raises(InputError, match="gan needs attributes, and the data has none"):
        game.fit(images(16), batch_size=16)
    fits = {"x": images(16), "attributes": np.ones((16, 3), np.float32)}
    game.fit(fits, batch_size=16, statistics_steps=2, verbose=0)
    assert game.generate(2, attributes=np.eye(3)[:2]).shape == (2, 8, 8, 1)
    with pytest.raises(InputError, match="^attributes contain NaN or infinite values$"):
        game.generate(1, attributes=[[0, np.nan, 0]])
    with pytest.raises(InputError, match=r"^attributes must have shape \[2, 3\], got \[1, 3\]$"):
        game.generate(2, attributes=[[0, 1, 0]])


# -- what fit takes


class Pages(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return images(16, seed=i), LABELS[:16]


def forms():
    x = images(48)
    yield "arrays", (x,), {"batch_size": 16, "shuffle": False}
    yield "arrays and labels", (x, LABELS[:48]), {"batch_size": 16, "shuffle": False}
    yield "record of arrays", ({"x": x, "label": LABELS[:48]},), {"batch_size": 16, "shuffle": False}
    yield "dataset", (batches(x, 16),), {}
    yield "dataset of pairs", (tf.data.Dataset.from_tensor_slices((x, LABELS[:48])).batch(16),), {}
    yield "dataset of TFDS' records", (tf.data.Dataset.from_tensor_slices({"image": x}).batch(16),), {}
    yield "generator", ((x[i : i + 16] for i in (0, 16, 32)),), {"steps_per_epoch": 3}
    yield "generator of pairs", (((x[i : i + 16], LABELS[:16]) for i in (0, 16, 32)),), {"steps_per_epoch": 3}


@pytest.mark.parametrize("form", range(8), ids=[name for name, *_ in forms()])
def test_fit_takes_the_same_examples_in_any_form(form):
    _, data, arguments = list(forms())[form]
    game, expected = make_game(tiny()), make_game(tiny())
    for each in (game, expected):
        each.compile(keras.optimizers.SGD(0.1))
    game.fit(*data, statistics_steps=0, verbose=0, **arguments)
    fit(expected, images(48), 16)
    for role, network in expected.networks.items():
        for found, wanted in zip(game.networks[role].get_weights(), network.get_weights(), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_fit_takes_a_pydataset_and_estimates_statistics_from_it():
    game = make_game(tiny())
    game.compile()
    game.fit(Pages(workers=1), statistics_steps=2, verbose=0)
    assert game.steps_done == 3
    assert float(game.encoder.get_layer("h2_norm").batches) == 2


@pytest.mark.parametrize(
    "x, y, message",
    [
        (images(8), None, "x has 8 examples, fewer than a batch of 16"),
        (images(32), np.zeros(31), "must have the same length, found {'x': 32, 'label': 31}"),
        ({"label": np.zeros(32)}, None, "a batch needs its examples as 'x' or 'image', found label"),
        (np.zeros((32, 2), np.float32), None, r"images must have shape \[N, 8, 8, 1\], got \[32, 2\]; these look like"),
        (iter(()), None, "x is empty"),
        ("digits", None, "x must be an array"),
    ],
)
def test_data_that_does_not_fit_is_named(x, y, message):
    game = make_game(tiny())
    game.compile()
    with pytest.raises(InputError, match=message):
        game.fit(x, y, batch_size=16)


def test_points_and_images_are_told_apart():
    game = points_game("gan")
    game.compile()
    with pytest.raises(
        InputError, match=r"points must have shape \[N, 2\], got \[16, 8, 8, 1\]; these look like images"
    ):
        game.fit(images(16), batch_size=16)


# -- ALI


def points_game(system, **changes):
    settings = {"dataset": "mixture", "networks": "mixture", "prior": "normal", "posterior": "implicit", "width": 16}
    settings |= {"dimensions": 2, "image_size": 0, "channels": 0, "latent_dim": 2, "init_stddev": 0.3}
    return make_game(tiny(system=system, **settings, **changes))


def ali(seed=1):
    networks = {
        "encoder": MLPEncoder((8, 8, 1), 8, 16),
        "generator": MLPGenerator((8, 8, 1), 4, 16),
        "discriminator": MLPDiscriminator((8, 8, 1), 4, 16),
    }
    rng = np.random.default_rng(seed)
    for network in networks.values():
        for variable in network.trainable_variables:
            variable.assign(rng.normal(0.0, 1.0 / np.sqrt(variable.shape[0]), variable.shape))
    return ALI(networks, Normal(4), posterior=Gaussian(), seed=3, name="ali")


def test_alis_losses_by_hand():
    game, x = ali(), tf.constant(images(12))
    z = game.noise(12, 0)
    losses = game.play(x, z, Draws(3, 0, 12))
    outputs = np.array(game.encoder(x, training=True))
    noise = np.array(Draws(3, 0, 12).normal("encoder/posterior", (4,)))
    codes = outputs[:, :4] + np.exp(outputs[:, 4:]) * noise
    both = [np.concatenate([x, game.generator(z, training=True)]), np.concatenate([codes, z])]
    real, generated = np.split(np.array(game.discriminator(both, training=True)), 2)  # one call: joint statistics
    softplus = lambda a: np.log1p(np.exp(a))  # noqa: E731
    np.testing.assert_allclose(losses["discriminator"], np.mean(softplus(-real) + softplus(generated)), rtol=1e-5)
    np.testing.assert_allclose(losses["encoder_generator"], np.mean(softplus(real) + softplus(-generated)), rtol=1e-5)


@pytest.mark.parametrize("system", registry.SYSTEMS)
def test_ds_batch_norms_see_both_kinds_of_pairs_as_the_system_declares(system):
    """D's logit is the batch-normed mean of the pixels, so the statistics can be computed from the logits."""
    kind = registry.find(registry.SYSTEMS[system])
    if not {"discriminator", "generator"} <= set(kind.roles):
        pytest.skip("has no two kinds of pairs")
    x = keras.Input((8, 8, 1), name="images")
    inputs = [x, keras.Input((4,), name="z")] if kind.sees_codes else x
    mean = keras.layers.Reshape((1,))(keras.layers.GlobalAveragePooling2D()(x))
    d = keras.Model(inputs, BatchNorm()(mean))
    networks = {
        "encoder": MLPEncoder((8, 8, 1), 4, 16),
        "generator": MLPGenerator((8, 8, 1), 4, 16),
        "discriminator": d,
        "embedding": ALIEmbedding(3),
    }
    game = kind({role: networks[role] for role in kind.roles}, Uniform(4), seed=3)
    data = tf.constant(images(12) * 0.5)
    draws = Draws(3, 0, 12)
    tensors = game.forward({"x": data}, game.noise(12, 0), draws)
    means = [np.array(each).mean((1, 2, 3)) for each in (data, tensors["samples"])]
    groups = [np.concatenate(means)] if kind.joint_statistics else means
    expected = np.concatenate([(group - group.mean()) / np.sqrt(group.var() + 1e-8) for group in groups])
    found = np.concatenate([np.array(tensors["real"]), np.array(tensors["generated"])])[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_posteriors_give_means_and_samples():
    outputs, noise = tf.constant([[1.0, 2.0, np.log(3.0), 0.0]]), tf.constant([[0.5, -1.0]])
    gaussian = Gaussian()
    assert gaussian.units(2) == 4
    np.testing.assert_allclose(gaussian.mean(outputs), [[1.0, 2.0]])
    np.testing.assert_allclose(gaussian.sample(outputs, noise), [[2.5, 1.0]], rtol=1e-6)
    # 0.5 ((4 - 1) / 3)^2 + log 3 and 0.5 (2 - 2)^2 + 0, averaged.
    np.testing.assert_allclose(
        gaussian.regression_loss(outputs, tf.constant([[4.0, 2.0]])), [(0.5 + np.log(3.0)) / 2], rtol=1e-6
    )
    assert Implicit().stochastic and Uniform(2).posterior == "squashed"


def test_a_gaussian_encoder_gives_its_mean_or_a_sample():
    game, x = ali(), images(5)
    outputs = np.array(game.encoder(x, training=False))
    np.testing.assert_allclose(game.encode(x), outputs[:, :4], atol=1e-6)
    np.testing.assert_allclose(game.features(x, "code"), outputs[:, :4], atol=1e-6)
    noise = np.array(Draws(7, 0, 5, "generation").normal("posterior", (4,)))
    drawn = game.encode(x, sample=True, seed=7)
    np.testing.assert_allclose(drawn, outputs[:, :4] + np.exp(outputs[:, 4:]) * noise, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(game.reconstruct(x, sample=True, seed=7), game.generate(z=drawn), atol=1e-5)


def test_an_implicit_encoder_takes_noise_as_its_second_input():
    game, x = points_game("ali"), np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    zeros = np.zeros((5, 2), np.float32)
    np.testing.assert_allclose(game.encode(x), game.encoder([x, zeros]), atol=1e-6)
    assert not np.allclose(game.encode(x, sample=True), game.encode(x))
    np.testing.assert_array_equal(game.encode(x, sample=True, seed=1), game.encode(x, sample=True, seed=1))


# -- noise of any shape


NOISE = (2, 3)  # a shape that no code has


def noisy(name, *sizes, units):
    """A network whose inputs are vectors of these sizes, and noise."""
    inputs = [*(keras.Input((size,)) for size in sizes), keras.Input(NOISE, name="noise")]
    h = keras.layers.Concatenate()([*inputs[:-1], keras.layers.Flatten()(inputs[-1])])
    return keras.Model(inputs, keras.layers.Dense(units)(keras.layers.Dense(8, "tanh", name="h")(h)), name=name)


def noisy_game(system=BiGAN, posterior=None, terms=()):
    """A game of points in the plane and codes of 4 dimensions."""
    keras.utils.set_random_seed(0)
    networks = {
        "encoder": noisy("encoder", 2, units=8 if posterior == "gaussian" else 4),
        "generator": noisy("generator", 4, units=2),
        "discriminator": noisy("discriminator", *((2, 4) if system.sees_codes else (2,)), units=1),
    }
    networks = {role: networks[role] for role in system.roles}
    return system(
        networks, Normal(4), terms=terms, posterior=posterior and make_posterior(posterior), seed=3, name="noisy"
    )


POINTS = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)


@pytest.mark.parametrize("posterior", ["linear", "squashed", "gaussian", "implicit"])
def test_an_encoder_takes_noise_of_any_shape(posterior):
    game, x, made = noisy_game(posterior=posterior), POINTS[:5], make_posterior(posterior)
    outputs = game.encoder([x, np.zeros((5, *NOISE))])
    np.testing.assert_allclose(game(x), outputs, atol=1e-6)
    for mean in (game.encode(x), game.features(x, "code")):
        np.testing.assert_allclose(mean, made.mean(outputs), atol=1e-6)
    draws = Draws(7, 0, 5, "generation")
    noise = draws.normal("posterior" if posterior == "implicit" else "encoder/noise", NOISE).numpy()
    drawn = made.sample(game.encoder([x, noise]), draws.normal("posterior", (4,)))
    np.testing.assert_allclose(game.encode(x, sample=True, seed=7, batch_size=2), drawn, atol=1e-5)
    assert not np.allclose(drawn, game.encode(x), atol=1e-3)


def test_a_generators_noise_follows_from_the_seed():
    game = noisy_game()
    noise = Draws(3, 7, 5, "generation").normal("generator/noise", NOISE)
    z = game.noise(5, 7, "generation")
    np.testing.assert_allclose(game.generate(5, seed=7, batch_size=2), game.generator([z, noise]), atol=1e-5)
    np.testing.assert_array_equal(game.generate(5, seed=7), game.generate(z=z, seed=7))
    assert not np.allclose(game.generate(z=z, seed=8), game.generate(z=z, seed=7), atol=1e-3)
    x = POINTS[:5]
    np.testing.assert_array_equal(game.reconstruct(x, seed=7), game.generate(z=game.encode(x), seed=7))


def test_a_discriminators_noise_is_0_in_features():
    game, x = noisy_game(GAN), POINTS[:5]
    hidden = keras.Model(game.discriminator.inputs, game.discriminator.get_layer("h").output)
    np.testing.assert_allclose(game.features(x), hidden([x, np.zeros((5, *NOISE))]), atol=1e-6)


@pytest.mark.parametrize("system", [BiGAN, ALI, GAN])
def test_a_discriminator_takes_the_same_noise_where_a_term_asks_for_its_features(system):
    features = DenoisingFeatureMatching(1.0, Denoiser(8, depth=1, width=8, seed=5))
    plain, game = noisy_game(system), noisy_game(system, terms=[features])
    losses = [each.play(POINTS, each.noise(16, 0), Draws(3, 0, 16)) for each in (plain, game)]
    np.testing.assert_allclose(*(each["discriminator"] for each in losses), rtol=1e-6)
    other = plain.play(POINTS, plain.noise(16, 0), Draws(4, 0, 16))
    assert not np.allclose(other["discriminator"], losses[0]["discriminator"], rtol=1e-5)
    game.compile()
    assert np.isfinite(list(fit(game, POINTS, 16, statistics_steps=1).history.values())).all()


def test_noise_needs_a_known_shape():
    inputs = [keras.Input((2,)), keras.Input((None, 4), name="noise")]
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(inputs[1]))
    others = {"generator": noisy("g", 4, units=2), "discriminator": noisy("d", 2, 4, units=1)}
    with pytest.raises(InputError, match=r"^the encoder takes noise of shape \(None, 4\), which must be known$"):
        BiGAN({"encoder": encoder, **others}, Normal(4))


# -- arguments of another type


def test_posteriors_and_objectives_are_given_by_name_too():
    networks = noisy_game().networks
    game = BiGAN(networks, Normal(4), posterior="implicit", objective="relativistic")
    assert isinstance(game.posterior, Implicit) and game.objective is objectives.RELATIVISTIC
    assert BiGAN(networks, Normal(4), objective="paper").objective is objectives.HALVED
    penalty = R1(0.1)
    assert BiGAN(networks, Normal(4), terms=penalty).terms == (penalty,)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"networks": [1, 2, 3]}, "^networks must be a dictionary, role: Keras model, found list$"),
        ({"networks": {"encoder": "mlp"}}, "^the encoder among networks must be a Keras model, found str$"),
        ({"prior": 3}, "^prior must be one of tf_bigan.priors, found 3; for example"),
        ({"prior": "normal"}, "^prior must be one of tf_bigan.priors, found 'normal'; for example"),
        ({"prior": Normal}, "^prior must be one of tf_bigan.priors, found <class"),
        ({"posterior": "gausian"}, "^unknown posterior 'gausian'. Did you mean 'gaussian'"),
        ({"posterior": Gaussian}, "^posterior must be one of tf_bigan.priors or its name, found <class"),
        ({"posterior": 0}, "^posterior must be one of tf_bigan.priors or its name, found 0$"),
        ({"objective": "relativist"}, "^unknown objective 'relativist'. Did you mean 'relativistic'"),
        ({"objective": 0}, "^objective must be one of tf_bigan.games.objectives or its name, found 0$"),
        ({"terms": ["r1"]}, r"^terms are those of tf_bigan.games.terms, as \[R1\(0.1\)\], found 'r1'$"),
        ({"terms": "r1"}, "^terms are those of .* found 'r1'$"),
        ({"terms": 0.1}, "^terms are those of .* found 0.1$"),
        ({"terms": [R1]}, "^terms are those of .* found <class"),
        ({"seed": "1"}, "^seed must be a whole number, found '1'$"),
        ({"seed": 2**64}, "^seed must fit into 64 bits"),
    ],
    ids=str,
)
def test_constructors_name_arguments_of_another_type(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        BiGAN(**{"networks": noisy_game().networks, "prior": Normal(4), **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "use, message",
    [
        (lambda game: game.generate("5"), "^count must be a whole number, found '5'$"),
        (lambda game: game.generate(2.5), "^count must be a whole number, found 2.5$"),
        (lambda game: game.generate(True), "^count must be a whole number, found True$"),
        (lambda game: game.generate(np.zeros((30, 4))), "^count must be a whole number, found ndarray$"),
        (lambda game: game.generate(2, seed="a"), "^seed must be a whole number, found 'a'$"),
        (lambda game: game.generate(2, seed=2**64), "^seed must fit into 64 bits"),
        (lambda game: game.generate(2, batch_size=0), "^batch_size must be at least 1, found 0$"),
        (lambda game: game.generate(z="codes"), "^z must be an array of numbers, found str$"),
        (lambda game: game.generate(z=[[1.0], [1.0, 2.0]]), "^z must be an array of numbers, found list$"),
        (lambda game: game.encode("photo.png"), "^points must be an array of numbers, found str$"),
        (lambda game: game.encode(POINTS, batch_size=2.5), "^batch_size must be a whole number, found 2.5$"),
        (lambda game: game.encode(POINTS, sample=True, seed=0.5), "^seed must be a whole number, found 0.5$"),
        (lambda game: game.features(None), "^points must be an array of numbers, found NoneType$"),
        (lambda game: game.features(POINTS, batch_size=0), "^batch_size must be at least 1, found 0$"),
        (lambda game: game.reconstruct(POINTS, labels=[1]), "^the encoder and the generator of noisy take no labels$"),
        (lambda game: game.fit(POINTS, batch_size="16"), "^batch_size must be a whole number, found '16'$"),
        (lambda game: game.fit(np.array(["a", "b"])), "^x must be an array of numbers, found ndarray of strings$"),
    ],
)
def test_use_names_arguments_of_another_type(use, message):
    with pytest.raises(InputError, match=message) as caught:
        use(noisy_game())
    assert "\n" not in str(caught.value)


def test_counts_may_be_integers_of_any_kind():
    game = noisy_game()
    for count in (np.int64(3), tf.constant(3), np.array(3)):
        np.testing.assert_array_equal(game.generate(count), game.generate(3))


@pytest.mark.parametrize("system", ["ali", "gan", "bigan"])
def test_points_train_generate_and_are_evaluated(system):
    game = points_game(system)
    game.compile()
    fit(game, np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32), 16)
    assert game.generate(7).shape == (7, 2)
    assert game.domain.name == "points"


def test_running_statistics_follow_training_steps_alone():
    game = points_game("ali", reconstruction_x=1.0, reconstruction_z=1.0)
    norm = next(layer for layer in game.generator.layers if isinstance(layer, BatchNorm))
    game.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    before = np.array(norm.mean)
    game.evaluate(batches(x, 16), verbose=0)
    game.estimate_statistics(batches(x, 16), 1)
    np.testing.assert_array_equal(norm.mean, before)
    first = keras.Model(game.generator.inputs, norm.input)
    means = np.array(first(game.noise(16, 0), training=True)).mean(0)
    fit(game, x, 16)
    # The forward pass updates the statistics once, from 0. The terms' passes through G do not update them.
    np.testing.assert_allclose(norm.mean, 0.05 * means, rtol=1e-4, atol=1e-7)


def test_two_replicas_train_ali_as_one_device_does(mirrored):
    """Codes, E's noise, the interval of penalties and running statistics all follow the global batch."""
    x = np.random.default_rng(0).normal(0, 2, (48, 2)).astype(np.float32)
    terms = {"reconstruction_x": 0.5, "r1_penalty": 0.1, "penalty_interval": 2}
    found = []
    for strategy in (mirrored, tf.distribute.get_strategy()):
        with strategy.scope():
            game = points_game("ali", sync_batch_norm=True, **terms)
        game.compile(keras.optimizers.SGD(0.05))
        fit(game, x, 16)
        found.append({role: network.get_weights() for role, network in game.networks.items()})
    for role, weights in found[1].items():
        for one, two in zip(weights, found[0][role], strict=True):
            np.testing.assert_allclose(two, one, atol=2e-5, err_msg=role)


def test_every_system_needs_its_networks_by_role():
    with pytest.raises(InputError, match="BiGAN needs the network 'discriminator' among its networks"):
        BiGAN({"encoder": MLPEncoder((8, 8, 1), 4, 16), "generator": MLPGenerator((8, 8, 1), 4, 16)}, Uniform(4))


def test_a_subclass_of_a_system_works_like_it():
    class Mine(ALI):
        pass

    registry.SYSTEMS["mine"] = "tf_bigan.games.ali:ALI"
    try:
        game = make_game(tiny(system="mine", posterior="gaussian", prior="normal"))
    finally:
        del registry.SYSTEMS["mine"]
    assert isinstance(game, ALI) and game.discriminator.inputs[1].shape == (None, 4)
    assert game.encoder.output_shape == (None, 8)
    assert Mine.joint_statistics and Mine.sees_codes
