"""Draws pictures of a model: samples, reconstructions, interpolations, attributes, filters, nearest neighbours.

python tools/visualize.py --model=bigan_mnist --output=/tmp/pictures
python tools/visualize.py --run=/tmp/bigan_mnist

The second command draws the curves of a run, finished or not: losses, rates, and what the collapse watch measured.
"""

import dataclasses
import pathlib

import common
from absl import flags

_FIGURES = ("samples", "reconstructions", "interpolations", "attributes", "filters", "neighbours")

_MODEL = flags.DEFINE_string("model", None, "a zoo model's name, or a run directory")
_RUN = flags.DEFINE_string("run", None, "a run directory whose curves are drawn, instead of the pictures of a model")
_OUTPUT = flags.DEFINE_string("output", None, "the folder for the PNG files; required with --model; default: --run")
_WANTED = flags.DEFINE_list("figures", None, f"which: {', '.join(_FIGURES)}; default: all that the model allows")
_LAYER = flags.DEFINE_string("layer", "penultimate", "feature space of the neighbours")
_METRIC = flags.DEFINE_string("metric", "cosine", "distance of the neighbours: cosine, as in the paper, or euclidean")
_ROWS = flags.DEFINE_integer("rows", 10, "rows of a picture", lower_bound=1)
_SEED = flags.DEFINE_integer(
    "seed", 0, "seed of the samples, of the codes of a stochastic encoder, and of the images shown of a folder"
)
_DATASET = flags.DEFINE_string("dataset", None, "data set of the images shown; default: the one trained on")
_QUERY_DATASET = flags.DEFINE_string("query_dataset", None, "data set of the images shown, if not that of neighbours")
_QUERY_SPLIT = flags.DEFINE_string(
    "query_split", None, "split of the images shown; default: test, or validation if test is missing or has no labels"
)
_BAD_IMAGES = flags.DEFINE_enum(
    "bad_images", None, ["refuse", "skip"], "if images cannot be decoded; default: as the model was trained"
)
_MAX_PIXELS = common.define_max_pixels("as the model was trained")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")

# The networks that figures need; filters are of all networks.
_NETWORKS = {
    "samples": ("generator",),
    "reconstructions": ("encoder", "generator"),
    "interpolations": ("encoder", "generator"),
    "attributes": ("generator",),
    "neighbours": ("encoder",),
}

_OF_PICTURES = (
    *(_WANTED, _LAYER, _METRIC, _ROWS, _SEED),
    *(_DATASET, _QUERY_DATASET, _QUERY_SPLIT, _BAD_IMAGES, _MAX_PIXELS, _DATA_DIR),
)


