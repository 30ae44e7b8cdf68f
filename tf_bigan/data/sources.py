"""Where encoded examples lie, and how to read the i-th of them.

A source has `count`, `class_names`, `stored_shape` (height, width, channels; None where unknown or varying), `varies`
(whether images may differ from it in size), `split` (empty where there are none), `origin` (what it reads, as a text),
`read(indices)`, which returns that many serialised examples, `decode`, which turns one into (image, label) in a
TensorFlow graph, `encoded`, which gives the image file in one and its label, `labelled()`, whether all have labels,
`describe(i)`, which names the i-th for a person, and `identities(indices)`, which tells whether two sources have
examples in common. Reading costs the same at every index: nothing is replayed to get there.
"""

import contextlib
import os
import pathlib
import socket
import struct
import sys
import urllib.parse
import urllib.request

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, NoData, nearest

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
NO_LABEL = -1

_SAMPLED = 32  # files of a folder that are looked at before all are checked
_PARSED_AT_ONCE = 1024  # records


def open_source(dataset: str, split: str, data_dir: str | None, max_labels: int = 0):
    """The source called `dataset`: a folder if it is written as a path, else a TFDS name.

    With `max_labels`, only what is of its first classes, so many.
    """
    if max_labels:
        return FirstClasses(dataset, open_source(dataset, split, data_dir), max_labels)
    folder = _folder(dataset)
    return FolderSource(folder) if folder else TFDSSource(dataset, split, data_dir)


def default_query_split(dataset: str, data_dir: str | None) -> str:
    """The split to judge features on: "test", or "validation" where "test" is missing or has no labels to judge by."""
    if _folder(dataset):
        return ""
    splits = prepared_builder(dataset, data_dir).info.splits
    if "test" in splits:
        test = TFDSSource(dataset, "test", data_dir)
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


