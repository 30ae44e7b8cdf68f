"""The settings of a run's data and networks, the first part of a flagfile."""

import dataclasses
import functools

from tf_bigan.experiment.setting import setting
from tf_bigan.preparation import ATTRIBUTES_FROM, MAX_PIXELS
from tf_bigan.registry import FAMILIES, SYSTEMS

AUTO = "auto"
CODE = "Donahue et al. 2017, code"
PAPER = "Donahue et al. 2017, appendix"
UNITS = 2**20  # of a layer; the largest shapes are then within 64 bits
FIRST = functools.partial(setting, since=1)  # a setting that the first published runs had

_ALI = "Dumoulin et al. 2017, appendix A"
_EDGE = 65_535  # pixels: the largest that JPEG has


def _sizes(name):
    """The families' own values of a size, as text for a flag's help."""
    found = {}
    for family, made in FAMILIES.items():
        found.setdefault(getattr(made, name), []).append(family)
    return "; ".join(f"{size} for {', '.join(families)}" for size, families in found.items())


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The fields of `Experiment` that say which data and which networks a run has."""

    # The system and its data.
    system: str = FIRST("bigan", "the game that is played", choices=SYSTEMS)
    dataset: str = FIRST(
        "mnist",
        "a TFDS name, 'digits' (8x8, needs no download), 'tiny_imagenet' or the part of its classes that "
        "'tiny_imagenet_80' or 'tiny_imagenet_120' is, a folder of images, or 'mixture' (points of 25 Gaussians)",
    )
    split: str = FIRST("train", "the TFDS split to train on, such as 'train[:50000]'; ignored for folders")
    max_labels: int = FIRST(
        0, "use examples of only this many of the data set's first classes; 0 = all", "classes", CODE, minimum=0
    )
    image_size: int = FIRST(
        0,
        "edge of the square images; 0 = as stored. Images of another size are resized and centre-cropped",
        "pixels",
        minimum=0,
        maximum=_EDGE,
    )
    encoder_size: int = FIRST(
        0,
        "edge of the images that E takes, if larger than D's and G's; 0 = image_size",
        "pixels",
        minimum=0,
        maximum=_EDGE,
    )
    shorter_edge: int = FIRST(
        0,
        "resize each image's shorter edge to this before cropping; 0 = the crop's size",
        "pixels",
        minimum=0,
        maximum=_EDGE,
    )
    crop: str = FIRST("centre", "where training crops images", choices=("centre", "random"))
    flip: bool = FIRST(False, "mirror each training image with probability 1/2", source=PAPER)
    channels: int = FIRST(0, "colour channels: 1 or 3; 0 = as stored", choices=(0, 1, 3))
    dimensions: int = setting(
        0, "coordinates of each point, if the data is points; 0 = as stored", "coordinates", minimum=0, maximum=UNITS
    )
    attributes: int = setting(
        0,
        "number of attributes of an example, in conditional_ali; 0 = as many as the data has",
        minimum=0,
        maximum=UNITS,
    )
    attributes_from: str = setting(
        "data",
        "where conditional_ali's attributes come from: those of the data, or one-hot vectors of its labels",
        choices=ATTRIBUTES_FROM,
    )
    bad_images: str = FIRST(
        "refuse",
        "what to do if images cannot be decoded: refuse to train, or leave these images out",
        choices=("refuse", "skip"),
    )
    max_pixels: int = setting(
        MAX_PIXELS,
        "an image file of a folder that has more pixels counts as one that cannot be decoded",
        "pixels",
        minimum=1,
    )

    # The networks.
    networks: str = FIRST("mlp", "the family of E, G and D", choices=FAMILIES)
    width: int = FIRST(
        0,
        "units of each hidden layer of mlp and mixture (mixture's D has half as many), or channels of the first layer "
        "of the D of conv and dcgan and of the E of ali_*, with which all their layers scale; 0 = the paper's: 1024 "
        "for mlp; 400 for mixture; 64 for conv, dcgan, ali_celeba, ali_tiny_imagenet; 32 for ali_cifar10, ali_svhn",
        "units or channels",
        PAPER,
        minimum=0,
        maximum=UNITS,
    )
    latent_dim: int = FIRST(
        0,
        f"size of the code z; 0 = the paper's: {_sizes('latent_dim')}",
        "dimensions",
        PAPER,
        minimum=0,
        maximum=UNITS,
    )
    prior: str = FIRST("uniform", "p(z): U(-1, 1) or N(0, 1)", source=PAPER, choices=("uniform", "normal"))
    posterior: str = setting(
        AUTO,
        "how E's output becomes a code: squashed to (-1, 1); linear: as it is; gaussian: as mean and log standard "
        "deviation; implicit: as it is, with noise as E's second input; auto: squashed for the uniform prior, linear "
        "for the normal one",
        choices=(AUTO, "squashed", "linear", "gaussian", "implicit"),
    )
    init_stddev: float = setting(
        0.0, "standard deviation of the initial weights, if the family has a choice; 0 = the paper's", minimum=0.0
    )
    dropout: bool = setting(True, "drop units where the family's paper does", source=_ALI)
    train_embedding: bool = setting(
        True,
        "in conditional_ali, train the embedding of attributes with E and G; if not, it keeps its initial values, as "
        "in the authors' code",
        source=_ALI,
    )
    embedding_stddev: float = setting(
        0.0,
        "in conditional_ali, standard deviation of the embedding's initial weights; 0 = that of the other weights, "
        "which is the paper's: 0.01, for 40 attributes of which several are 1. With larger ones, as 0.1, D can tell "
        "one of a few classes sooner; with 1, G came to ignore the code",
        minimum=0.0,
    )
    discriminator_norm: bool = setting(
        True, "batch norms in D; without them its convolutions have biases, and He et al.'s initial weights"
    )
    unary_scores: bool = setting(
        False,
        "D scores the image, the code and the pair apart, and the losses of the three scores are summed",
        source="Donahue and Simonyan 2019, section 2",
    )
    generator_skip: bool = FIRST(True, "feed z to G's later hidden layers too", source=CODE)
    sync_batch_norm: bool = FIRST(False, "compute batch statistics over all replicas instead of each replica alone")
