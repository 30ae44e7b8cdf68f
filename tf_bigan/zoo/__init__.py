"""The zoo: list, load and publish runs. Importing it does not import TensorFlow."""

from tf_bigan.zoo.classifiers import classifier_path, find_classifier, publish_classifier
from tf_bigan.zoo.describing import describe
from tf_bigan.zoo.feature_networks import find_feature_network, names_feature_network
from tf_bigan.zoo.finding import (
    CARD,
    REPORT,
    is_entry,
    list_classifiers,
    list_models,
    run_path,
    write_index_of,
    zoo_path,
    zoos,
)
from tf_bigan.zoo.gallery import write_gallery
from tf_bigan.zoo.loading import load, load_part, load_with_digest, trained_experiment
from tf_bigan.zoo.model_facts import Facts, facts
from tf_bigan.zoo.publishing import publish, publish_metrics, publish_pictures

__all__ = [
    "CARD",
    "REPORT",
    "Facts",
    "classifier_path",
    "describe",
    "facts",
    "find_classifier",
    "find_feature_network",
    "is_entry",
    "list_classifiers",
    "list_models",
    "load",
    "load_part",
    "load_with_digest",
    "names_feature_network",
    "publish",
    "publish_classifier",
    "publish_metrics",
    "publish_pictures",
    "run_path",
    "trained_experiment",
    "write_gallery",
    "write_index_of",
    "zoo_path",
    "zoos",
]
