"""Systems whose decoder comes from another run: the learned inverse and post-hoc inference."""

import numpy as np
import pytest
from helpers import flags_of, images, read_h5, run_tool, tiny, tiny_game, values

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.games import GAN, LearnedInverse, PostHoc, make_game
from tf_bigan.games.terms import ReconstructionX
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.priors import Normal
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train

SYSTEMS = ("learned_inverse", "post_hoc")
POINTS = {"networks": "mixture", "dataset": "mixture", "split": "train[:512]", "width": 8, "latent_dim": 2}
POINTS |= {"image_size": 0, "channels": 0, "dimensions": 2, "batch_size": 64, "prior": "normal"}
# Of each domain: a GAN's settings, and those that an encoder for its decoder has beside them.
DOMAINS = {"points": (POINTS, {"posterior": "implicit"}), "images": ({"prior": "normal"}, {"posterior": "gaussian"})}


@pytest.fixture(scope="module", params=DOMAINS)
def domain(request):
    return request.param


@pytest.fixture(scope="module")
def gan(domain, tmp_path_factory, digits_dir):
    """A finished run of a GAN, whose batch norms have statistics of their own."""
    folder = tmp_path_factory.mktemp(domain) / "gan"
    train(tiny(system="gan", seed=5, **DOMAINS[domain][0]), folder, digits_dir, say=[].append)
    return folder


def settings(domain, system, **changes):
    given, of_encoder = DOMAINS[domain]
    return tiny(**{**given, **of_encoder, "system": system, "seed": 6, **changes})


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_decoder_keeps_every_weight_and_statistic(system, domain, gan, tmp_path, digits_dir):
    train(settings(domain, system), tmp_path / "run", digits_dir, say=(lines := []).append, initial=gan)
    assert f"beginning with the weights of {gan}, of 2 epochs" in lines
    expected, found = (read_h5(run / "generator.weights.h5") for run in (gan, tmp_path / "run"))
    assert len(expected) >= 8 and expected.keys() == found.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
    fresh, trained = make_game(settings(domain, system)), tmp_path / "run"
    for role in fresh.networks.keys() - {"generator"}:
        before = [np.array(value) for value in fresh.networks[role].trainable_variables]
        RunDirectory(trained).load_weights(role, fresh.networks[role])
        after = [np.array(value) for value in fresh.networks[role].trainable_variables]
        assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True) if a.ndim > 1), role
    assert [run["weights"] for run in RunDirectory(trained).initial()] == [RunDirectory(gan).weights_digest()]


@pytest.mark.parametrize("system", [LearnedInverse, PostHoc])
def test_the_game_that_the_decoder_comes_from_trains_it_on(system):
    shape = {"image_shape": (8, 8, 1), "latent_dim": 2, "width": 4}
    generator = MLPGenerator(**shape)
    gan = GAN({"generator": generator, "discriminator": MLPDiscriminator(**{**shape, "latent_dim": 0})}, Normal(2))
    networks = {"encoder": MLPEncoder(**shape), "generator": generator, "discriminator": MLPDiscriminator(**shape)}
    game = system({role: networks[role] for role in system.roles}, Normal(2))
    owned = {id(v) for player in game.players for v in game.player_variables(player)}
    assert owned == {id(v) for v in game.trainable_variables} == {id(v) for v in game.trainable_weights}
    for each, trained in ((game, False), (gan, True)):
        before = [np.array(v) for v in generator.trainable_variables]
        each.compile(run_eagerly=True)
        each.fit(images(8), batch_size=4, statistics_steps=0, verbose=0)
        after = [np.array(v) for v in generator.trainable_variables]
        assert before and all(np.array_equal(a, b) != trained for a, b in zip(before, after, strict=True))


def test_the_learned_inverse_s_loss_by_hand():
    game = tiny_game("learned_inverse", prior="normal")
    for norm in (game.generator.get_layer(name) for name in ("h1_norm", "h2_norm")):
        norm.variance.assign(np.full(norm.variance.shape, 0.25))
    z = np.array(game.noise(6, 0))
    codes = game.encoder(game.generator(z, training=False), training=True)
    expected = np.mean(np.sum((z - codes) ** 2, axis=1))
    losses = game.play(images(6), z)
    np.testing.assert_allclose(losses["encoder"], expected, rtol=1e-5)
    assert losses.keys() == {"encoder"}


