"""The zoo: list, load and publish runs. Importing it does not import TensorFlow."""

from tf_bigan.zoo.classifiers import classifier_path, find_classifier, list_classifiers, publish_classifier
from tf_bigan.zoo.feature_networks import find_feature_network, names_feature_network
from tf_bigan.zoo.finding import CARD, REPORT, is_entry, list_models, run_path, zoo_path
from tf_bigan.zoo.loading import load, load_with_digest, trained_experiment
from tf_bigan.zoo.publishing import publish, publish_metrics

__all__ = [
    "CARD",
    "REPORT",
    "classifier_path",
    "find_classifier",
    "find_feature_network",
    "is_entry",
    "list_classifiers",
    "list_models",
    "load",
    "load_with_digest",
    "names_feature_network",
    "publish",
    "publish_classifier",
    "publish_metrics",
    "run_path",
    "trained_experiment",
    "zoo_path",
]
