"""Finds TFDS builders by name, including those of this project, and prepares their files on disk."""

import os
import sys

from tf_bigan.data import mixture
from tf_bigan.data.hosts import look_up_hosts
from tf_bigan.errors import InputError, NoData, close_to, short
from tf_bigan.reading import check_files


def find_builder(dataset: str, data_dir: str | None):
    """The TFDS builder called `dataset`, whether or not its files are on disk.

    Raises:
      InputError: there is no such data set. The message replaces TFDS's own, which are pages long.
    """
    import tensorflow_datasets as tfds

    import tf_bigan.data.digits  # noqa: F401  (registers the builder)
    import tf_bigan.data.tiny_imagenet  # noqa: F401

    check_files(_folder_of(dataset, data_dir))
    try:
        return tfds.builder(dataset, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        folder = f" For a folder of images write ./{dataset}." if os.path.isdir(dataset) else ""
        raise NoData(f"unknown data set {dataset!r}.{_near_datasets(dataset)}{folder}") from None
    except Exception as error:  # files of the data set that are damaged raise errors of any kind
        raise InputError(f"data set {dataset!r} cannot be opened: {_first_line(error)}") from None


def prepared_builder(dataset: str, data_dir: str | None):
    """The TFDS builder called `dataset`. Its files are downloaded and prepared if they are not on disk yet.

    Raises:
      InputError: there is no such data set, or its files are not on disk and cannot be prepared. The message replaces
        TFDS's own, which are pages long.
    """
    import tensorflow_datasets as tfds

    builder = find_builder(dataset, data_dir)
    if builder.is_prepared():
        return builder
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        look_up_hosts(builder.url_infos or ())
        # datasets#2400: without network the look-up in TFDS's own bucket stalls.
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except InputError:  # raised by a builder of this project
        raise
    except Exception as error:  # TFDS, its checksums, requests and the file system all raise their own errors
        raise InputError(
            f"data set {dataset!r} is not under {builder.data_dir_root} and could not be prepared there: "
            f"{_first_line(error)}\nPoint --data_dir or TFDS_DATA_DIR at prepared data, or connect to a network."
        ) from None
    return builder


def _folder_of(dataset, data_dir):
    """Where TFDS keeps a data set, all versions of it."""
    from tensorflow_datasets.core import constants

    name = dataset.partition(":")[0].partition("/")[0]
    return os.path.join(os.path.expanduser(data_dir or constants.DATA_DIR), name)


def _near_datasets(dataset):
    import tensorflow_datasets as tfds

    names = [*tfds.list_builders(with_community_datasets=False), mixture.NAME]
    close = close_to(dataset.split(":")[0].split("/")[0], names)
    return (
        f" Did you mean {' or '.join(map(repr, close))}?"
        if close
        else " Any TFDS name, 'digits', 'mixture' or a folder."
    )


def _first_line(error):
    text = str(error).strip() or type(error).__name__
    return short(text.splitlines()[0])
