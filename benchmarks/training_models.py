"""The models that training.py can train."""

import dataclasses

import work


@dataclasses.dataclass(frozen=True)
class Model:
    """A model to train.

    Attributes:
      zoo: the model of the zoo whose flags are used.
      batch: examples per step.
      layers: the model's layers, from `work`.
      torch: contender -> (arguments of torch_bigan.py, whether it runs under MKL_SHIM).
      warmup: steps before the measurement.
      without: flags that turn off a term, for the contender step-without; () = there is no such contender.
      plain: flags that turn off what the zoo's model has beyond the game that is compared, or that name other data.
      short: flags of train.py that shorten an epoch to seconds.
      shape: flags that give the examples' shape, which train.py reads from the data.
      steps_per_call: steps per call of the compiled train function, in the contender step.
      products: whether the CPU time of step is compared with that of its matrix products.
    """

    zoo: str
    batch: int
    layers: list
    torch: dict
    warmup: int
    without: tuple = ()
    plain: tuple = ()
    short: tuple = ()
    shape: tuple = ()
    steps_per_call: int = 1
    products: bool = False


TORCH_OF_MAPS = {
    "torch-eager": ([], False),
    "torch-channels-last": (["--channels_last"], False),
    "torch-compiled": (["--compile"], False),
    "torch-compiled-channels-last": (["--compile", "--channels_last"], False),
}
MODELS = {
    "mnist": Model(
        "bigan_mnist",
        128,
        work.mnist(),
        {
            "torch-eager": ([], False),
            "torch-compiled": (["--compile"], False),
            "torch-eager-avx512": ([], True),
            "torch-compiled-avx512": (["--compile"], True),
        },
        warmup=20,
    ),
    "imagenet": Model(
        "bigan_imagenet",
        128,
        work.imagenet(),
        {
            "torch-eager": ([], False),
            "torch-channels-last": (["--channels_last"], False),
            "torch-channels-last-compiled": (["--channels_last", "--compile"], False),
        },
        warmup=3,
        short=("--split=train[:2560]",),
    ),
    "ali_cifar10": Model(
        "ali_cifar10",
        100,
        work.ali_cifar10(),
        TORCH_OF_MAPS,
        warmup=3,
        short=("--split=train[:1000]",),
    ),
    "ali_svhn": Model(
        "ali_svhn",
        100,
        work.ali_svhn(),
        TORCH_OF_MAPS,
        warmup=3,
        # Images of the same shape from a smaller download. SVHN's, too, are decoded before the first step and held.
        plain=("--dataset=cifar10", "--split=train"),
        short=("--split=train[:1000]",),
    ),
    "gan_cifar10": Model(
        "gan_cifar10",
        128,
        work.gan_cifar10(),
        TORCH_OF_MAPS,
        warmup=3,
        short=("--split=train[:2560]",),
    ),
    "dfm_cifar10": Model(
        "dfm_cifar10",
        128,
        work.dfm_cifar10(),
        {},
        warmup=3,
        without=("--denoising_feature_matching=0",),
        short=("--split=train[:2560]",),
    ),
    "mixture": Model(
        "ali_mixture",
        100,
        work.mixture(),
        # There are no maps, so there is no channels-last layout.
        {name: variant for name, variant in TORCH_OF_MAPS.items() if "channels-last" not in name},
        warmup=20,
        plain=("--objective=paper", "--reconstruction_x=0", "--r1_penalty=0", "--r2_penalty=0"),
        short=("--split=train[:10000]",),
        shape=("--dimensions=2",),
        steps_per_call=10,  # as in train.py
        products=True,
    ),
}
