"""From the name of a data set to its source (see `tf_bigan.data.protocol`), downloaded and prepared if need be."""

import os
import pathlib
import socket
import sys
import urllib.parse
import urllib.request

import numpy as np

from tf_bigan.data import mixture
from tf_bigan.data.folder import FolderSource
from tf_bigan.data.protocol import Source
from tf_bigan.data.tfds_source import TFDSSource
from tf_bigan.errors import InputError, NoData


def open_source(dataset: str, split: str, data_dir: str | None):
    """The source called `dataset`: a folder if it is written as a path, "mixture", else a TFDS name."""
    if folder := _folder(dataset):
        return FolderSource(folder)
    if dataset == mixture.NAME:
        return mixture.open_mixture(split)
    return TFDSSource(dataset, split, prepared_builder(dataset, data_dir))


def default_query_split(dataset: str, data_dir: str | None) -> str:
    """The split to judge features on: "test", or "validation" where "test" is missing or has no labels to judge by."""
    if _folder(dataset):
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


def _folder(dataset):
    """The path of a data set that is a folder; None for a TFDS name."""
    if dataset.startswith((".", "~")) or os.sep in dataset and not dataset.count(":"):
        path = pathlib.Path(dataset).expanduser()
        if path.is_dir() or dataset.startswith((".", "~", os.sep)):
            return path
    return None


class FirstClasses(Source):
    """The examples of another source that are of its first `max_labels` classes."""

    def __init__(self, dataset: str, source, max_labels: int):
        if max_labels > len(source.class_names):
            raise InputError(f"{dataset} has {len(source.class_names)} classes, fewer than max_labels {max_labels}")
        labels = source.labels()
        self._source, self._numbers = source, np.flatnonzero((labels >= 0) & (labels < max_labels))
        self.count = len(self._numbers)
        self.class_names = source.class_names[:max_labels]
        self.attribute_names = source.attribute_names
        self.stored_shape, self.varies = source.stored_shape, source.varies
        self.decode, self.encoded = source.decode, source.encoded
        self.split, self.origin = source.split, f"{source.origin}, {max_labels} classes"

    def read(self, indices):
        """int64 [N] -> N serialised examples."""
        return self._source.read(self._numbers[np.asarray(indices)])

    def columns(self):
        """The points of these classes and what belongs to them."""
        return {name: column[self._numbers] for name, column in self._source.columns().items()}

    def labels(self):
        """int64 [count]."""
        return self._source.labels()[self._numbers]

    def labelled(self):
        """True: what has no label is of no class."""
        return True

    def describe(self, i):
        """As the other source."""
        return self._source.describe(self._numbers[i])

    def identities(self, indices):
        """As the other source."""
        return self._source.identities(self._numbers[np.asarray(indices)])


def prepared_builder(dataset: str, data_dir: str | None):
    """The TFDS builder called `dataset` with its files on disk, downloaded and prepared if need be.

    Raises InputError in place of TFDS's pages: no such data set, or not on disk and not to be had.
    """
    import tensorflow_datasets as tfds

    import tf_bigan.data.digits  # noqa: F401  (registers the builder)
    import tf_bigan.data.tiny_imagenet  # noqa: F401

    try:
        builder = tfds.builder(dataset, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        folder = f" For a folder of images write ./{dataset}." if os.path.isdir(dataset) else ""
        raise NoData(f"unknown data set {dataset!r}.{_near_datasets(dataset)}{folder}") from None
    except (ValueError, AssertionError, FileNotFoundError) as error:
        raise InputError(f"data set {dataset!r} cannot be opened: {_first_line(error)}") from None
    if builder.is_prepared():
        return builder
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        look_up_hosts(builder.url_infos or ())
        # datasets#2400: without network the look-up in TFDS's own bucket stalls.
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except InputError:  # of a builder of ours
        raise
    except Exception as error:  # TFDS, its checksums, requests and the file system all raise their own
        raise InputError(
            f"data set {dataset!r} is not under {builder.data_dir_root} and could not be prepared there: "
            f"{_first_line(error)}\nPoint --data_dir or TFDS_DATA_DIR at prepared data, or connect to a network."
        ) from None
    return builder


def look_up_hosts(urls):
    """Raises OSError at once where TFDS would retry for minutes: a host of `urls` cannot be resolved."""
    if urllib.request.getproxies():
        return  # the proxy resolves names
    for host in {urllib.parse.urlparse(url).hostname for url in urls} - {None}:
        try:
            socket.getaddrinfo(host, 443)
        except socket.gaierror as error:
            raise OSError(f"no network: {host} cannot be resolved ({error.strerror})") from None


def _near_datasets(dataset):
    import difflib

    import tensorflow_datasets as tfds

    names = [*tfds.list_builders(with_community_datasets=False), mixture.NAME]
    close = difflib.get_close_matches(dataset.split(":")[0].split("/")[0], names, n=3, cutoff=0.5)
    return (
        f" Did you mean {' or '.join(map(repr, close))}?"
        if close
        else " Any TFDS name, 'digits', 'mixture' or a folder."
    )


def _first_line(error):
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