class FolderSource:
    """Image files under a folder, in sorted order; a file's class is the first folder below `path`.

    Files that lie directly in `path` have no label. Hidden files and folders, whose names begin with a dot, are not
    looked at.
    """

    split = ""

    def __init__(self, path: pathlib.Path):
        if not path.is_dir():
            raise NoData(f"there is no folder {path}; a TFDS name is written without '/' and leading '.'")
        self.files = sorted(p for p in _files_under(path) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not self.files:
            raise InputError(f"no images under {path}; looked for {', '.join(IMAGE_SUFFIXES)}, none of them hidden")
        classes = [p.relative_to(path).parts[0] if p.parent != path else None for p in self.files]
        self.class_names = sorted({c for c in classes if c is not None})
        numbers = {name: i for i, name in enumerate(self.class_names)}
        self._labels = np.array([numbers.get(c, NO_LABEL) for c in classes], np.int64)
        self.count = len(self.files)
        self.origin = str(path.resolve())
        self.varies = True
        self.stored_shape = self._shape_of_some(path)

    def read(self, indices):
        """int64 [N] -> N byte strings: the label's 8 bytes, then the file's."""
        return [struct.pack("<q", self._labels[i]) + self.files[i].read_bytes() for i in indices]

    def decode(self, example, channels: int):
        """A byte string -> (uint8 [H, W, channels], int64 label)."""
        label = tf.io.decode_raw(tf.strings.substr(example, 0, 8), tf.int64)[0]
        # Not decode_image's own conversion: it has none for BMP and GIF.
        image = tf.io.decode_image(tf.strings.substr(example, 8, -1), expand_animations=False)
        found = tf.shape(image)[-1]
        if channels == 1:
            image = tf.cond(found >= 3, lambda: tf.image.rgb_to_grayscale(image[..., :3]), lambda: image[..., :1])
        else:
            image = tf.cond(found >= 3, lambda: image[..., :3], lambda: tf.image.grayscale_to_rgb(image[..., :1]))
        return tf.ensure_shape(image, (None, None, channels)), label

    def encoded(self, example):
        """A byte string -> (the file's bytes, label)."""
        return example[8:], struct.unpack("<q", example[:8])[0]

    def labelled(self):
        """Whether every file lies in a class' folder."""
        return bool((self._labels != NO_LABEL).all())

    def labels(self):
        """int64 [count]; -1 = none."""
        return self._labels

    def describe(self, i):
        """The file's path."""
        return str(self.files[i])

    def identities(self, indices):
        """{folder: its files' names}."""
        found = {}
        for i in indices:
            found.setdefault(self.files[i].parent, []).append(self.files[i].name)
        return {os.path.realpath(folder): names for folder, names in found.items()}

    def _shape_of_some(self, path):
        """(height, width) of the first that can be decoded, and whether any of a sample over all has colours.

        What to do about those that cannot be decoded is not for here.
        """
        step = -(-self.count // _SAMPLED)
        sample = iter([*self.files[::step], *self.files])
        shapes = []
        while len(shapes) < -(-self.count // step) and (file := next(sample, None)):
            with contextlib.suppress(tf.errors.InvalidArgumentError, OSError):
                shapes.append(tf.io.decode_image(file.read_bytes(), expand_animations=False).shape)
        if not shapes:
            raise InputError(
                f"none of the {self.count} images under {path} can be decoded; the first, {self.files[0]}, is "
                "truncated, unreadable or no image"
            )
        return (*shapes[0][:2], 3 if any(shape[-1] >= 3 for shape in shapes) else 1)


def _files_under(path):
    """The files in and below a folder, without hidden ones.

    Linked folders are entered, but for those that lead back above themselves.
    """

    def is_entered(folder, name):
        above = os.path.join(os.path.realpath(folder), "")
        return not name.startswith(".") and not above.startswith(os.path.join(os.path.realpath(f"{folder}/{name}"), ""))

    for folder, names, files in os.walk(path, followlinks=True):
        names[:] = [name for name in names if is_entered(folder, name)]
        yield from (pathlib.Path(folder, name) for name in files if not name.startswith("."))


class TFDSSource:
    """A split of a TFDS data set, read at random from its TFRecord files.

    Only the records' offsets are kept in memory, 16 bytes an example.
    """

    def __init__(self, dataset: str, split: str, data_dir: str | None):
        builder = prepared_builder(dataset, data_dir)
        info = builder.info
        if info.file_format.value != "tfrecord":
            raise InputError(f"{dataset} is stored as {info.file_format.value}; prepare it as tfrecord")
        try:
            files = info.splits[split].file_instructions
        except (KeyError, ValueError):
            name = split.split("[")[0]
            hint = nearest(name, info.splits) if name not in info.splits else " As 'train[:50%]' or 'train+test'."
            raise InputError(f"{dataset} has no split {split!r}.{hint}") from None
        self._features = info.features
        self._image, self._label = _feature_names(dataset, info.features)
        pixels = tf.as_dtype(info.features[self._image].np_dtype)
        if not (pixels.is_floating or pixels == tf.uint8):
            raise InputError(f"{dataset} has {pixels.name} pixels; uint8 or float in [0, 1] can be read")
        self.class_names = list(info.features[self._label].names) if self._label else []
        self.stored_shape = tuple(info.features[self._image].shape)
        self.varies = None in self.stored_shape
        offsets = [_record_offsets(f.filename, f.skip, f.take) for f in files]
        self._files = [os.fspath(f.filename) for f in files]
        self._file_of = np.repeat(np.arange(len(files), dtype=np.int32), [len(o) for o in offsets])
        self._offsets = np.concatenate(offsets) if offsets else np.zeros((0, 2), np.int64)
        self.count = len(self._offsets)
        self.split = split
        self.origin = f"{dataset} {split}"

    def read(self, indices):
        """int64 [N] -> N serialised tf.train.Examples."""
        records = []
        for i in indices:
            offset, length = self._offsets[i]
            # Opened anew: a thousand shards held open would meet the limit of many systems.
            descriptor = os.open(self._files[self._file_of[i]], os.O_RDONLY)
            try:
                records.append(os.pread(descriptor, int(length), int(offset)))
            finally:
                os.close(descriptor)
        return records

    def decode(self, example, channels: int):
        """A serialised example -> (uint8 or float image [H, W, C] as stored, int64 label)."""
        del channels  # TFDS knows them
        parsed = self._features.deserialize_example(example)
        label = parsed[self._label] if self._label else tf.constant(NO_LABEL, tf.int64)
        return parsed[self._image], label

    def encoded(self, example):
        """A serialised example -> (the bytes of its image file; None where pixels are no bytes there, label)."""
        found = tf.train.Example.FromString(example).features.feature
        label = found[self._label].int64_list.value[0] if self._label else NO_LABEL
        if tf.as_dtype(self._features[self._image].np_dtype) != tf.uint8:
            return None, label
        return found[self._image].bytes_list.value[0], label

    def labelled(self):
        """Whether there are labels; a file has them all or none, so that its first record tells."""
        return self._label is not None and NO_LABEL not in self._labels(np.unique(self._file_of, return_index=True)[1])

    def labels(self):
        """int64 [count], of data that has classes; -1 = none. Reads every record, but decodes no image."""
        return self._labels(np.arange(self.count))

    def _labels(self, indices):
        spec = {self._label: tf.io.FixedLenFeature((), tf.int64)}
        starts = range(0, len(indices), _PARSED_AT_ONCE)
        parts = (self.read(indices[start : start + _PARSED_AT_ONCE]) for start in starts)
        return np.concatenate([[], *(tf.io.parse_example(part, spec)[self._label] for part in parts)]).astype(np.int64)

    def identities(self, indices):
        """{file: offsets in it}."""
        indices = np.asarray(indices)
        files = self._file_of[indices]
        return {self._files[n]: self._offsets[indices[files == n], 0] for n in np.unique(files)}

    def describe(self, i):
        """The record's place."""
        return f"the record at byte {self._offsets[i][0]} of {self._files[self._file_of[i]]}"


class FirstClasses:
    """The examples of another source that are of its first `max_labels` classes."""

    def __init__(self, dataset: str, source, max_labels: int):
        if max_labels > len(source.class_names):
            raise InputError(f"{dataset} has {len(source.class_names)} classes, fewer than max_labels {max_labels}")
        labels = source.labels()
        self._source, self._numbers = source, np.flatnonzero((labels >= 0) & (labels < max_labels))
        self.count = len(self._numbers)
        self.class_names = source.class_names[:max_labels]
        self.stored_shape, self.varies = source.stored_shape, source.varies
        self.decode, self.encoded = source.decode, source.encoded
        self.split, self.origin = source.split, f"{source.origin}, {max_labels} classes"

    def read(self, indices):
        """int64 [N] -> N serialised examples."""
        return self._source.read(self._numbers[np.asarray(indices)])

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

    names = [*tfds.list_builders(with_community_datasets=False)]
    close = difflib.get_close_matches(dataset.split(":")[0].split("/")[0], names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else " Any TFDS name, 'digits' or a folder."


def _first_line(error):
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _feature_names(dataset, features):
    import tensorflow_datasets as tfds

    images = [name for name, f in features.items() if isinstance(f, tfds.features.Image)]
    if not images:
        raise InputError(f"{dataset} has no image feature, only {', '.join(features)}")
    image = "image" if "image" in images else images[0]
    labels = [name for name, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    return image, ("label" if "label" in labels else labels[0]) if labels else None


def _record_offsets(filename, skip, take):
    """int64 [take, 2]: where each record's bytes begin in a TFRecord file, and how many they are.

    A record is its length (uint64), a checksum (uint32), the bytes and another checksum.
    """
    offsets = []
    if not os.path.isfile(filename):
        raise InputError(f"{filename} is missing; prepare the data set again")
    with open(filename, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        position = 0
        while position < size and (take < 0 or len(offsets) < skip + take):
            header = file.read(12)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else size
            if position + 16 + length > size:
                raise InputError(f"{filename} is truncated at byte {position}; prepare the data set again")
            offsets.append((position + 12, length))
            position += 16 + length
            file.seek(position)
    return np.array(offsets[skip:], np.int64).reshape(-1, 2)
