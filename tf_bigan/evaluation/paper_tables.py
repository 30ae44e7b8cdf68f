"""The tables of the papers: which runs they show, what is measured, and the papers' own numbers.

Imports no TensorFlow.
"""

import dataclasses

from tf_bigan.registry import FAMILIES

_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
_JUDGE = "classifier_cifar10"  # the feature network of samples of CIFAR-10
_IMAGENET = {"bigan_imagenet": "BiGAN", "bigan_imagenet_112": "BiGAN, 112 px E", "gan_imagenet": "D"}


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a table: a row for each method, a column for each layer, and a metric in percent in each cell."""

    title: str
    metric: str
    columns: tuple
    # Further entries that the report's rows must have; under "settings", some of the classifiers' settings.
    more: dict = dataclasses.field(default_factory=dict)
    value: str = "accuracy"  # the entry of the report's rows that is shown
    deviation: str = ""  # the entry with its standard deviation, which is shown for a single seed
    heads: tuple = ()  # the columns' headings, if they are not the layers' names
    paper: dict = dataclasses.field(default_factory=dict)  # method -> the paper's value for each column, or None


@dataclasses.dataclass(frozen=True)
class RunsBlock:
    """A block of a table whose runs vary a setting: a row for each method, a column for each value of the setting."""

    title: str
    metric: str
    value: str  # the entry of the metric's numbers that is shown
    paper: dict = dataclasses.field(default_factory=dict)  # a method, or another's name -> the paper's texts


@dataclasses.dataclass(frozen=True)
class NumbersBlock:
    """A block of a table with a row for each method, and a column for each number of its samples.

    Attributes:
      title: heading of the methods' column.
      network: the feature network in which reports must have the numbers, if an evaluation need not be made again. What
        is shown are the numbers in the network of the newest evaluation.
      columns: the `Number` of each column.
    """

    title: str
    network: str
    columns: tuple


@dataclasses.dataclass(frozen=True)
class Number:
    """A column of a `NumbersBlock`."""

    head: str
    metric: str
    value: str  # the entry of the report's rows that is shown
    factor: float = 1  # by which it is multiplied
    real: str = "queries"  # the real images that are shown beside samples: "queries" or "gallery"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, or a part of one: which runs it shows, what is measured of them, and the layout."""

    runs: dict  # name of the zoo's entry -> the paper's name of the method
    flags: tuple  # for tools/evaluate.py
    blocks: tuple
    note: str
    train: tuple = ()  # flags for tools/train.py, before those that are asked for
    varied: str = ""  # a setting; there is a run of each method for each of its `values`
    values: tuple = ()
    published: bool = False  # if the zoo has an entry's weights, show that run alone, whatever flags are asked for
    then: "Table | None" = None  # a further part of the table, with runs of its own

    def parts(self) -> list:
        """This part of the table, and the parts after it."""
        return [self, *(self.then.parts() if self.then else ())]