def main():
    """Draws the pictures and prints their paths."""
    if _RUN.value is not None:
        draw_curves(common.require(_RUN))
        return
    name, output = common.require(_MODEL), pathlib.Path(common.require(_OUTPUT))
    common.import_tensorflow()
    import tf_bigan
    from tf_bigan import figures, zoo
    from tf_bigan.errors import InputError, did_you_mean
    from tf_bigan.evaluation.data import open_evaluation_data, open_queries
    from tf_bigan.games.conditioned import conditioned
    from tf_bigan.training.run_directory import RunDirectory

    for figure in _WANTED.value or ():
        if figure not in _FIGURES:
            raise InputError(f"unknown figure {figure!r}.{did_you_mean(figure, _FIGURES)}")
    asked = _WANTED.value or _FIGURES
    if "filters" in asked:
        model = tf_bigan.load(name)
    else:
        model = zoo.load_part(name, *{role for figure in asked for role in _NETWORKS[figure]})
    points, impossible = model.domain.name == "points", _impossible(model)
    wanted = _WANTED.value or [figure for figure in _FIGURES if figure not in impossible]
    if missing := sorted(impossible.keys() & set(wanted)):
        why = impossible[missing[0]]
        alike = [figure for figure in missing if impossible[figure] == why]
        raise InputError(f"{name} {why}, so it has no {', '.join(alike)}")

    if not wanted:
        raise InputError(f"{name} has no generator and is of points, so there is nothing to draw")

    if "neighbours" in wanted:  # whose layer is checked before other pictures are drawn
        model.feature_function(_LAYER.value)  # raises for a layer that the model lacks
        if asked := model.conditions_of_layer(_LAYER.value):
            raise InputError(
                f"layer {_LAYER.value!r} of {name} depends on {asked[0]}, and neighbours are of images alone; give "
                "another --layer"
            )

    rows = _ROWS.value
    if set(wanted) - {"filters"} - (set() if model.conditions else {"samples"}):
        experiment = RunDirectory(zoo.run_path(name)).experiment()
        experiment = dataclasses.replace(experiment, **common.given(_MAX_PIXELS))
        opened = {
            "dataset": _DATASET.value,
            "query_dataset": _QUERY_DATASET.value,
            "query_split": _QUERY_SPLIT.value,
            "data_dir": _DATA_DIR.value,
            "bad_images": _BAD_IMAGES.value,
            "say": common.note,
        }
        data = open_evaluation_data(experiment, **opened) if "neighbours" in wanted else None
        queries = data.queries if data else open_queries(experiment, **opened)
        numbers = queries.shown(figures.POINTS if points else rows * figures.pairs_per_row(model), _SEED.value)
        shown = queries.records_of(numbers)
        images, pictured = shown["x"], conditioned(model, shown)
    else:
        pictured = model

    def draw(figure):
        """Yields (name of the file, sheet) for each picture of a figure."""
        if figure == "samples":
            yield figure, figures.samples(pictured, 10 * rows, _SEED.value)
        if figure == "reconstructions":
            yield figure, figures.reconstructions(pictured, images, _SEED.value)
        if figure == "interpolations":
            half = min(rows, len(images) // 2)
            ends = images[:half], images[half : 2 * half]
            steps = 100 if points else None  # dots that make a line
            yield figure, figures.interpolations(model, *ends, steps, _SEED.value)
        if figure == "attributes":
            yield figure, figures.attributes(model, queries.attribute_names, rows, _SEED.value)
        if figure == "filters":
            for role, network in model.networks.items():
                if hasattr(network, "image_filters"):
                    yield f"filters_{role}", figures.filters(network, 10 * rows)
        if figure == "neighbours":
            own = numbers[:rows] if data.same else None
            if data.overlap and not data.same:
                common.note("some images shown are among those searched, so each finds itself; see --query_dataset")
            yield (
                figure,
                figures.neighbours(model, images[:rows], data.gallery, _LAYER.value, _METRIC.value, own=own),
            )
            if queries.files() is not None:  # of a folder, whose images have names that a person knows
                common.note(f"the images of the rows of neighbours.png: {', '.join(queries.described(numbers[:rows]))}")

    wanted = [figure for figure in _FIGURES if figure in wanted]
    for number, figure in enumerate(wanted, 1):
        common.note(f"drawing {figure} ({number} of {len(wanted)})")
        for name_of_file, sheet in draw(figure):
            figures.save_png(output / f"{name_of_file}.png", sheet)
            print(output / f"{name_of_file}.png", flush=True)


def draw_curves(folder):
    """Draws curves.png of the run in `folder`, and prints its path. Raises InputError for a folder without a run."""
    from tf_bigan.errors import InputError
    from tf_bigan.panels import save_png
    from tf_bigan.training.curves import page
    from tf_bigan.training.run_directory import RunDirectory

    if _MODEL.value is not None:
        raise InputError("give --model for pictures of a model or --run for the curves of a run, not both")
    if given := [f"--{holder.name}" for holder in _OF_PICTURES if holder.present]:
        raise InputError(
            f"{', '.join(given)}: for pictures of a --model; --run, which draws curves, takes --output alone"
        )
    run = RunDirectory(folder)
    experiment = run.experiment()
    if not run.log.exists():
        raise InputError(f"{run.path} has no {run.log.name}, so it has no curves to draw")
    path = pathlib.Path(_OUTPUT.value or run.path) / "curves.png"
    save_png(path, page(run.read_log(), f"{experiment.system} on {experiment.dataset}"))
    print(path)


def _impossible(model):
    """The figures that a model cannot have: {figure: why, as the rest of a sentence that begins with its name}."""
    from tf_bigan.games.inspection import conditions_of

    pairs, reasons = ("reconstructions", "interpolations"), {}
    if model.domain.name == "points":
        reasons |= dict.fromkeys(("attributes", "filters", "neighbours"), "is of points")
    elif model.generator is None or "attributes" not in conditions_of(model.generator):
        reasons["attributes"] = "takes no attributes"
    if model.conditions:  # the codes between two images have no attributes
        reasons["interpolations"] = f"takes {model.conditions[0]}"
    if model.encoder is None:
        reasons |= dict.fromkeys(pairs, "has no encoder")
    if model.generator is None:
        reasons |= dict.fromkeys(("samples", *pairs, "attributes"), "has no generator")
    return reasons


if __name__ == "__main__":
    common.run(main, __doc__)
