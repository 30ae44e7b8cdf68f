"""The zoo: list, load and publish runs. Importing it does not import TensorFlow."""

from tf_bigan.zoo.feature_networks import find_feature_network
from tf_bigan.zoo.finding import CARD, REPORT, is_entry, list_models, run_path, zoo_path
from tf_bigan.zoo.loading import load, load_with_digest, trained_experiment
from tf_bigan.zoo.publishing import publish, publish_metrics

__all__ = [
    "CARD",
    "REPORT",
    "find_feature_network",
    "is_entry",
    "list_models",
    "load",
    "load_with_digest",
    "publish",
    "publish_metrics",
    "run_path",
    "trained_experiment",
    "zoo_path",
]
