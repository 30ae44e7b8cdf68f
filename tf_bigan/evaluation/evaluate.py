"""Evaluates a model beside its baselines, and writes down how."""

import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from tf_bigan.data import default_query_split, mixture, open_data
from tf_bigan.errors import InputError, NoData, did_you_mean
from tf_bigan.evaluation import metrics, transfer, voc
from tf_bigan.evaluation.linear import linear_probe
from tf_bigan.evaluation.modes import modes
from tf_bigan.evaluation.report import TRANSFERS, other_than
from tf_bigan.games import make_game
from tf_bigan.networks.alexnet import CONVOLUTIONS

METRICS = ("knn", "linear", "reconstruction", "nnd", "modes")

PROTOCOLS = {
    "knn": "k nearest neighbours among all gallery images vote; inference statistics; no augmentation",
    "linear": "multinomial logistic regression on standardised features of all gallery images; its L2 weight, of 1, "
    "0.1 ... 1e-5, is chosen on a fifth of them",
    "frozen_prefix": "AlexNet with conv1 up to the layer copied, batch norms folded in, and frozen; the rest is new "
    "and learns from random mirrored crops of the gallery; top-1 of the queries",
    "fine_tuning": "as frozen_prefix, with conv1 ... conv5 copied and everything learning",
    "voc2007": "AlexNet with conv1 ... conv5 copied learns VOC2007 trainval from the layer named on; mean average "
    "precision on test, difficult objects left out",
    "reconstruction": "mean Euclidean distance over pixels in [0, 1]; _b: against the next image's reconstruction",
    "nnd": "mean Euclidean distance from each query to the nearest of 1,000, 10,000 and 100,000 samples",
    "modes": "10,000 samples, each of the nearest of the 25 means; high quality is within 3 standard deviations of it; "
    "a mode is covered by 20 such samples; KL of the modes' shares from even ones, in nats; reconstruction: mean "
    "Euclidean distance of the queries to G of the posterior's mean, and to that of the next query",
}

# Those of points that read otherwise.
_OF_POINTS = {
    "knn": "k nearest neighbours among all gallery points vote; inference statistics",
    "linear": "multinomial logistic regression on standardised features of all gallery points; its L2 weight, of 1, "
    "0.1 ... 1e-5, is chosen on a fifth of them",
    "reconstruction": "mean Euclidean distance over coordinates; _b: against the next point's reconstruction",
}

_BATCH = 512  # examples at a time
_FOLLOWED = 100  # batches that the running averages of an untrained network follow: 0.6 % of their start is left


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """What an evaluation looks at: a gallery to learn from and queries to be judged on."""

    dataset: str
    query_dataset: str
    gallery: object  # Data
    queries: object  # Data
    max_labels: int = 0  # the classes that both are of; 0 = all

    @functools.cached_property
    def overlap(self) -> bool:
        """Whether a query is in the gallery, as where both are one folder."""
        return self.gallery.overlaps(self.queries)


def open_evaluation_data(
    experiment,
    dataset=None,
    query_dataset=None,
    gallery_split="train",
    query_split=None,
    data_dir=None,
    bad_images=None,
    say=print,
    edge=0,
):
    """Opens the data to evaluate an experiment on: images of its size, or points of its dimensions.

    Args:
      experiment: of the model.
      dataset: of gallery and queries; None = the experiment's, of whose classes those trained on are taken.
      query_dataset: of the queries, if another (as a second folder).
      gallery_split: TFDS split of the gallery.
      query_split: of the queries; None = "test" or, where that is missing or has no labels, "validation".
      data_dir: the TFDS directory.
      bad_images: as `open_data` takes it; None = the experiment's.
      say: called with a line of news for data with images left out.
      edge: of the crops, as `transfer_edge` has it; shorter edges are resized to 256 / 227 of it. 0 = as the model's.

    Raises:
      InputError: as `open_data`.
    """
    asked, dataset = dataset, dataset or experiment.dataset
    query_dataset = query_dataset or dataset
    max_labels = experiment.max_labels_of(dataset)
    if (news := experiment.classes_news(dataset)) and not edge:  # with an edge, the same data is opened again
        say(news)
    preparation = experiment.preparation
    if edge:
        preparation = dataclasses.replace(preparation, image_size=edge, shorter_edge=round(edge * 256 / 227))
    options = {"data_dir": data_dir, "bad_images": bad_images or experiment.bad_images, "say": say}

    def open_split(name, split):
        return open_data(name, split, max_labels=max_labels, like=preparation, **options)

    try:
        gallery = open_split(dataset, gallery_split)
    except NoData as error:
        if asked:
            raise
        raise not_here(experiment) from error
    queries = open_split(query_dataset, query_split or default_query_split(query_dataset, data_dir))
    return EvaluationData(dataset, query_dataset, gallery, queries, max_labels)


