"""Evaluates a model on held-out data, beside untrained encoders and raw pixels or coordinates.

  python tools/evaluate.py --model=bigan_mnist --metrics=knn,reconstruction
  python tools/evaluate.py --model=bigan_imagenet --metrics=knn,linear --layers=conv1,conv2,conv3,conv4,conv5 --pool=4
  python tools/evaluate.py --model=ali_cifar10 --metrics=svm
  python tools/evaluate.py --model=ali_cifar10 --metrics=fid,kid,precision_recall --feature_network=inception
  python tools/evaluate.py --model=bigan_imagenet --metrics=frozen_prefix,fine_tuning,voc2007 --json=/tmp/transfer.json

The metrics of the last line train classifiers, which can take hours. Each result is written at once. Results that the
report already holds for the same weights, data and settings are not measured again.
"""

import dataclasses
import pathlib
import sys

import common
from absl import flags

from tf_bigan.evaluation.settings import (
    PRECISIONS,
    EvaluationSettings,
    KMeansSettings,
    SVMSettings,
    TransferSettings,
    VOCSettings,
)
from tf_bigan.files import cache_path
from tf_bigan.registry import INHERITED, MEASURES
from tf_bigan.zoo.feature_networks import KINDS as FEATURE_NETWORKS

_OF_SAMPLES = ("fid", "kid", "precision_recall", "class_score")

_MODEL = flags.DEFINE_string("model", None, "a zoo model's name, or a run directory; required")
_METRICS = flags.DEFINE_list(
    "metrics",
    "knn,reconstruction,nnd",
    f"what to measure, of {', '.join(MEASURES)} (the default leaves out what needs an encoder or a "
    "generator that the model lacks)",
    short_name="m",
)
_LAYERS = flags.DEFINE_list(
    "layers",
    None,
    "for knn, linear and svm, the layers whose features are measured: layers' names, or code; + concatenates, as in "
    "conv5_norm+code; 'crelu(NAME)' is [ReLU(h), ReLU(-h)] of a layer's h, before any pooling (default "
    "penultimate,outputs; for svm the paper's; of conditional models, without those that depend on attributes, such as "
    "outputs and code); for frozen_prefix, the last frozen layers (default conv1 to conv5)",
)
_POOL = flags.DEFINE_integer(
    "pool", 0, "for knn, linear and svm, average feature maps down to this edge [pixels]; 0 = do not", lower_bound=0
)
_UNTRAINED = flags.DEFINE_integer("untrained", 1, "number of untrained encoders to compare with", lower_bound=0)
_KMEANS = flags.DEFINE_integer(
    "kmeans",
    0,
    "for knn, linear and svm, compare with K-means on 6x6 patches (Coates et al. 2011), with so many centroids, such "
    "as 800; features are 4 times as many; 0 = do not",
    lower_bound=0,
)
_KMEANS_STRIDE = flags.DEFINE_integer("kmeans_stride", 1, "for --kmeans, pixels between patches", lower_bound=1)
_DATASET = flags.DEFINE_string("dataset", None, "data set of gallery and queries; default: the one trained on")
_QUERY_DATASET = flags.DEFINE_string("query_dataset", None, "data set of the queries; default: that of the gallery")
_GALLERY_SPLIT = flags.DEFINE_string("gallery_split", "train", "TFDS split of the labelled gallery")
_QUERY_SPLIT = flags.DEFINE_string(
    "query_split", None, "TFDS split of the queries; default test if it has labels, else validation"
)
_SEED = flags.DEFINE_integer("seed", 0, "seed of the samples, and of the classifiers", lower_bound=0)
_BAD_IMAGES = flags.DEFINE_enum(
    "bad_images", None, ["refuse", "skip"], "what to do with images that cannot be decoded; default: as in training"
)
_MAX_PIXELS = common.define_max_pixels("as in training")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_JSON = flags.DEFINE_string(
    "json", None, "where to write the report; default: metrics.json in a run directory, nowhere for a zoo model"
)
_SVM_LABELS = flags.DEFINE_integer("svm_labels", 1000, "labels that an SVM learns, equally many of each class")
_SVM_DRAWS = flags.DEFINE_integer("svm_draws", 100, "SVMs, each with labels drawn anew, that are averaged")
_CLASSIFIER = flags.DEFINE_string(
    "classifier",
    None,
    "for agreement, a classifier of the zoo, the folder of one, or a zoo model's name or run directory whose D was "
    "trained to classify",
)
_FEATURE_NETWORK = flags.DEFINE_string("feature_network", None, f"for {', '.join(_OF_SAMPLES)}: {FEATURE_NETWORKS}")
_SAMPLES = flags.DEFINE_integer("samples", 50_000, f"for {', '.join(_OF_SAMPLES)}, the number of samples")
_STATISTICS = flags.DEFINE_string(
    "statistics",
    None,
    f"for {', '.join(_OF_SAMPLES)}, the folder that keeps the features of real images; default: the cache, which "
    "TF_BIGAN_CACHE names; empty = do not keep them",
)
# Transfer to classifiers.
_EDGE = flags.DEFINE_integer(
    "transfer_size", 0, "edge of the classifiers' images [pixels]; 0 = the encoder's; the paper: 227", lower_bound=0
)
_EPOCHS = flags.DEFINE_integer("transfer_epochs", 10, "epochs of a classifier, for frozen_prefix and fine_tuning")
_RATE = flags.DEFINE_float("transfer_learning_rate", 0.01, "learning rate, for frozen_prefix and fine_tuning")
_UNITS = flags.DEFINE_integer("transfer_units", 4096, "units in each of the classifiers' fc6 and fc7")
_PRECISION = flags.DEFINE_enum("transfer_precision", "float32", PRECISIONS, "precision of the classifiers' training")
_VOC_STEPS = flags.DEFINE_integer("voc_steps", 80_000, "steps of a classifier, for voc2007; a multiple of 8")


