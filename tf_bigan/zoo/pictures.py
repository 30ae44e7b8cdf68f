"""The pictures of a model card: samples, and examples with their reconstructions."""

import pathlib

from tf_bigan import figures
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.games.conditioned import conditioned

SAMPLES, RECONSTRUCTIONS = "samples.png", "reconstructions.png"
_SAMPLES = 40  # images
_ROWS = 4  # of reconstructions


def draw_pictures(model, experiment, folder, data_dir=None, say=print) -> list[str]:
    """Draws samples.png and reconstructions.png, as far as the model allows, and returns their names.

    Args:
      model: a Game.
      experiment: its `Experiment`, whose data gives the examples: the queries of an evaluation.
      folder: where the pictures are written.
      data_dir: the TFDS directory.
      say: function that is called with a line of text if a picture is left out because its data is not here.
    """
    folder, pair = pathlib.Path(folder), model.encoder is not None and model.generator is not None
    pictured, examples = None if model.conditions else model, None
    if pair or model.conditions:
        try:
            queries = open_evaluation_data(experiment, data_dir=data_dir, say=say).queries
            points = model.domain.name == "points"
            count = figures.POINTS if points else _ROWS * figures.pairs_per_row(model)
            record = queries.records_of(queries.shown(count, seed=0))
            pictured, examples = conditioned(model, record), record["x"]
        except InputError as error:
            say(f"no picture of reconstructions: {error}")
    sheets = {}
    if model.generator is not None and pictured is not None:
        sheets[SAMPLES] = figures.samples(pictured, _SAMPLES)
    if pair and examples is not None:
        sheets[RECONSTRUCTIONS] = figures.reconstructions(pictured, examples)
    for name, sheet in sheets.items():
        figures.save_png(folder / name, sheet)
    return list(sheets)