def not_here(experiment) -> NoData:
    """What to raise where the data that a model was trained on is not found, and no other was asked for."""
    return NoData(
        f"the data that the model was trained on, {experiment.dataset}, is not found from here.\n"
        "--dataset names other data, or the same folder; --data_dir or TFDS_DATA_DIR, where TFDS has it"
    )


def transfer_edge(experiment, edge=0) -> int:
    """The edge to open a transfer's data at; 0 = the model's own data has it, and room for other crops."""
    size = experiment.crop_size
    return 0 if edge in (0, size) and experiment.shorter_edge > size else edge or size


def evaluate(
    model,
    experiment,
    data,
    names=METRICS,
    layers=("penultimate", "outputs"),
    seed=0,
    say=print,
    pool=0,
    untrained=1,
    earlier=None,
    keep=lambda report: None,
):
    """Measures a model.

    The feature metrics are also taken of untrained encoders (the same networks from the run's seed and the seeds after
    it, with inference statistics from batches of the gallery) and of raw pixels, of images as D and G have them, or
    raw coordinates. Each result is handed to `keep` at once, and those that `earlier` holds are not measured again.

    Args:
      model: a trained Game.
      experiment: its Experiment.
      data: an `EvaluationData`.
      names: which of `METRICS`.
      layers: feature spaces, as `Game.features` names them.
      seed: of samples.
      say: called with a line as each measurement begins.
      pool: average larger feature maps down to pool x pixels of as many before knn and linear; 0 = as they are.
      untrained: how many untrained encoders.
      earlier: a report of the same weights; of its results, those of the same data and settings are taken.
      keep: called with the report after each result.

    Returns:
      A report that can be written as JSON: what was measured, on what, by which protocol, and "results". The features
      of all `layers` of a network are held for all images at once, 22,016 floats an image for conv1 ... conv5 of 4x4
      pixels.

    Raises:
      InputError: an unknown metric or layer, a metric that the system or the data cannot have, features that do not fit
        this machine's memory, or images that cannot be decoded.
    """
    check_names(names, METRICS)
    layers = list(dict.fromkeys(layers))
    if "reconstruction" in names and model.encoder is None:
        raise InputError(f"{experiment.system} has no encoder, so it has no reconstruction metric")
    for layer in layers:
        if layer != "code":
            model.layer_name(layer)  # raises for an unknown one
    by_features = {"knn": metrics.knn, "linear": lambda *features: [linear_probe(*features)]}
    by_features = {name: by_features[name] for name in names if name in by_features}
    if pool and model.domain.name == "points":
        raise InputError("networks of points have no maps that --pool could average")
    if "modes" in names and data.query_dataset != mixture.NAME:
        raise InputError(
            f"modes are of the data set {mixture.NAME!r}, whose components are known, not of {data.dataset}"
        )
    by_images = {"reconstruction": metrics.reconstruction, "nnd": metrics.nearest_samples, "modes": modes}
    by_images = {name: by_images[name] for name in names if name in by_images}
    if by_features:
        _check_labels(data, by_features)
        _check_memory("gallery", data.gallery, int(np.prod(experiment.example_shape)))  # raw pixels, which come last
        data.gallery.check()
    data.queries.check()

    header = describe(experiment, data, seed)
    held = _held(earlier, header, data)
    results = {}

    def report():
        return {**header, **_results(results, data)}

    groups = _feature_spaces(model, experiment, data, layers, pool, untrained) if by_features else ()
    for title, spaces, function in groups:
        missing = [space for space in spaces if not all(_kept(held, name, space) for name in by_features)]
        if missing:
            wanted = [space["layer"] for space in missing]
            say(f"features: {title.format(', '.join(wanted))}")
            with data.gallery.naming_damage(), data.queries.naming_damage():
                features = _features(function(wanted), data)
        for space in spaces:
            measured = features.pop(0) if space in missing else None
            for name, measure in by_features.items():
                rows = _kept(held, name, space)
                if not rows:
                    dimensions = measured[0].shape[1]
                    rows = [{**space, "dimensions": dimensions, **row} for row in measure(*measured)]
                results[name] = results.get(name, []) + rows
                keep(report())
    images = data.queries.arrays()[0] if by_images.keys() - held.keys() else None
    for name, measure in by_images.items():
        if name in held:
            results[name] = held[name]
        else:
            say(name)
            results[name] = measure(model, images, seed)
        keep(report())
    return report()


