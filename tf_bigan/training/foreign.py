"""Exchanges weights with another training program: named arrays for it, and a run directory from its results.

A weight is called "role/layer/variable", for example "encoder/conv1_linear/kernel", and has Keras' layout.
"""

import pathlib
import re

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.games import check_size, make_game, weight_shapes
from tf_bigan.pieces import read_pieces
from tf_bigan.reading import COUNT, described
from tf_bigan.training.run_directory import RunDirectory

# What the trainer tells of itself and of the run; see `read_json`.
_HELD = {
    "flags": str,
    "statistics_steps": COUNT,
    "log": [{"step": COUNT}],
    "trainer": {
        **dict.fromkeys(("trainer", "version", "device", "precision"), str),
        **dict.fromkeys(("steps", "epochs", "steps_per_epoch"), COUNT),
        **dict.fromkeys(("images_per_second", "seconds"), float),
        "command": str,
        "examples": (str, None),
        "initial": (str, None),
    },
}


def arrays_of(networks: dict) -> dict[str, np.ndarray]:
    """Every weight and inference statistic of `networks` (role -> keras.Model), as float32 arrays by name."""
    return {path: np.array(variable, np.float32) for path, variable in _variables(networks)}


def fill(networks: dict, arrays: dict[str, np.ndarray], where="the arrays"):
    """Assigns `arrays`, named as `arrays_of` names them, to the weights of `networks` (role -> keras.Model).

    Raises:
      InputError: a weight is missing, unknown, of another shape, or not finite. Some of the weights may have been
        assigned by then.
    """
    variables = dict(_variables(networks))
    for path in [*variables.keys() - arrays.keys(), *arrays.keys() - variables.keys()][:1]:
        raise InputError(f"{where} {'hold' if path in arrays else 'lack'} {path}, unlike the networks of the flags")
    for path, variable in variables.items():
        array = arrays[path]
        if array.shape != tuple(variable.shape):
            raise InputError(f"{where} hold {path} of shape {[*array.shape]}; the flags need {[*variable.shape]}")
        if not np.isfinite(array).all():
            raise InputError(f"{where} hold {path} with a value that is not finite")
        variable.assign(array)


def import_run(pieces, workdir):
    """Makes a run directory from what benchmarks/torch_train.py wrote.

    Args:
      pieces: the folder of weights.
      workdir: the run directory to make; it must not hold a run.

    Returns:
      (the `RunDirectory`, the record of the program that trained it).

    Raises:
      InputError: pieces are missing, damaged or do not fit their own flags, or `workdir` holds a run already.
    """
    pieces, run = pathlib.Path(pieces), RunDirectory(workdir)
    if run.has_begun():
        raise InputError(f"{run.path} holds a run; give another --workdir")
    arrays, told = read_pieces(pieces)
    if not told.keys() >= _HELD.keys():
        raise InputError(f"{pieces} holds no weights of benchmarks/torch_train.py")
    described(told, _HELD, pieces)
    experiment = Experiment().changed_by(told["flags"].splitlines())
    trainer = {name: told["trainer"][name] for name in _HELD["trainer"]}
    trainer["command"] = _without_places(trainer["command"])
    check_size(weight_shapes(experiment))
    game = make_game(experiment)
    fill(game.networks, arrays, str(pieces))
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_experiment(experiment)
    run.rewind_log(-1)
    for record in told["log"]:
        run.append_log(record)
    run.save_weights(game.networks, trainer["epochs"], told["statistics_steps"], trainer)
    return run, trainer


def _without_places(command):
    """`command` without the folders of the machine that it ran on, which mean nothing elsewhere."""
    for flag, stands_for in (("workdir", "DIR"), ("examples", "EXAMPLES"), ("initial", "INITIAL")):
        command = re.sub(rf"--{flag}=\S+", f"--{flag}={stands_for}", command)
    return command


def _variables(networks):
    """Yields (name, variable) for every weight and statistic."""
    for role, network in networks.items():
        for layer in network.layers:
            for variable in layer.variables:
                yield f"{role}/{layer.name}/{variable.name}", variable