def test_the_learned_inverse_samples_its_codes():
    game = tiny_game("learned_inverse", prior="normal", posterior="gaussian")
    z = np.array(game.noise(6, 0))
    outputs = np.array(game.encoder(game.generator(z, training=False), training=True))
    noise = np.array(Draws(42, 0, 6).normal("encoder/posterior", (4,)))
    codes = outputs[:, :4] + np.exp(outputs[:, 4:]) * noise
    np.testing.assert_allclose(game.play(images(6), z)["encoder"], np.mean(np.sum((z - codes) ** 2, 1)), rtol=1e-5)


def test_post_hoc_inference_is_ali_with_a_decoder_in_inference_mode():
    settings = {"networks": "mixture", "dimensions": 2, "image_size": 0, "channels": 0, "width": 8, "latent_dim": 2}
    settings |= {"prior": "normal", "posterior": "implicit", "dataset": "mixture", "init_stddev": 0.5}
    post_hoc, ali = tiny_game("post_hoc", **settings), tiny_game("ali", **settings)
    x, z = np.random.default_rng(0).normal(size=(2, 6, 2)).astype(np.float32)
    found = post_hoc.play(x, z)
    # ALI's own losses, with its generator called in inference mode.
    called = ali.generator.call
    ali.generator.call = lambda inputs, training=None, mask=None: called(inputs, training=False)
    expected = ali.play(x, z)
    np.testing.assert_allclose(found["discriminator"], expected["discriminator"], rtol=1e-6)
    np.testing.assert_allclose(found["encoder"], expected["encoder_generator"], rtol=1e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_estimating_statistics_leaves_the_decoder_alone(system):
    game = tiny_game(system, prior="normal")
    game.generator.get_layer("h1_norm").mean.assign(np.full(16, 0.5))
    before = values(game.generator)
    assert game.estimate_statistics([images(8)], 1) == 1
    for path, value in values(game.generator).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert np.array(game.encoder.get_layer("h2_norm").batches) == 1


def test_without_a_decoder_training_does_not_begin(tmp_path, digits_dir):
    flags = [*flags_of(tiny(system="learned_inverse")), f"--workdir={tmp_path}/run", f"--data_dir={digits_dir}"]
    status, _, stderr = run_tool("train.py", *flags)
    assert status == 2
    assert stderr.splitlines()[-2:] == [
        "error: system=learned_inverse takes its generator from another run and does not train it.",
        "Give --initial_weights=RUN, a run directory or a zoo model, such as a run of system=gan",
    ]
    assert not (tmp_path / "run").exists()


def test_a_decoder_that_does_not_fit_is_named(domain, gan, tmp_path, digits_dir):
    def begin(**changes):
        train(settings(domain, "post_hoc", **changes), tmp_path / "run", digits_dir, say=[].append, initial=gan)

    with pytest.raises(InputError, match=f"^{gan} has other networks: width {8 if domain == 'points' else 16} there"):
        begin(width=12)
    with pytest.raises(InputError, match="gan takes codes of the normal prior; give --prior=normal$"):
        begin(prior="uniform")


def test_a_damaged_decoder_is_named_as_such(gan, domain, tmp_path, digits_dir):
    path = gan / "generator.weights.h5"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(InputError, match="generator.weights.h5"):
            train(settings(domain, "post_hoc"), tmp_path / "run", digits_dir, say=[].append, initial=gan)
    finally:
        path.write_bytes(content)


def test_a_resumed_run_need_not_name_the_decoder_again(gan, domain, tmp_path, digits_dir):
    train(settings(domain, "learned_inverse"), tmp_path / "run", digits_dir, say=[].append, initial=gan)
    for file in ("SHA256SUMS", "weights.json", "encoder.weights.h5", "generator.weights.h5"):
        (tmp_path / "run" / file).unlink()  # as if stopped after the last step
    train(settings(domain, "learned_inverse"), tmp_path / "run", digits_dir, say=(lines := []).append)
    assert any(line.startswith("resuming after step") for line in lines)
    expected, found = (read_h5(run / "generator.weights.h5") for run in (gan, tmp_path / "run"))
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


def test_a_term_may_change_the_encoder_but_not_the_decoder_alone(monkeypatch):
    settings = Experiment(**{**vars(tiny(system="post_hoc", prior="normal")), "reconstruction_x": 1.0})
    game = make_game(settings)
    plain = tiny_game("post_hoc", prior="normal")
    x, z = images(6), np.array(game.noise(6, 0))
    assert game.play(x, z)["encoder"] > plain.play(x, z)["encoder"]
    monkeypatch.setattr(ReconstructionX, "roles", ("generator",))
    with pytest.raises(InputError, match="reconstruction_x is for the generator, which no player of post_hoc trains"):
        game.play(x, z)