def evaluate_transfer(
    model,
    experiment,
    data,
    names,
    settings,
    statistics=None,
    layers=CONVOLUTIONS,
    voc_settings=None,
    untrained=1,
    earlier=None,
    keep=lambda report: None,
    data_dir=None,
    say=print,
):
    """Transfers the encoder's convolutions, and those of untrained encoders, to classifiers and measures them.

    These trainings are long: each result is handed to `keep` at once, and those that `earlier` holds are not repeated.

    Args:
      model, experiment, say, untrained: as for `evaluate`.
      data: an `EvaluationData`, whose size AlexNet's is, too.
      names: which of `TRANSFERS`.
      settings: a `transfer.Transfer`.
      statistics: the `ImageData` that untrained encoders take their inference statistics from, of their size; None =
        the gallery.
      layers: where the frozen prefixes end.
      voc_settings: a `voc.VOCTransfer`; None = the authors'.
      earlier: a report of the same weights; of its results, those of the same data and settings are taken.
      keep: called with the report after each result.
      data_dir: the TFDS directory.

    Returns:
      A report, as `evaluate`.

    Raises:
      InputError: an unknown metric or layer, a network without convolutions to transfer, data without labels, images
        that cannot be decoded, no VOC2007 where that is asked for, or classifiers that diverged, after the others.
    """
    check_transfer(model, names, layers)
    if set(names) - {"voc2007"}:
        _check_labels(data, names)
        data.gallery.check()
        data.queries.check()
    if "voc2007" in names:
        voc.check_voc(model.feature_network, data_dir)  # rather than after the hours that the others take
    statistics = statistics or data.gallery
    if untrained:
        statistics.check()
    voc_settings = voc_settings or voc.VOCTransfer(seed=settings.seed)
    header = describe(experiment, data, settings.seed)
    held = _held(earlier, header, data)
    classifiers = []
    layers = list(dict.fromkeys(layers))
    for encoder, init, game in _encoders(model, experiment, statistics, untrained):
        for metric, layer, chosen, measure in _measurements(names, layers, data, settings, voc_settings, data_dir):
            row = {"encoder": encoder, "seed": init, "layer": layer, "edge": data.gallery.image_shape[0]}
            row["settings"] = dataclasses.asdict(chosen)
            done = next((old for old in held.get(metric, []) if _has(old, row)), None)
            classifiers.append(_Classifier(metric, done or row, bool(done), game, measure))
    diverged = []
    for classifier in classifiers:
        if not classifier.done:
            say(classifier.title)
            try:
                with data.gallery.naming_damage(), data.queries.naming_damage():
                    classifier.row |= classifier.measure(classifier.game().feature_network, say=say)
            except transfer.Diverged as error:  # the others need not wait for it
                diverged.append(f"{classifier.title}: {error}")
                say(diverged[-1])
                continue
            classifier.done = True
        rows = {name: [each.row for each in classifiers if each.metric == name and each.done] for name in names}
        report = {**header, **_results(rows, data)}
        keep(report)
    if diverged:
        raise InputError(f"{len(diverged)} of {len(classifiers)} classifiers diverged; {diverged[0]}")
    return report


