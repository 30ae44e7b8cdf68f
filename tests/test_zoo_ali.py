"""The zoo's entries of ALI on images, which are the settings of Dumoulin et al. 2017."""

import math

import pytest

import tf_bigan
from tf_bigan import zoo
from tf_bigan.errors import InputError
from tf_bigan.preparation import Preparation
from tf_bigan.registry import FAMILIES
from tf_bigan.training.run_directory import RunDirectory

# Entry -> (E's, G's and D's parameters; data set, split, image size, batch size, epochs).
ENTRIES = {
    "ali_cifar10": (
        (3_118_496, 981_152, 2_611_009),
        ("cifar10", "train[:45000]", 32, 100, 100),
    ),  # the paper: 6475 epochs
    "ali_svhn": ((3_315_488, 1_767_584, 5_283_073), ("svhn_cropped", "extra", 32, 100, 100)),
    "ali_celeba": ((6_794_880, 11_811_392, 15_189_057), ("celeb_a", "train", 64, 100, 123)),
    "ali_tiny_imagenet": (
        (7_812_352, 3_164_224, 32_985_793),
        ("downsampled_imagenet/64x64", "train", 64, 128, 125),
    ),
}
WITHOUT_WEIGHTS = [name for name in ENTRIES if not RunDirectory(zoo.zoo_path() / name).has_weights()]


def experiment_of(name):
    return RunDirectory(zoo.zoo_path() / name).experiment()


@pytest.mark.parametrize("name", ENTRIES)
def test_the_flags_are_the_papers_settings(name):
    e = experiment_of(name)
    assert (e.dataset, e.split, e.image_size, e.batch_size, e.constant_epochs) == ENTRIES[name][1]
    assert (e.system, e.networks, e.prior, e.posterior, e.dropout) == ("ali", name, "normal", "gaussian", True)
    assert (e.learning_rate, e.beta_1, e.beta_2, e.epsilon, e.l2) == (1e-4, 0.5, 0.999, 1e-8, 0.0)
    assert (e.decay_epochs, e.objective, e.terms(), e.flip, e.crop) == (0, "paper", [], False, "centre")
    own = FAMILIES[name].latent_dim
    assert (e.width, e.sized().latent_dim, e.init_stddev, e.max_labels) == (0, own, 0.0, 0)  # the paper's own
    e.check_effects()


@pytest.mark.parametrize("name", ENTRIES)
def test_fresh_networks_have_the_papers_parameters_and_the_card_says_so(name):
    model = tf_bigan.load(name, weights=None)
    found = [sum(math.prod(v.shape) for v in n.trainable_variables) for n in model.networks.values()]
    assert list(model.networks) == ["encoder", "generator", "discriminator"] and tuple(found) == ENTRIES[name][0]
    assert model.joint_statistics and model.preparation == Preparation(ENTRIES[name][1][2], 3)
    card = (zoo.zoo_path() / name / zoo.CARD).read_text()
    told = "E has {:,} parameters, the decoder {:,} and D {:,}".format(*found)
    assert told in " ".join(card.split())


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_an_entry_without_weights_says_how_to_train_it(name):
    with pytest.raises(InputError) as caught:
        tf_bigan.load(name)
    first, second = str(caught.value).splitlines()
    assert first == f"{name} has no weights yet; weights=None gives fresh ones."
    flagfile = zoo.zoo_path() / name / "train.flags"
    assert (
        second == f"Train it, in a checkout: python tools/train.py --flagfile={flagfile} --workdir=DIR, then load DIR"
    )
    card = (zoo.zoo_path() / name / zoo.CARD).read_text()
    assert f"python tools/train.py --flagfile=zoo/{name}/train.flags --workdir=DIR" in card
