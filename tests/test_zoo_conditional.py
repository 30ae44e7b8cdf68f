"""The zoo's entries of conditional ALI: their settings and parameters, and models that are asked with attributes."""

import math

import numpy as np
import pytest

import tf_bigan
from tf_bigan import zoo
from tf_bigan.training.run_directory import RunDirectory

# Entry -> (the parameters of E, G, D and the embedding; data set, split, image size, batch size, epochs, attributes).
ENTRIES = {
    "ali_celeba_conditional": (
        (6_925_952, 13_908_544, 15_713_345, 10_496),
        ("celeb_a", "train", 64, 128, 123, 40, "data", "ali_celeba"),
    ),
    "ali_cifar10_conditional": (
        (3_151_264, 2_029_728, 2_873_153, 2_816),
        ("cifar10", "train[:45000]", 32, 100, 6475, 10, "label", "ali_cifar10"),
    ),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_flags_are_those_of_the_paper(name):
    e = RunDirectory(zoo.zoo_path() / name).experiment()
    found = (e.dataset, e.split, e.image_size, e.batch_size, e.constant_epochs, e.attributes, e.attributes_from)
    assert (*found, e.networks) == ENTRIES[name][1]
    assert (e.system, e.train_embedding, e.prior, e.posterior) == ("conditional_ali", True, "normal", "gaussian")
    assert (e.learning_rate, e.beta_1, e.beta_2, e.l2, e.decay_epochs) == (1e-4, 0.5, 0.999, 0.0, 0)
    assert (e.width, e.latent_dim, e.init_stddev, e.dropout, e.terms()) == (0, 0, 0.0, True, [])
    e.check_effects()


@pytest.mark.parametrize("name", ENTRIES)
def test_fresh_networks_have_their_parameters_and_generate_with_attributes(name):
    model = tf_bigan.load(name, weights=None)
    found = tuple(sum(math.prod(v.shape) for v in n.trainable_variables) for n in model.networks.values())
    assert list(model.networks) == ["encoder", "generator", "discriminator", "embedding"] and found == ENTRIES[name][0]
    card = " ".join((zoo.zoo_path() / name / zoo.CARD).read_text().split())
    assert "E has {:,} parameters, the decoder {:,}, D {:,} and the embedding {:,}".format(*found) in card
    size, attributes = ENTRIES[name][1][2], ENTRIES[name][1][5]
    made = model.generate(8, seed=0, attributes=np.eye(8, attributes))
    assert made.shape == (8, size, size, 3) and made.dtype == np.float32