TABLES = {
    "mnist_1nn": Table(
        {
            "bigan_mnist": "BiGAN",
            "gan_mnist": "D",
            "latent_regressor_mnist": "LR",
            "joint_latent_regressor_mnist": "JLR",
            "autoencoder_l2_mnist": "AE (l2)",
            "autoencoder_l1_mnist": "AE (l1)",
        },
        ("--metrics=knn",),
        (
            Block(
                "1-NN accuracy, %",
                "knn",
                ("penultimate",),
                {"metric": "euclidean", "k": 1},
                paper={
                    "BiGAN": (97.39,),
                    "D": (97.30,),
                    "LR": (97.44,),
                    "JLR": (97.13,),
                    "AE (l2)": (97.58,),
                    "AE (l1)": (97.63,),
                },
            ),
        ),
        "Donahue et al. 2017, Table 1. The gallery is all training images, the queries are the test set; Euclidean "
        "distance between features of the layer before the output.",
    ),
    "imagenet_linear": Table(
        _IMAGENET,
        ("--metrics=knn,linear", f"--layers={','.join(_CONVOLUTIONS)}", "--pool=4", "--untrained=3"),
        (
            Block("linear probe, %", "linear", _CONVOLUTIONS, {"pool": 4}),
            Block("1-NN accuracy, %", "knn", _CONVOLUTIONS, {"metric": "euclidean", "k": 1, "pool": 4}),
        ),
        "Features of each layer after its rectifier, averaged to at most 4x4 pixels; the gallery is all training "
        "images.",
    ),
    "imagenet_frozen": Table(
        _IMAGENET,
        ("--metrics=frozen_prefix",),
        (
            Block(
                "top-1, 10 crops, %",
                "frozen_prefix",
                _CONVOLUTIONS,
                value="accuracy_10_crop",
                paper={
                    "BiGAN": (56.2, 54.4, 49.4, 43.9, 33.3),
                    "BiGAN, 112 px E": (55.3, 53.2, 49.3, 44.4, 34.8),
                },
            ),
        ),
        "Donahue et al. 2017, Table 2: conv1 up to the column's layer copied and frozen, the rest of AlexNet trained. "
        "The paper's numbers are on ILSVRC2012.",
    ),
    "imagenet_finetuning": Table(
        _IMAGENET,
        ("--metrics=fine_tuning",),
        (Block("top-1, 10 crops, %", "fine_tuning", ("conv5",), value="accuracy_10_crop"),),
        "conv1 ... conv5 copied, all of AlexNet trained.",
    ),
    "voc2007": Table(
        _IMAGENET,
        ("--metrics=voc2007",),
        (
            Block(
                "mean AP, 10 crops, %",
                "voc2007",
                ("fc8", "fc6", "conv1"),
                value="map_10_crop",
                paper={"BiGAN, 112 px E": (None, 52.5, None)},
            ),
        ),
        "Donahue et al. 2017, Table 3, classification: the column's layer of AlexNet and all later layers are trained.",
    ),
    "cifar10_few_labels": Table(
        {"ali_cifar10": "ALI"},
        ("--metrics=svm",),
        (
            Block(
                "L2-SVM error, %",
                "svm",
                (FAMILIES["ali_cifar10"].probed,),
                {"settings": {"labels": 1000}},
                value="error",
                deviation="deviation",
                heads=("1000 labels",),
            ),
        ),
        "Dumoulin et al. 2017, Table 1, has this protocol on SVHN alone: 19.14 ± 0.50. Outputs of E's last three batch "
        "norms and the mean of the code, 5,184 features; of one seed, ± is over 100 draws of the labels.",
        published=True,
        then=Table(
            {"ali_cifar10_labels": "ALI", "supervised_cifar10": "labels alone"},
            ("--metrics=classification",),
            (
                RunsBlock(
                    "error of K + 1 classes, %",
                    "classification",
                    "error",
                    paper={
                        "ALI": ("19.98 ± 0.89", "19.09 ± 0.44", "17.99 ± 1.62", "17.05 ± 1.49"),
                        "GAN, feature matching": ("21.83 ± 2.01", "19.61 ± 2.09", "18.63 ± 2.32", "17.72 ± 1.82"),
                    },
                ),
            ),
            "Dumoulin et al. 2017, Table 2; its ± of ALI are 3 standard deviations. Labels alone: the same E and D, "
            "trained on nothing but the labelled images.",
            varied="labelled",
            values=(1000, 2000, 4000, 8000),
        ),
    ),
    "dfm": Table(
        {
            "gan_cifar10": "GAN",
            "dfm_cifar10": "GAN + DFM",
            "bigan_cifar10": "BiGAN",
            "bigan_dfm_cifar10": "BiGAN + DFM",
            "ali_cifar10": "ALI",
        },
        (
            "--metrics=fid,kid,precision_recall,class_score,knn,linear",
            f"--feature_network={_JUDGE}",
            "--layers=penultimate",
        ),
        (
            NumbersBlock(
                "samples",
                _JUDGE,
                (
                    Number("Fréchet", "fid", "fid"),
                    Number("kernel x 1000", "kid", "kid", 1000),
                    Number("precision, %", "precision_recall", "precision", 100),
                    Number("recall, %", "precision_recall", "recall", 100),
                    Number("density", "precision_recall", "density"),
                    Number("coverage, %", "precision_recall", "coverage", 100),
                    Number("score", "class_score", "score", real="gallery"),
                ),
            ),
            Block("1-NN accuracy, %", "knn", ("penultimate",), {"metric": "euclidean", "k": 1}),
            Block("linear probe, %", "linear", ("penultimate",)),
        ),
        "Samples are compared with the training images in the features of the network that is named: only those of "
        "inception are FID, KID and Inception score as papers report them. Real images: the test images, and for the "
        "score the training images; the Fréchet distance of fewer images is larger. 1-NN and linear probe are of E's "
        "last layer before its output, of a GAN of D's.",
        train=("--constant_epochs=15",),
    ),
}
