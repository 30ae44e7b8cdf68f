"""Evaluates a model on held-out data, beside untrained encoders and raw pixels or coordinates.

  python tools/evaluate.py --model=bigan_mnist --metrics=knn,reconstruction
  python tools/evaluate.py --model=bigan_imagenet --metrics=knn,linear --layers=conv1,conv2,conv3,conv4,conv5 --pool=4
  python tools/evaluate.py --model=bigan_imagenet --metrics=frozen_prefix,fine_tuning,voc2007 --json=/tmp/transfer.json

The metrics of the last line train classifiers, for hours perhaps. Each result is written at once; what the report holds
already of the same weights, data and settings is not measured again.
"""

import pathlib
import sys

import common
from absl import flags

_MODEL = flags.DEFINE_string("model", None, "a zoo model's name, or a run directory; required")
_METRICS = flags.DEFINE_list(
    "metrics",
    "knn,reconstruction,nnd",
    "what to measure: knn, linear, reconstruction, nnd, modes (of points of the mixture); frozen_prefix, fine_tuning, "
    "voc2007 (by default without reconstruction where there is no encoder)",
    short_name="m",
)
_LAYERS = flags.DEFINE_list(
    "layers",
    None,
    "feature spaces for knn and linear: layers' names, or code (default penultimate,outputs), held in memory together; "
    "ends of frozen prefixes (default conv1 to conv5)",
)
_POOL = flags.DEFINE_integer(
    "pool", 0, "for knn and linear, average maps down to so many pixels a side; 0 = as they are", lower_bound=0
)
_UNTRAINED = flags.DEFINE_integer("untrained", 1, "untrained encoders to compare with", lower_bound=0)
_DATASET = flags.DEFINE_string("dataset", None, "default: the one trained on")
_QUERY_DATASET = flags.DEFINE_string("query_dataset", None, "of the queries, where it is not --dataset: another folder")
_GALLERY_SPLIT = flags.DEFINE_string("gallery_split", "train", "TFDS split of the labelled gallery")
_QUERY_SPLIT = flags.DEFINE_string(
    "query_split", None, "TFDS split of the queries; default test if it has labels, else validation"
)
_SEED = flags.DEFINE_integer("seed", 0, "of the samples, and of the classifiers", lower_bound=0)
_BAD_IMAGES = flags.DEFINE_enum(
    "bad_images", None, ["refuse", "skip"], "with images that cannot be decoded; default: as the model was trained"
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_JSON = flags.DEFINE_string(
    "json", None, "where to write the report; default: metrics.json in a run directory, nowhere for a zoo model"
)
# Transfer to classifiers.
_EDGE = flags.DEFINE_integer(
    "transfer_size", 0, "edge of the classifiers' images [pixels]; 0 = the encoder's; the paper: 227", lower_bound=0
)
_EPOCHS = flags.DEFINE_integer("transfer_epochs", 10, "of a classifier, for frozen_prefix and fine_tuning [epochs]")
_RATE = flags.DEFINE_float("transfer_learning_rate", 0.01, "of a classifier, for frozen_prefix and fine_tuning")
_UNITS = flags.DEFINE_integer("transfer_units", 4096, "of the classifiers' fc6 and fc7 [units]")
_PRECISION = flags.DEFINE_enum(
    "transfer_precision", "float32", ["float32", "mixed_bfloat16"], "of the classifiers' training"
)
_VOC_STEPS = flags.DEFINE_integer("voc_steps", 80_000, "of a classifier, for voc2007; a multiple of 8 [steps]")


def main():
    """Evaluates, prints the table and writes the report."""
    name = common.require(_MODEL)
    common.import_tensorflow()
    from tf_bigan import zoo
    from tf_bigan.errors import InputError
    from tf_bigan.evaluation import evaluate
    from tf_bigan.evaluation.report import describe_epochs, table
    from tf_bigan.training.run_directory import RunDirectory

    evaluate.check_names(_METRICS.value, (*evaluate.METRICS, *evaluate.TRANSFERS))
    run = RunDirectory(zoo.run_path(name))
    model, digest = zoo.load_with_digest(name)
    experiment, initial = zoo.trained_experiment(name), [each["epochs"] for each in run.initial()]
    target = _JSON.value or (None if zoo.is_entry(run.path) else run.path / zoo.METRICS)
    if model.encoder is None and flags.FLAGS["metrics"].using_default_value:
        flags.FLAGS.metrics = [metric for metric in _METRICS.value if metric != "reconstruction"]
    features = [metric for metric in _METRICS.value if metric in evaluate.METRICS]
    transfers = [metric for metric in _METRICS.value if metric in evaluate.TRANSFERS]
    about = {
        "epochs": run.weights_state()["epochs"],
        **({"initial_epochs": initial} if initial else {}),
        "weights": digest,
    }
    if transfers and not target:
        raise InputError(f"{', '.join(transfers)} can take hours; give --json=FILE, where results are kept")
    settings = _settings() if transfers else None
    if transfers:
        evaluate.check_transfer(model, transfers, _LAYERS.value or ())
    data = _open_data(experiment)
    earlier = _earlier(target, about, evaluate.describe(experiment, data, _SEED.value))

    def keep(report):
        if target:
            commands = {metric: [_command()] for metric in report["results"]}
            zoo.write_report(target, {**about, **report, "commands": commands})

    print(
        f"{name}: {experiment.system}, {describe_epochs(about)} epochs on {experiment.dataset}; gallery "
        f"{data.gallery.count} of {data.gallery.origin}, queries {data.queries.count} of {data.queries.origin}\n"
    )
    sys.stdout.flush()
    if data.overlap and not {*_METRICS.value} - {"reconstruction", "nnd", "voc2007"}:  # which the others refuse
        kind = data.gallery.domain.name
        common.note(f"queries are {kind} of the gallery: reconstruction and nnd are of {kind} seen in training")
    if earlier:
        common.note(f"taking what {target} holds of this data and these settings")
    shared = {"untrained": _UNTRAINED.value, "earlier": earlier, "keep": keep, "say": common.note}
    if features:
        layers = _LAYERS.value or ("penultimate", "outputs")
        report = evaluate.evaluate(
            model, experiment, data, features, layers, seed=_SEED.value, pool=_POOL.value, **shared
        )
        print(table(report) + "\n", flush=True)
    if transfers:
        edge = evaluate.transfer_edge(experiment, _EDGE.value)
        report = evaluate.evaluate_transfer(
            model,
            experiment,
            _open_data(experiment, edge) if edge else data,
            transfers,
            settings[0],
            statistics=data.gallery,
            layers=_LAYERS.value or evaluate.CONVOLUTIONS,
            voc_settings=settings[1],
            data_dir=_DATA_DIR.value,
            **shared,
        )
        print(table(report) + "\n")
    if target:
        print(f"written to {target}")


def _settings():
    from tf_bigan.evaluation.transfer import Transfer
    from tf_bigan.evaluation.voc import VOCTransfer

    both = {"units": _UNITS.value, "precision": _PRECISION.value, "seed": _SEED.value}
    return (
        Transfer(epochs=_EPOCHS.value, learning_rate=_RATE.value, **both),
        VOCTransfer(steps=_VOC_STEPS.value, **both),
    )


def _open_data(experiment, edge=0):
    from tf_bigan.evaluation import evaluate

    splits = _GALLERY_SPLIT.value, _QUERY_SPLIT.value
    datasets = _DATASET.value, _QUERY_DATASET.value
    return evaluate.open_evaluation_data(
        experiment, *datasets, *splits, _DATA_DIR.value, _BAD_IMAGES.value, common.note, edge
    )


def _earlier(target, about, header):
    """What the report that `target` holds has to say of these weights and data; None if there is none.

    Raises InputError if it is of other networks or data, whose results would be lost.
    """
    from tf_bigan import zoo
    from tf_bigan.errors import InputError
    from tf_bigan.evaluation.report import carried, other_than

    if not target or not pathlib.Path(target).exists():
        return None
    earlier = zoo.read_report(target)
    if other := other_than(earlier, header):
        raise InputError(f"{target} holds an evaluation of other settings ({', '.join(other)}); give another --json")
    return carried(earlier, {**about, **header})


def _command():
    """The flags that decide results and are not at their defaults."""
    measured = (_LAYERS, _POOL, _UNTRAINED, _SEED, _EDGE, _EPOCHS, _RATE, _UNITS, _PRECISION, _VOC_STEPS)
    data = (_DATASET, _QUERY_DATASET, _GALLERY_SPLIT, _QUERY_SPLIT, _BAD_IMAGES)
    given = [flag for flag in (*measured, *data) if flag.value != flag.default]
    words = [f"--{flag.name}={','.join(flag.value) if isinstance(flag.value, list) else flag.value}" for flag in given]
    return " ".join([f"--metrics={','.join(_METRICS.value)}", *words])


if __name__ == "__main__":
    common.run(main, __doc__)
