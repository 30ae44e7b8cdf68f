"""Evaluates a model beside its baselines, and writes down how."""

import dataclasses

import numpy as np

from tf_bigan.data import open_images
from tf_bigan.errors import InputError, nearest
from tf_bigan.evaluation import metrics
from tf_bigan.games import make_game

METRICS = ("knn", "linear", "reconstruction", "nnd")

PROTOCOLS = {
    "knn": "k nearest neighbours among all gallery images vote; inference statistics; no augmentation",
    "linear": "multinomial logistic regression (L2, C = 1, lbfgs) on standardised features of all gallery images",
    "reconstruction": "mean Euclidean distance over pixels in [0, 1]; _b: against the next image's reconstruction",
    "nnd": "mean Euclidean distance from each query to the nearest of 1,000, 10,000 and 100,000 samples",
}


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """What an evaluation looks at: a gallery to learn from and queries to be judged on."""

    dataset: str
    query_dataset: str
    gallery_split: str
    query_split: str
    gallery: object  # ImageData
    queries: object  # ImageData


def open_evaluation_data(
    experiment,
    dataset=None,
    query_dataset=None,
    gallery_split="train",
    query_split=None,
    data_dir=None,
    bad_images=None,
    say=print,
):
    """Opens the data to evaluate an experiment on, at its image size.

    Args:
      experiment: of the model.
      dataset: of gallery and queries; None = the experiment's.
      query_dataset: of the queries, if another (as a second folder).
      gallery_split: TFDS split of the gallery.
      query_split: of the queries; None = "test" or, where there is none, "validation".
      data_dir: the TFDS directory.
      bad_images: as `open_images` takes it; None = the experiment's.
      say: called with a line of news for data with images left out.

    Raises:
      InputError: as `open_images`.
    """
    dataset = dataset or experiment.dataset
    query_dataset = query_dataset or dataset

    def open_split(name, split):
        return open_images(
            name,
            split,
            experiment.crop_size,
            experiment.channels,
            data_dir,
            experiment.shorter_edge,
            bad_images or experiment.bad_images,
            say,
        )

    gallery = open_split(dataset, gallery_split)
    if query_split:
        queries = open_split(query_dataset, query_split)
    else:
        try:
            query_split, queries = "test", open_split(query_dataset, "test")
        except InputError as error:
            if "has no split" not in str(error):
                raise
            query_split, queries = "validation", open_split(query_dataset, "validation")
    return EvaluationData(dataset, query_dataset, gallery_split, query_split, gallery, queries)


def evaluate(model, experiment, data, names=METRICS, layers=("penultimate", "outputs"), seed=0, say=print):
    """Measures a model.

    The feature metrics are also taken of an untrained encoder (the same networks from the run's seed, with
    inference statistics from training batches) and of raw pixels.

    Args:
      model: a trained Game.
      experiment: its Experiment.
      data: an `EvaluationData`.
      names: which of `METRICS`.
      layers: feature spaces, as `Game.features` names them.
      seed: of samples.
      say: called with a line as each measurement begins.

    Returns:
      A report that can be written as JSON: what was measured, on what, by which protocol, and "results".

    Raises:
      InputError: an unknown metric or layer, or a metric that the system or the data cannot have.
    """
    for name in names:
        if name not in METRICS:
            raise InputError(f"unknown metric {name!r}.{nearest(name, METRICS)}")
    if "reconstruction" in names and model.encoder is None:
        raise InputError(f"{experiment.system} has no encoder, so it has no reconstruction metric")
    for layer in layers:
        if layer != "code":
            model.layer_name(layer)  # raises for an unknown one
    by_features = [name for name in names if name in ("knn", "linear")]
    if by_features and not data.gallery.class_names:
        raise InputError(f"{data.dataset} has no labels, which {' and '.join(by_features)} need")
    if by_features and data.gallery.origin == data.queries.origin:
        raise InputError(
            f"gallery and queries are both {data.gallery.origin}: every image would be its own nearest neighbour.\n"
            "Give another --query_dataset or --query_split"
        )

    images, labels = data.queries.arrays()
    results = {}
    if by_features:
        results = {name: [] for name in by_features}
        gallery_images, gallery_labels = data.gallery.arrays()
        for encoder, layer, extract in _feature_spaces(model, experiment, data, layers):
            say(f"features: {layer}" + (f" of {encoder}" if encoder != layer else ""))
            gallery, queries = extract(gallery_images), extract(images)
            dimensions = int(np.prod(queries.shape[1:]))
            space = {"encoder": encoder, "layer": layer, "dimensions": dimensions}
            arguments = gallery, gallery_labels, queries, labels
            if "knn" in results:
                results["knn"] += [{**space, **row} for row in metrics.knn(*arguments)]
            if "linear" in results:
                results["linear"].append({**space, **metrics.linear_probe(*arguments)})
    if "reconstruction" in names:
        say("reconstruction")
        results["reconstruction"] = metrics.reconstruction(model, images, seed)
    if "nnd" in names:
        say("nearest samples")
        results["nnd"] = metrics.nearest_samples(model, images, seed)
    return {
        "system": experiment.system,
        "dataset": data.dataset,
        "gallery": {"split": data.gallery_split, "images": data.gallery.count},
        "queries": {"dataset": data.query_dataset, "split": data.query_split, "images": data.queries.count},
        "training_precision": experiment.precision,
        "training_seed": experiment.seed,
        "evaluation_seed": seed,
        "protocols": {name: PROTOCOLS[name] for name in names},
        "results": results,
    }


def _feature_spaces(model, experiment, data, layers):
    """(encoder, layer, function images -> features), the baselines last."""
    untrained = make_game(experiment)
    untrained.estimate_statistics(
        data.gallery.training_batches(
            min(experiment.batch_size, data.gallery.count), experiment.seed, crop=experiment.crop, flip=experiment.flip
        ),
        experiment.statistics_steps,
    )
    for encoder, game in {"trained": model, "untrained": untrained}.items():
        for layer in layers:
            yield encoder, layer, lambda images, game=game, layer=layer: game.features(images, layer)
    yield "pixels", "pixels", lambda images: images
