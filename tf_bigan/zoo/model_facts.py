"""Facts about models: what they are, how large, how good, and on which terms. Imports no TensorFlow by itself.

card.json of a published model holds what its files do not say otherwise, and what only TensorFlow could find out:

terms          the terms of use of the training data
reproduces     whether training from its flags gives these weights again, up to rounding: "yes", or "no, because ..."
losses         the losses of the last epoch of training; absent where nothing was trained
state          of the weights, as in weights.json, which unpublished weights lack; absent where nothing was trained
parameters     role -> number of values that training changes
layers         layer of the encoder, or of D where there is no E -> shape of its features
"""

import dataclasses
import json
import pathlib

from tf_bigan import registry
from tf_bigan.evaluation.measure import Headline, find_measure
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.experiment import Experiment
from tf_bigan.files import write_text
from tf_bigan.reading import COUNT, Optional, read_json
from tf_bigan.training.run_directory import WEIGHTS_STATE, RunDirectory
from tf_bigan.zoo.finding import REPORT, run_path

CARD_FACTS = "card.json"
_CARD_FACTS = {  # see `read_json`
    "terms": str,
    Optional("reproduces"): str,
    Optional("losses"): {str: object},
    Optional("state"): WEIGHTS_STATE,
    "parameters": {str: COUNT},
    "layers": {str: [COUNT]},
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a model of the zoo, or of a run.

    Attributes:
      name: the name or path that it was asked for by.
      path: its folder.
      experiment: its `Experiment`.
      epochs: epochs that it was trained for; None = it was not trained.
      initial_epochs: epochs of each earlier run whose weights it began with, in order; [] if they were fresh.
      bytes: name of a weight file -> its size.
      parameters, layers, terms, reproduces: as in card.json; terms and reproduces are None for a run.
      headlines: the numbers of its report that a list shows: name of a measure -> `Headline`.
      pictures: names of the PNG files in its folder.
    """

    name: str
    path: pathlib.Path
    experiment: Experiment
    epochs: int | None
    initial_epochs: list[int]
    bytes: dict[str, int]
    parameters: dict[str, int]
    layers: dict[str, list[int]]
    terms: str | None
    reproduces: str | None
    headlines: dict[str, Headline]
    pictures: list[str]


def facts(name) -> Facts:
    """The facts about a model of the zoo, or about a run directory.

    A published model needs no TensorFlow for this. A run's networks are built to count their parameters.

    Raises:
      InputError: as in `run_path`, or a file of the model is damaged.
    """
    return facts_of(run_path(name), str(name))


def facts_of(path, name: str) -> Facts:
    """The facts about the model in a folder, which is called `name`. See `facts`."""
    run = RunDirectory(path)
    path, experiment = run.path, run.experiment()
    told = read_card_facts(path) if (path / CARD_FACTS).exists() else network_facts(experiment)
    return Facts(
        name=name,
        path=run.path,
        experiment=experiment,
        epochs=(run.weights_state() if run.has_weights() else told.get("state") or {}).get("epochs"),
        initial_epochs=[earlier["epochs"] for earlier in run.initial()],
        bytes={file.name: file.stat().st_size for file in run.weight_files()},
        parameters=told["parameters"],
        layers=told["layers"],
        terms=told.get("terms"),
        reproduces=told.get("reproduces"),
        headlines=headlines(read_report(path / REPORT)) if (path / REPORT).exists() else {},
        pictures=sorted(file.name for file in path.glob("[!.]*.png")),
    )


def network_facts(experiment) -> dict:
    """{"parameters": ..., "layers": ...} of the networks of an `Experiment`, as in card.json. Imports TensorFlow."""
    from tf_bigan.games import check_size, make_game, weight_shapes
    from tf_bigan.networks.costs import layer_costs

    check_size(weight_shapes(experiment))
    game = make_game(experiment)
    shapes = {cost.name: list(cost.shape) for cost in layer_costs(game.feature_network)}
    layers = {name: shapes[name] for name in game.layer_names if name in shapes}
    parameters = {role: sum(cost.parameters for cost in layer_costs(net)) for role, net in game.networks.items()}
    return {"parameters": parameters, "layers": layers}


def write_card_facts(path, told: dict):
    """Writes card.json into the folder of an entry."""
    write_text(pathlib.Path(path) / CARD_FACTS, json.dumps(told, indent=1) + "\n")


def read_card_facts(path) -> dict:
    """The content of the card.json in a folder. Raises InputError if it is missing or damaged."""
    return read_json(pathlib.Path(path) / CARD_FACTS, _CARD_FACTS, finite=False)


def headlines(report) -> dict[str, Headline]:
    """The numbers of a report that a list of models shows: name of the measure -> `Headline`, the probe's first."""
    known = sorted((name for name in registry.MEASURES if report["results"].get(name)), key=lambda n: n != "linear")
    made = {name: find_measure(name).headline(report["results"][name], report) for name in known}
    return {name: headline for name, headline in made.items() if headline}
