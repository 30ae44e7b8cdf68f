"""Finds the source of a data set by name (see `tf_bigan.data.protocol`); downloads and prepares it if needed."""

from tf_bigan.data import mixture
from tf_bigan.data.builders import find_builder, prepared_builder
from tf_bigan.data.folder import FolderSource
from tf_bigan.data.tfds_source import TFDSSource
from tf_bigan.dataset_names import folder_of
from tf_bigan.preparation import MAX_PIXELS


def open_source(dataset: str, split: str, data_dir: str | None, max_pixels: int = MAX_PIXELS):
    """The source called `dataset`, which is a folder (see `dataset_names`), "mixture" or a TFDS name."""
    if folder := folder_of(dataset):
        return FolderSource(folder, max_pixels)
    if dataset == mixture.NAME:
        return mixture.open_mixture(split)
    return TFDSSource(dataset, split, prepared_builder(dataset, data_dir))


def default_query_split(dataset: str, data_dir: str | None) -> str:
    """The split on which a model is evaluated and drawn; empty for a folder, which has no splits.

    It is "test", or "validation" if there is one and "test" is missing or has no labels. (Of data without labels, such
    as CelebA, the papers show validation images.)
    """
    if folder_of(dataset):
        return ""
    if dataset == mixture.NAME:
        return "test"
    builder = prepared_builder(dataset, data_dir)
    splits = builder.info.splits
    if "test" in splits and ("validation" not in splits or TFDSSource(dataset, "test", builder).labelled()):
        return "test"
    return "validation"


def count_if_here(dataset: str, split: str, data_dir: str | None) -> int | None:
    """The number of examples of a data set, if that can be told without a download; else None."""
    if folder_of(dataset) or dataset == mixture.NAME:
        return open_source(dataset, split, data_dir).count
    builder = find_builder(dataset, data_dir)
    return builder.info.splits[split].num_examples if builder.is_prepared() and split else None
