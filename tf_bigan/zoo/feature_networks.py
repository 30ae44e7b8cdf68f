"""Finds feature networks by what names them."""

import os

from tf_bigan.errors import InputError
from tf_bigan.evaluation.settings import INCEPTION
from tf_bigan.zoo.classifiers import classifier_path
from tf_bigan.zoo.finding import list_classifiers, list_models, run_path
from tf_bigan.zoo.loading import load_with_digest

KINDS = (
    "inception, inception:FOLDER, keras:NAME, the folder of an exported module, a classifier of the zoo or its folder, "
    "or a zoo model's name or a run directory, with :LAYER or without"
)

_KERAS = "keras:"


def find_feature_network(spec):
    """Opens a feature network. This is the only place that knows how they are named.

    Args:
      spec: "inception" = the graph of 2015-12-05 from TF-Hub; "inception:FOLDER" = the same from a folder;
        "keras:ResNet50" = a network of `keras.applications` with its weights of ImageNet; the folder of a module that
        `tf_bigan.export` wrote, or of an image feature vector of TF-Hub; a classifier of the zoo, or the folder of
        one that `tools/train_classifier.py` wrote; or a zoo model's name or a run directory, whose layer before the
        output is used, or that which ":LAYER" names.

    Returns:
      A `tf_bigan.evaluation.feature_networks.FeatureNetwork`.

    Raises:
      InputError: there is no such network, or it cannot be used for images.
    """
    from tf_bigan.evaluation import feature_networks as networks
    from tf_bigan.evaluation.classifiers import ImageClassifier

    kind, _, given = spec.partition(":")
    if kind == INCEPTION:
        return networks.inception(os.path.expanduser(given)) if given else networks.inception()
    if spec.startswith(_KERAS):
        return networks.keras_application(spec.removeprefix(_KERAS))
    folder = os.path.expanduser(spec)
    if os.path.isfile(os.path.join(folder, "saved_model.pb")):
        return networks.module(folder)
    if place := classifier_path(spec):
        return networks.as_feature_network(ImageClassifier.load(place))
    name, layer = _model_and_layer(spec)
    model, digest = load_with_digest(name)
    return networks.layer_of(model, digest, name, layer)


def names_feature_network(spec) -> bool:
    """Whether there is what a specification of `find_feature_network` names, told without opening it."""
    name = spec.partition(":")[0]
    if name in (INCEPTION, _KERAS.rstrip(":"), *list_models(), *list_classifiers()):
        return True
    places = (spec, spec.rpartition(":")[0] or spec)
    return any(os.path.exists(os.path.expanduser(place)) for place in places)


def _model_and_layer(spec):
    """(name of a model, name of its layer) that a specification means."""
    name, _, layer = spec.rpartition(":")
    if not name or spec in list_models() or os.path.isdir(os.path.expanduser(spec)):
        name, layer = spec, "penultimate"
    try:
        run_path(name)
    except InputError as error:
        classifiers = f". The zoo's classifiers: {', '.join(list_classifiers())}" if list_classifiers() else ""
        raise InputError(f"{error}\nA feature network is {KINDS}{classifiers}") from None
    return name, layer
