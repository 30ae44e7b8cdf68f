"""The zoo's entries of denoising feature matching, their baselines, and the BiGANs on the same networks."""

import math

import pytest

import tf_bigan
from tf_bigan import zoo
from tf_bigan.preparation import Preparation
from tf_bigan.training.run_directory import RunDirectory

# Data set -> (name of the data, split, edge of the images, width, dimensions of z, epochs; G's and D's parameters).
DATA = {
    "cifar10": (("cifar10", "train", 32, 64, 100, 15), (1_563_584, 1_150_272)),
    "stl10": (("stl10", "unlabelled", 48, 64, 100, 50), (2_085_824, 1_155_392)),
    "imagenet32": (("imagenet2012", "train", 32, 128, 256, 30), (6_690_688, 4_586_112)),
}
ENTRIES = {
    **{f"{kind}_{data}": ("gan", data) for data in DATA for kind in ("gan", "dfm")},
    **{f"{kind}_cifar10": ("bigan", "cifar10") for kind in ("bigan", "bigan_dfm")},
}
ROLES = {"encoder": "E", "generator": "G", "discriminator": "D", "denoiser": "the denoiser"}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_flags_are_the_papers_settings(name):
    system, data = ENTRIES[name]
    e = RunDirectory(zoo.zoo_path() / name).experiment()
    assert (e.dataset, e.split, e.image_size, e.width, e.latent_dim, e.constant_epochs) == DATA[data][0]
    assert (e.system, e.networks, e.prior, e.decay_epochs, e.batch_size) == (system, "dcgan", "uniform", 0, 128)
    assert (e.learning_rate, e.beta_1, e.beta_2, e.epsilon, e.l2) == (1e-4, 0.5, 0.999, 1e-8, 0.0)
    assert (e.crop, e.flip, e.shorter_edge, e.max_labels) == ("centre", False, 0, 0)
    assert (e.denoiser_layers, e.denoiser_width) == (10, 2048)
    terms = [(place.partition(":")[2], weight) for place, weight in e.terms()]
    assert terms == ([("DenoisingFeatureMatching", 0.03)] if "dfm" in name else [])
    e.check_effects()


@pytest.mark.parametrize("name", [name for name in ENTRIES if "imagenet" not in name])
def test_fresh_networks_have_the_parameters_that_the_card_tells(name):
    system, data = ENTRIES[name]
    model = tf_bigan.load(name, weights=None)
    counts = {r: sum(math.prod(v.shape) for v in n.trainable_variables) for r, n in model.networks.items()}
    if system == "gan":
        assert (counts["generator"], counts["discriminator"]) == DATA[data][1]
    assert ("denoiser" in counts) == ("dfm" in name) and not model.joint_statistics
    assert model.preparation == Preparation(DATA[data][0][2], 3)
    card = " ".join((zoo.zoo_path() / name / zoo.CARD).read_text().split())
    first, *others = [f"{ROLES[role]} {count:,}" for role, count in counts.items()]
    told = ", ".join([first.replace(" ", " has ", 1) + " parameters", *others[:-1]]) + f" and {others[-1]}."
    assert told in card
    assert f"python tools/train.py --flagfile=zoo/{name}/train.flags" in card


def test_a_game_and_its_baseline_have_the_same_networks():
    for with_term, plain in (("dfm_cifar10", "gan_cifar10"), ("bigan_dfm_cifar10", "bigan_cifar10")):
        one, two = (tf_bigan.load(name, weights=None) for name in (with_term, plain))
        for role, network in two.networks.items():
            assert one.networks[role].get_config() == network.get_config()
        assert one.networks.keys() - two.networks.keys() == {"denoiser"}
