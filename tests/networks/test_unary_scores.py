"""D's of three scores, and D's without batch norms."""

import keras
import numpy as np
import pytest
from helpers import fit, images, norms_of, tiny

from tf_bigan.errors import InputError
from tf_bigan.games import make_game, weight_shapes
from tf_bigan.networks.conv import ConvDiscriminator
from tf_bigan.networks.dcgan import DCGANDiscriminator

EDGES = {"dcgan": 8, "conv": 16}
NETWORKS = {"dcgan": DCGANDiscriminator, "conv": ConvDiscriminator}


def discriminator(family, **changes):
    edge = EDGES[family]
    network = NETWORKS[family]((edge, edge, 3), latent_dim=4, width=8, **changes)
    for variable in network.trainable_variables:
        rng = np.random.default_rng([len(variable.shape), *variable.path.encode()])
        variable.assign(rng.normal(0.0, 0.3, variable.shape))
    return network


def experiment(family, **changes):
    settings = {"networks": family, "image_size": EDGES[family], "channels": 3, "width": 8, "dataset": "cifar10"}
    return tiny(**{**settings, **changes})


@pytest.mark.parametrize("family", NETWORKS)
def test_each_score_depends_on_its_own_inputs(family):
    network = discriminator(family, unary=True)
    x, other = (images(4, seed, (EDGES[family], EDGES[family], 3)) for seed in (0, 1))
    z, another = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)

    def scores(x, z):
        return network([x, z], training=False).numpy()[:, :, 0]

    found = scores(x, z)
    assert network.output_shape == (None, 3, 1)
    moved = np.abs(scores(other, z) - found).min(axis=0), np.abs(scores(x, another) - found).min(axis=0)
    np.testing.assert_array_equal([each > 0 for each in moved], [[True, False, True], [False, True, True]])


@pytest.mark.parametrize("family", NETWORKS)
def test_without_batch_norms_an_example_is_judged_alone(family):
    """And its signals keep their size: no activation vanishes from layer to layer."""
    edge = EDGES[family]
    network = NETWORKS[family]((edge, edge, 3), latent_dim=4, width=32, norm=False)
    assert not norms_of(network)
    assert all(network.get_layer(f"conv{n}_linear").use_bias for n in (1, 2, 3, 4))
    x, z = images(8, shape=(edge, edge, 3)), np.random.default_rng(0).uniform(-1, 1, (8, 4)).astype(np.float32)
    h = keras.Model(network.inputs, network.get_layer(network.penultimate).output)
    np.testing.assert_allclose(h([x, z], training=True)[:4], h([x[:4], z[:4]], training=True), atol=1e-5)
    assert 0.1 < np.std(h([x, z])) < 10.0


@pytest.mark.parametrize("family", NETWORKS)
@pytest.mark.parametrize("objective", ["paper", "relativistic", "hinge"])
def test_games_with_three_scores_train(family, objective):
    for norm in (True, False):
        changes = {"unary_scores": True, "objective": objective, "discriminator_norm": norm}
        game = make_game(experiment(family, **changes))
        assert game.scores == 3 and not game.shares_gradient and not game.class_count
        game.compile()
        history = fit(game, images(16, shape=(EDGES[family], EDGES[family], 3)), 8).history
        assert all(np.isfinite(value).all() for value in history.values())


def test_one_backward_pass_serves_both_sides_of_a_d_without_norms_but_not_of_a_hinge():
    assert make_game(experiment("dcgan", discriminator_norm=False)).shares_gradient
    assert not make_game(experiment("dcgan", discriminator_norm=False, objective="hinge")).shares_gradient
    assert not make_game(experiment("dcgan")).shares_gradient


def test_what_three_scores_need():
    with pytest.raises(InputError, match="unary_scores needs a D that scores pairs, and .* learns labels"):
        make_game(experiment("dcgan", unary_scores=True, label_weight=1.0, classes=10))
    with pytest.raises(InputError, match="unary_scores needs a D that scores pairs, and .* sees no codes"):
        make_game(experiment("dcgan", system="gan", unary_scores=True))
    with pytest.raises(InputError, match="networks=mlp have no unary_scores, so --unary_scores=true has no effect"):
        tiny(unary_scores=True).check_effects()
    with pytest.raises(InputError, match="system=vae has no discriminator_norm"):
        tiny(system="vae", discriminator_norm=False).check_effects()


def test_the_shapes_of_their_weights_follow_from_the_settings():
    changed = experiment("dcgan", unary_scores=True)
    assert changed.other_networks(experiment("dcgan")) == {"unary_scores": (True, False)}
    made = make_game(changed).discriminator.get_weights()
    assert weight_shapes(changed)["discriminator"] == [each.shape for each in made]
