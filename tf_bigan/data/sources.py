"""From the name of a data set to its source (see `tf_bigan.data.protocol`), downloaded and prepared if need be."""

from tf_bigan.data import mixture
from tf_bigan.data.builders import prepared_builder
from tf_bigan.data.folder import FolderSource
from tf_bigan.data.tfds_source import TFDSSource
from tf_bigan.dataset_names import folder_of


def open_source(dataset: str, split: str, data_dir: str | None):
    """The source called `dataset`: a folder (see `dataset_names`), "mixture", else a TFDS name."""
    if folder := folder_of(dataset):
        return FolderSource(folder)
    if dataset == mixture.NAME:
        return mixture.open_mixture(split)
    return TFDSSource(dataset, split, prepared_builder(dataset, data_dir))


def default_query_split(dataset: str, data_dir: str | None) -> str:
    """The split to judge features on: "test", or "validation" where "test" is missing or has no labels to judge by."""
    if folder_of(dataset):
        return ""
    if dataset == mixture.NAME:
        return "test"
    builder = prepared_builder(dataset, data_dir)
    splits = builder.info.splits
    if "test" in splits:
        test = TFDSSource(dataset, "test", builder)
        if "validation" not in splits or not test.class_names or test.labelled():
            return "test"
    return "validation"