@dataclasses.dataclass
class _Classifier:
    """One that `evaluate_transfer` trains, or has from an earlier report."""

    metric: str
    row: dict  # of the report: what it is of, and, once it is done, its accuracies
    done: bool
    game: object  # function that gives the game whose features are transferred
    measure: object  # function of a network and `say`

    @property
    def title(self):
        return "{} of {encoder} ({seed}), {layer}".format(self.metric, **self.row)


def _measurements(names, layers, data, settings, voc_settings, data_dir):
    """(metric, layer, its settings, function of a network and `say`) of every classifier of an encoder."""
    images = {"training": data.gallery, "test": data.queries, "settings": settings}
    for layer in layers if "frozen_prefix" in names else ():
        yield "frozen_prefix", layer, settings, functools.partial(transfer.frozen_prefix, through=layer, **images)
    if "fine_tuning" in names:
        yield "fine_tuning", "conv5", settings, functools.partial(transfer.fine_tune, **images)
    for layer in voc.TRAIN_FROM if "voc2007" in names else ():
        arguments = {"edge": data.gallery.image_shape[0], "settings": voc_settings, "data_dir": data_dir}
        yield "voc2007", layer, voc_settings, functools.partial(voc.voc_classification, train_from=layer, **arguments)


def check_transfer(model, names, layers):
    """Raises InputError unless `evaluate_transfer` can take these."""
    check_names(names, TRANSFERS)
    transfer.check_transferable(model.feature_network)
    for layer in layers if "frozen_prefix" in names else ():
        if layer not in CONVOLUTIONS:
            raise InputError(f"unknown layer {layer!r} for transfer.{did_you_mean(layer, CONVOLUTIONS)}")


def describe(experiment, data, seed) -> dict:
    """What a report says of a model and the data that it is evaluated on."""
    return {
        "system": experiment.system,
        "dataset": data.dataset,
        **({"examples": "points"} if data.gallery.domain.name == "points" else {}),
        **({"max_labels": data.max_labels} if data.max_labels else {}),
        "gallery": {"split": data.gallery.split, "images": data.gallery.count},
        "queries": {
            "dataset": data.query_dataset,
            "split": data.queries.split,
            "images": data.queries.count,
            **({"of_gallery": True} if data.overlap else {}),
        },
        "training_precision": experiment.precision,
        "training_seed": experiment.seed,
        "untrained": experiment.fresh_digest(),
        "evaluation_seed": seed,
    }


def check_names(names, possible):
    """Raises InputError for the first of the metrics `names` that is not `possible`."""
    for name in names:
        if name not in possible:
            raise InputError(f"unknown metric {name!r}.{did_you_mean(name, possible)}")


def _check_labels(data, names):
    if not data.gallery.class_names:
        raise InputError(f"{data.dataset} has no labels, which {' and '.join(names)} need")
    for part in (data.gallery, data.queries):
        if not part.labelled():
            kind = part.domain.name
            why = "" if part.split or kind == "points" else "; an image's class is the folder that it lies in"
            raise InputError(f"{kind} of {part.origin} have no labels, which {' and '.join(names)} need{why}")
    if data.gallery.class_names != data.queries.class_names:
        raise InputError(
            f"the gallery's classes are {_list(data.gallery.class_names)}, the queries' "
            f"{_list(data.queries.class_names)}; they must be the same"
        )
    if data.overlap:
        kind = data.gallery.domain.name[:-1]
        raise InputError(
            f"queries, {data.queries.origin}, are in the gallery, {data.gallery.origin}: every {kind} would be its own "
            f"nearest neighbour.\nGive another {_other_queries(data)}"
        )


def _other_queries(data):
    if data.gallery.split:
        return "--query_dataset, --query_split or --gallery_split"
    return "--query_dataset: a folder of other images of the same classes"


def _held(earlier, header, data):
    """The results of an earlier report that are of the same data and of today's protocols."""
    if not earlier or other_than(earlier, header):
        return {}
    told, protocols = earlier.get("protocols", {}), _protocols(data)
    return {name: rows for name, rows in earlier["results"].items() if told.get(name) == protocols.get(name)}