def main():
    """Evaluates, prints the table and writes the report."""
    name = common.require(_MODEL)
    measures = _measures()
    common.import_tensorflow()
    from tf_bigan import zoo
    from tf_bigan.errors import InputError
    from tf_bigan.evaluation.data import open_evaluation_data
    from tf_bigan.evaluation.evaluate import describe, evaluate, lacking
    from tf_bigan.evaluation.report import describe_epochs
    from tf_bigan.evaluation.report_files import write_report
    from tf_bigan.evaluation.table import table
    from tf_bigan.training.run_directory import RunDirectory

    run = RunDirectory(zoo.run_path(name))
    model, digest = zoo.load_with_digest(name)
    experiment = zoo.trained_experiment(name)
    # Epochs of a decoder that the run inherited did not train the run's encoder.
    initial = [] if experiment.system in INHERITED else [each["epochs"] for each in run.initial()]
    target = _JSON.value or (None if zoo.is_entry(run.path) else run.path / zoo.REPORT)
    if flags.FLAGS["metrics"].using_default_value:
        measures = [measure for measure in measures if lacking(measure, model) is None]
    about = {
        "epochs": run.weights_state()["epochs"],
        **({"initial_epochs": initial} if initial else {}),
        "weights": digest,
    }
    if (slow := [measure.name for measure in measures if measure.slow]) and not target:
        raise InputError(f"{', '.join(slow)} can take hours; give --json=FILE, in which results are kept")
    settings = _settings(slow)
    splits, datasets = (_GALLERY_SPLIT.value, _QUERY_SPLIT.value), (_DATASET.value, _QUERY_DATASET.value)
    opened_as = dataclasses.replace(experiment, **common.given(_MAX_PIXELS))
    data = open_evaluation_data(opened_as, *datasets, *splits, _DATA_DIR.value, _BAD_IMAGES.value, common.note)
    earlier = _earlier(target, about, describe(experiment, data, _SEED.value))

    latest = {"results": {}}

    def keep(report):
        latest.update(report)
        if target:
            commands = {metric: [_command(measures)] for metric in report["results"]}
            write_report(target, {**about, **report, "commands": commands})

    print(
        f"{name}: {experiment.system}, {describe_epochs(about)} epochs on {experiment.dataset}; gallery "
        f"{data.gallery.count} of {data.gallery.origin}, queries {data.queries.count} of {data.queries.origin}\n"
    )
    sys.stdout.flush()
    if data.overlap and not any("labels" in measure.needs for measure in measures):  # measures with labels refuse it
        kind = data.gallery.domain.name
        common.note(f"queries are {kind} of the gallery: results on queries are results on {kind} seen in training")
    if earlier:
        common.note(f"results in {target} on this data and with these settings are not measured again")
    try:
        latest.update(evaluate(model, experiment, data, measures, settings, earlier, keep, common.note))
    finally:  # an interruption, too, leaves results to show
        if latest["results"]:
            print(table(latest), flush=True)
    if target:
        print(f"\nwritten to {target}")


