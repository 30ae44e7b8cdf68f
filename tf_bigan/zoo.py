"""The zoo: list, load, publish and verify published runs. Importing it does not import TensorFlow."""

import fnmatch
import pathlib

from tf_bigan.errors import InputError, nearest

FLAGFILE = "train.flags"


def zoo_path() -> pathlib.Path:
    """Where the published runs lie: beside the package in a checkout, inside it once installed."""
    package = pathlib.Path(__file__).resolve().parent
    installed = package / "_zoo"
    return installed if installed.is_dir() else package.parent / "zoo"


def list_models(pattern: str = "*") -> list[str]:
    """The names of the zoo's models that match a shell pattern, sorted.

    A listed model may come without weights; `load` then says how to get them.
    """
    names = (path.parent.name for path in zoo_path().glob(f"*/{FLAGFILE}"))
    return sorted(fnmatch.filter(names, pattern))


def run_path(name) -> pathlib.Path:
    """The directory of a zoo model or run.

    Args:
      name: a name from `list_models`, or the path of a run directory.

    Raises:
      InputError: neither; the message lists the nearest names.
    """
    if str(name) in list_models():
        return zoo_path() / str(name)
    path = pathlib.Path(name).expanduser()
    if (path / FLAGFILE).is_file():
        return path
    if path.is_dir():
        raise InputError(f"{path} is no run directory: it has no {FLAGFILE}")
    raise InputError(
        f"unknown model {str(name)!r}.{nearest(str(name), list_models())} A run directory's path works too"
    )


def load(name, weights="published", dtype="float32"):
    """Loads a model: a zoo model by name, or a run directory by path.

    Args:
      name: as "bigan_mnist", or the path of a run directory.
      weights: "published" = the trained ones, their SHA-256 verified before they are read; None = the same
        networks, freshly initialised from the run's seed.
      dtype: the networks' dtype policy. Weights are float32 whatever it is.

    Returns:
      A `tf_bigan.games.Game`: a `keras.Model` with `encode`, `features`, `generate` and `reconstruct`, and its
      networks as `encoder`, `generator` and `discriminator`.

    Raises:
      InputError: an unknown name, or weights that are not published, damaged or of another network.
    """
    if weights not in ("published", None):
        raise InputError(f"weights must be 'published' or None, found {weights!r}")
    path = run_path(name)

    from tf_bigan.games import make_game
    from tf_bigan.training.run_directory import RunDirectory

    run = RunDirectory(path)
    experiment = run.experiment()
    if weights and not run.has_weights():
        published = path.parent == zoo_path()
        flagfile = path / FLAGFILE
        how = (
            f"Train it: python tools/train.py --flagfile={flagfile} --workdir=DIR, then load DIR"
            if published
            else ("Start tools/train.py there again: weights are written with the first pictures and at the end")
        )
        raise InputError(f"{name} has no weights yet; weights=None gives fresh ones.\n{how}")
    game = make_game(experiment, dtype)
    if weights:
        for role, network in game.networks.items():
            run.load_weights(role, network)
    return game