def _kept(held, name, space):
    """The rows of a feature space among what `_held` gives."""
    return [row for row in held.get(name, []) if _has(row, space)]


def _has(row, key):
    """Whether a row was measured of what `key` describes, with its settings."""
    return all(row.get(name) == value for name, value in key.items())


def _list(names):
    return ", ".join(names[:5]) + (f" ... ({len(names)})" if len(names) > 5 else "")


def _results(results, data):
    results = {name: found for name, found in results.items() if found}
    protocols = _protocols(data)
    return {"protocols": {name: protocols[name] for name in results}, "results": results}


def _protocols(data):
    """`PROTOCOLS`, as they read of this data."""
    return PROTOCOLS | (_OF_POINTS if data.gallery.domain.name == "points" else {})


def _encoders(model, experiment, statistics, untrained):
    """(what it is, seed of its initial weights, function that gives its game), the trained one first."""
    yield "trained", experiment.seed, lambda: model
    for seed in range(experiment.seed, experiment.seed + untrained):
        yield "untrained", seed, functools.cache(functools.partial(_untrained, experiment, statistics, seed))


def _untrained(experiment, data, seed):
    game = make_game(dataclasses.replace(experiment, seed=seed))
    size = min(experiment.batch_size, data.count)
    batches = data.training_batches(size, seed, crop=experiment.crop, flip=experiment.flip)
    if not game.estimate_statistics(batches, experiment.statistics_steps, networks=[game.feature_network]):
        game.follow_statistics(batches, _FOLLOWED)
    return game


def _feature_spaces(model, experiment, data, layers, pool, untrained):
    """(title, spaces, function that makes one of examples out of layers' names) of each network, pixels last.

    A space is what its rows say of where they were measured; a title has a place for the layers.
    """
    for encoder, seed, game in _encoders(model, experiment, data.gallery, untrained):
        spaces = [{"encoder": encoder, "layer": layer, "seed": seed, "pool": pool} for layer in layers]
        yield f"{{}} of {encoder} ({seed})", spaces, functools.partial(_layer_functions, game, pool)
    raw = "coordinates" if model.domain.name == "points" else "pixels"
    yield "raw {}", [{"encoder": raw, "layer": raw}], lambda layers: lambda examples: [model.reduced(examples)]


def _layer_functions(game, pool, layers):
    function = game().feature_function(layers)

    def pooled(features):
        if not pool or len(features.shape) != 4 or max(features.shape[1:3]) <= pool:
            return features
        return tf.image.resize(features, (pool, pool), "area")

    return lambda images: [pooled(features) for features in function(images)]


def _check_memory(role, split, dimensions):
    """Raises InputError if so many float32 features of each image do not fit, rather than when memory is full."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = 4 * dimensions * split.count
    if needed > memory:
        fewer = f"--{role}_split={split.split.partition('[')[0]}[:{memory // (8 * dimensions)}]"
        hint = f"{fewer if split.split else 'Fewer images'}, fewer --layers and --pool take less"
        raise InputError(
            f"{dimensions} features of each of {split.count} {split.domain.name} take {needed / 1e9:.0f} GB, more than "
            f"this machine's {memory / 1e9:.0f} GB of memory.\n{hint}"
        )


def _features(function, data):
    """Of each feature that `function` gives: gallery's [N, D] and labels [N], queries' features and labels."""
    spaces = []
    for role, split in (("gallery", data.gallery), ("query", data.queries)):
        labels, start = np.empty(split.count, np.int64), 0
        columns = []
        for images, of_batch in split.batches(_BATCH):
            found = [np.reshape(features, (len(images), -1)) for features in function(images)]
            if not columns:
                _check_memory(role, split, sum(features.shape[1] for features in found))
                columns = [np.empty((split.count, features.shape[1]), np.float32) for features in found]
            here = slice(start, start := start + len(images))
            for column, features in zip(columns, found, strict=True):
                column[here] = features
            labels[here] = of_batch
        spaces.append([(column, labels) for column in columns])
    return [[*gallery, *queries] for gallery, queries in zip(*spaces, strict=True)]