def _measures():
    """The measures that are asked for. Raises InputError for an unknown one, or for a flag that none of them uses."""
    from tf_bigan.errors import InputError
    from tf_bigan.evaluation.measure import find_measure

    measures = [find_measure(each) for each in common.require(_METRICS)]
    users = {
        ("svm",): (_SVM_LABELS, _SVM_DRAWS),
        ("knn", "linear", "svm"): (_KMEANS, _KMEANS_STRIDE),
        ("agreement",): (_CLASSIFIER,),
        _OF_SAMPLES: (_FEATURE_NETWORK, _SAMPLES, _STATISTICS),
    }
    for metrics, given in users.items():
        for flag in given:
            if flag.present and not any(measure.name in metrics for measure in measures):
                raise InputError(f"--{flag.name} is for --metrics={','.join(metrics)}; other metrics do not use it")
    return measures


def _settings(trains_classifiers):
    settings = EvaluationSettings(
        layers=tuple(_LAYERS.value or ()),
        pool=_POOL.value,
        untrained=_UNTRAINED.value,
        kmeans=KMeansSettings(_KMEANS.value, stride=_KMEANS_STRIDE.value) if _KMEANS.value else None,
        seed=_SEED.value,
        svm=SVMSettings(_SVM_LABELS.value, _SVM_DRAWS.value),
        classifier=_classifier(),
        feature_network=_feature_network(),
        samples=_SAMPLES.value,
        statistics=cache_path() if _STATISTICS.value is None else _STATISTICS.value or None,
    )
    if not trains_classifiers:
        return settings
    both = {"units": _UNITS.value, "precision": _PRECISION.value, "seed": _SEED.value}
    return dataclasses.replace(
        settings,
        transfer=TransferSettings(epochs=_EPOCHS.value, learning_rate=_RATE.value, **both),
        voc=VOCSettings(steps=_VOC_STEPS.value, **both),
        transfer_size=_EDGE.value,
        data_dir=_DATA_DIR.value,
    )


def _classifier():
    """The `Classifier` of --classifier; None without that flag."""
    if not _CLASSIFIER.value:
        return None
    from tf_bigan import zoo

    return zoo.find_classifier(_CLASSIFIER.value)


def _feature_network():
    """The `FeatureNetwork` of --feature_network; None without that flag."""
    if not _FEATURE_NETWORK.value:
        return None
    from tf_bigan import zoo

    return zoo.find_feature_network(_FEATURE_NETWORK.value)


def _earlier(target, about, header):
    """The part of the report at `target` that is on these weights and data; None if there is none.

    Raises InputError if the report is on other networks or data, as its results would be lost.
    """
    from tf_bigan.errors import InputError
    from tf_bigan.evaluation.report import differing_keys, reusable
    from tf_bigan.evaluation.report_files import read_report

    if not target or not pathlib.Path(target).exists():
        return None
    earlier = read_report(target)
    if other := differing_keys(earlier, header):
        raise InputError(f"{target} holds an evaluation of other settings ({', '.join(other)}); give another --json")
    return reusable(earlier, {**about, **header})


def _command(measures):
    """The command-line flags that decide results and are not at their defaults, as text."""
    of_svm = (_SVM_LABELS, _SVM_DRAWS) if any(measure.name == "svm" for measure in measures) else ()
    of_features = (
        _LAYERS,
        _POOL,
        _UNTRAINED,
        _KMEANS,
        _KMEANS_STRIDE,
        _SEED,
        *of_svm,
        _CLASSIFIER,
        _FEATURE_NETWORK,
        _SAMPLES,
    )
    measured = (*of_features, _EDGE, _EPOCHS, _RATE, _UNITS, _PRECISION, _VOC_STEPS)
    data = (_DATASET, _QUERY_DATASET, _GALLERY_SPLIT, _QUERY_SPLIT, _BAD_IMAGES)
    given = [flag for flag in (*measured, *data) if flag.value != flag.default]
    words = [f"--{flag.name}={','.join(flag.value) if isinstance(flag.value, list) else flag.value}" for flag in given]
    return " ".join([f"--metrics={','.join(measure.name for measure in measures)}", *words])


if __name__ == "__main__":
    common.run(main, __doc__)
