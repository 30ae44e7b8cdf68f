"""Loads models, and the experiments that they were trained by."""

import dataclasses

from tf_bigan import registry
from tf_bigan.errors import InputError
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.experiment import Experiment
from tf_bigan.reading import described
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory
from tf_bigan.zoo.finding import REPORT, is_entry, run_path


def load(name, weights="published", dtype="float32"):
    """Loads a model: a zoo model by name, or a run directory by path.

    Args:
      name: a name from `list_models`, such as "bigan_mnist", or the path of a run directory.
      weights: "published" = the trained weights, whose SHA-256 is verified before they are read; None = the same
        networks, freshly initialised from the run's seed.
      dtype: the networks' dtype policy. Weights are float32 under every policy.

    Returns:
      A `tf_bigan.games.Game`: a `keras.Model` with `encode`, `features`, `generate` and `reconstruct`, and its
      networks as `encoder`, `generator` and `discriminator`.

    Raises:
      InputError: an unknown name, or weights that are not published, are damaged or belong to another network.
    """
    if weights not in ("published", None):
        raise InputError(f"weights must be 'published' or None, found {weights!r}")
    path = run_path(name)

    from tf_bigan.games import check_size, make_game, weight_shapes

    run = RunDirectory(path)
    experiment = run.experiment()
    if weights:
        _check_published(name, run)
    shapes = weight_shapes(experiment)
    if weights:  # before there is room for them: the flags may ask for networks of any size
        run.check_weights(shapes)
    check_size(shapes)
    # The weights of a run that averages them are the averages already; using them takes no others.
    game = make_game(dataclasses.replace(experiment, average_decay=0.0), dtype)
    if weights:
        run.load_all_weights(game.networks)
    return game


def load_part(name, *roles):
    """Loads some of the networks of a trained model, which is faster than `load` and takes less memory.

    Args:
      name: as for `load`.
      *roles: the networks' roles. Those that the system lacks are left out; "encoder" then means the discriminator,
        whose layers are the features of such a system.

    Returns:
      A `tf_bigan.games.pair_model.PairModel`, which cannot be trained.

    Raises:
      InputError: as in `load`.
    """
    run = RunDirectory(run_path(name))
    _check_published(name, run)

    from tf_bigan.games import check_size, make_part, weight_shapes

    experiment = run.experiment()
    known = registry.find(registry.SYSTEMS[experiment.system]).roles
    if "encoder" in roles and "encoder" not in known:
        roles = (*roles, "discriminator")
    wanted = [role for role in known if role in (*roles, "embedding")] or known
    of_all = weight_shapes(experiment)
    shapes = {role: of_all[role] for role in wanted}
    run.check_weights(shapes)  # as in `load`
    check_size(shapes)
    part = make_part(experiment, wanted)
    run.load_all_weights(part.networks)
    return part


def _check_published(name, run):
    if run.weight_files():
        return
    how = (
        f"Train it, in a checkout: python tools/train.py --flagfile={run.path / FLAGFILE} --workdir=DIR, then load DIR"
        if is_entry(run.path)
        else "Start tools/train.py there again: it writes weights with the first pictures and at the end"
    )
    raise InputError(f"{name} has no weights yet; weights=None gives fresh ones.\n{how}")


def trained_experiment(name) -> Experiment:
    """The Experiment of a zoo model or run, with the precision that it was trained in.

    The flags of a zoo model leave the precision open, so it is read from the model's report.

    Raises:
      InputError: as in `RunDirectory.experiment`, or the zoo model's report is damaged.
    """
    path = run_path(name)
    experiment = RunDirectory(path).experiment()
    if is_entry(path) and (path / REPORT).exists():
        experiment = dataclasses.replace(experiment, precision=_precision(path / REPORT))
    return experiment


def _precision(path):
    """The precision of a training, from its report."""
    return described(read_report(path), {"training_precision": str}, path)["training_precision"]


def load_with_digest(name, *roles):
    """Loads a model as `load` does, or as `load_part` does if roles are given.

    Returns:
      (the model, the SHA-256 digest of all its weights). The digest is that of `RunDirectory.weights_digest`.

    Raises:
      InputError: as in `load`, or a training wrote new weights to the run directory meanwhile.
    """
    run = RunDirectory(run_path(name))
    digest = run.weights_digest() if run.has_weights() else None
    model = load_part(name, *roles) if roles else load(name)
    if run.weights_digest() != digest:
        raise InputError(f"{run.path} wrote new weights meanwhile; start again")
    return model, digest
