"""What an experiment would train, found without training it."""

import dataclasses

from tf_bigan import registry
from tf_bigan.data import open_data
from tf_bigan.data.sources import count_if_here
from tf_bigan.games import check_size, make_game, weight_shapes
from tf_bigan.networks.costs import layer_costs
from tf_bigan.training.estimate import estimate
from tf_bigan.training.labels import learner
from tf_bigan.training.shapes import shape_settings


def dry_run(experiment, data_dir=None) -> str:
    """The networks that `experiment` would train: their layers, output shapes, parameters and FLOP for an example.

    The data is opened only if the experiment does not give the shape of its examples, the classes that D learns or, of
    conditional systems, the number of attributes.

    Args:
      experiment: an `Experiment`.
      data_dir: where TFDS keeps data; None = TFDS_DATA_DIR or TFDS's default.

    Returns:
      A table for each network, with its totals (`layer_costs` says what is counted), and an estimate of operations,
      time and memory on this machine.

    Raises:
      InputError: the networks cannot be made, a setting has no effect, or the data is needed and cannot be opened.
    """
    experiment, game = _made(experiment, data_dir)
    example = "image" if game.domain.name == "images" else "point"
    tables = [_table(role, network, example) for role, network in game.networks.items()]
    return "\n".join(
        [
            f"{experiment.system} with the networks {experiment.networks}, trained on {experiment.dataset}\n",
            *tables,
            f"FLOP: of a forward pass for one {example}; products with kernels only, a multiply-add counts as 2.",
            "Parameters: what training changes, without the statistics of batch norms.\n",
            *_estimate(experiment, game, data_dir).lines(),
        ]
    )


def cost(experiment, data_dir=None) -> str:
    """What training `experiment` takes on this machine, as text: parameters, operations, time and memory.

    Args and errors: as for `dry_run`.
    """
    experiment, game = _made(experiment, data_dir)
    parameters = {role: sum(cost.parameters for cost in layer_costs(net)) for role, net in game.networks.items()}
    return "\n".join(
        [
            f"{experiment.system} with the networks {experiment.networks}, trained on {experiment.dataset}",
            f"Parameters: {', '.join(f'{role} {count:,}' for role, count in parameters.items())}.",
            *_estimate(experiment, game, data_dir).lines(),
        ]
    )


def _estimate(experiment, game, data_dir):
    examples = None
    # Classes and labels that limit the examples would have to be read.
    if not experiment.max_labels:
        examples = count_if_here(experiment.dataset, experiment.split, data_dir)
    return estimate(experiment, game, examples)


def _made(experiment, data_dir):
    """The experiment with its shapes, from the data where the flags leave them open, and its game."""
    experiment.check_effects()
    known = experiment.dimensions or experiment.image_size and experiment.channels
    conditional = registry.find(registry.SYSTEMS[experiment.system]).conditional
    known = known and (experiment.classes or not learner(experiment)) and (experiment.attributes or not conditional)
    if not known:
        preparation = dataclasses.asdict(experiment.preparation)
        options = {"data_dir": data_dir, "max_labels": experiment.max_labels, **preparation}
        data = open_data(experiment.dataset, experiment.split, **options)
        experiment = dataclasses.replace(experiment, **shape_settings(experiment, data))
    check_size(weight_shapes(experiment))
    return experiment, make_game(experiment)


def _table(role, network, example):
    """The table of one network, as text that ends with an empty line."""
    rows = [(cost.name, _shape(cost.shape), f"{cost.parameters:,}", f"{cost.flop:,}") for cost in layer_costs(network)]
    totals = (sum(column) for column in zip(*(cost[2:] for cost in layer_costs(network)), strict=True))
    rows.append(("total", "", *(f"{total:,}" for total in totals)))
    rows.insert(0, ("layer", "output", "parameters", f"FLOP per {example}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"  {name:<{widths[0]}}  {shape:>{widths[1]}}  {parameters:>{widths[2]}}  {flop:>{widths[3]}}"
        for name, shape, parameters, flop in rows
    ]
    inputs = ", ".join(f"{tensor.name} {_shape(tensor.shape[1:])}" for tensor in network.inputs)
    return "\n".join([f"{role}: {inputs}", *lines, ""])


def _shape(shape):
    return "x".join(map(str, shape))
