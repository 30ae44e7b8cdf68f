"""TFDSSource: a split of a TFDS data set."""

import os
import struct

import numpy as np
import tensorflow as tf

from tf_bigan.data.protocol import NO_LABEL, Source
from tf_bigan.errors import InputError, did_you_mean

_ATTRIBUTES = "attributes"  # the TFDS feature that holds an example's attributes
_PARSED_AT_ONCE = 1024  # records


class TFDSSource(Source):
    """A split of a TFDS data set, with random access to its TFRecord files.

    Only the offsets and lengths of the records are kept in memory, 16 bytes per example.

    Args:
      dataset: name of the data set in messages.
      split: as TFDS writes it, "train[:50%]" for example.
      builder: its TFDS builder, with the files on disk.
    """

    def __init__(self, dataset: str, split: str, builder):
        info = builder.info
        if info.file_format.value != "tfrecord":
            raise InputError(f"{dataset} is stored as {info.file_format.value}; prepare it as tfrecord")
        try:
            files = info.splits[split].file_instructions
        except (KeyError, ValueError):
            name = split.split("[")[0]
            hint = (
                did_you_mean(name, info.splits)
                if name not in info.splits
                else " Splits are written as 'train[:50%]' or 'train+test'."
            )
            raise InputError(f"{dataset} has no split {split!r}.{hint}") from None
        self._features = info.features
        self._image, self._label = _feature_names(dataset, info.features)
        pixels = tf.as_dtype(info.features[self._image].np_dtype)
        if not (pixels.is_floating or pixels == tf.uint8):
            raise InputError(f"{dataset} has {pixels.name} pixels; uint8 or float in [0, 1] can be read")
        self.class_names = list(info.features[self._label].names) if self._label else []
        self.attribute_names = _attribute_names(info.features)
        self.stored_shape = tuple(info.features[self._image].shape)
        self.varies = None in self.stored_shape
        offsets = [_record_offsets(f.filename, f.skip, f.take) for f in files]
        self._files = [os.fspath(f.filename) for f in files]
        self._file_of = np.repeat(np.arange(len(files), dtype=np.int32), [len(o) for o in offsets])
        self._offsets = np.concatenate(offsets) if offsets else np.zeros((0, 2), np.int64)
        lengths, skipped = [len(o) for o in offsets], [f.skip for f in files]
        self._first_of = np.cumsum([0, *lengths])[:-1] - np.array(skipped, np.int64)  # i - this = number in the file
        self.count = len(self._offsets)
        self.split = split
        self.origin = f"{dataset} {split}"

    def read(self, indices):
        """int64 [N] -> N serialised tf.train.Examples."""
        records = []
        for i in indices:
            offset, length = self._offsets[i]
            # The file is opened for each read: keeping a thousand shards open would exceed many systems' limit.
            descriptor = os.open(self._files[self._file_of[i]], os.O_RDONLY)
            try:
                records.append(os.pread(descriptor, int(length), int(offset)))
            finally:
                os.close(descriptor)
        return records

    def encoded(self, example):
        """A serialised example -> the content of its image file; None if its pixels are not uint8."""
        if tf.as_dtype(self._features[self._image].np_dtype) != tf.uint8:
            return None
        return tf.train.Example.FromString(example).features.feature[self._image].bytes_list.value[0]

    def decode(self, example, channels: int):
        """A serialised example -> its record, with the image as it is stored."""
        del channels  # TFDS knows them
        parsed = self._features.deserialize_example(example)
        label = parsed[self._label] if self._label else tf.constant(NO_LABEL, tf.int64)
        record = {"x": parsed[self._image], "label": label}
        if self.attribute_names:
            attributes = parsed[_ATTRIBUTES]
            if isinstance(attributes, dict):
                attributes = tf.stack([tf.cast(attributes[name], tf.float32) for name in self.attribute_names])
            record["attributes"] = tf.cast(attributes, tf.float32)
        return record

    def labelled(self):
        """Whether every example has a label. All examples of a file have labels or none has: its first record tells."""
        return self._label is not None and NO_LABEL not in self._labels(np.unique(self._file_of, return_index=True)[1])

    def labels(self):
        """The labels, int64 [count]; -1 = no label. If there are classes, this reads every record, but no image."""
        return self._labels(np.arange(self.count))

    def _labels(self, indices):
        if self._label is None:
            return np.full(len(indices), NO_LABEL, np.int64)
        spec = {self._label: tf.io.FixedLenFeature((), tf.int64)}
        starts = range(0, len(indices), _PARSED_AT_ONCE)
        parts = (self.read(indices[start : start + _PARSED_AT_ONCE]) for start in starts)
        return np.concatenate([[], *(tf.io.parse_example(part, spec)[self._label] for part in parts)]).astype(np.int64)

    def names(self, indices):
        """TFDS' own ids (`ReadConfig.add_tfds_id`): each is the file's name, "__", and the example's number in it."""
        folders = {os.path.dirname(file) for file in self._files}
        above = folders.pop() if len(folders) == 1 else os.path.commonpath(folders)
        short = [os.path.relpath(file, above) for file in self._files]
        return [f"{short[self._file_of[i]]}__{i - self._first_of[self._file_of[i]]}" for i in indices]

    def identities(self, indices):
        """{file: offsets of the examples in it}."""
        indices = np.asarray(indices)
        files = self._file_of[indices]
        return {self._files[n]: self._offsets[indices[files == n], 0] for n in np.unique(files)}

    def describe(self, i):
        """The file and the byte where the record begins."""
        return f"the record at byte {self._offsets[i][0]} of {self._files[self._file_of[i]]}"


def _feature_names(dataset, features):
    import tensorflow_datasets as tfds

    images = [name for name, f in features.items() if isinstance(f, tfds.features.Image)]
    if not images:
        raise InputError(f"{dataset} has no image feature, only {', '.join(features)}")
    image = "image" if "image" in images else images[0]
    labels = [name for name, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    return image, ("label" if "label" in labels else labels[0]) if labels else None


def _attribute_names(features):
    """The names of an example's attributes, in the order of the columns; empty for a data set without attributes.

    They are the feature called "attributes". It can be a dict of numbers or booleans, as in celeb_a, which is sorted by
    name, or a vector of known length. A feature of that name but of another kind is not read.
    """
    found = dict(features.items()).get(_ATTRIBUTES)
    if hasattr(found, "keys"):
        names = sorted(found.keys())
        return names if all(_is_numeric(found[name], ()) for name in names) else []
    shape = getattr(found, "shape", ())
    if len(shape) == 1 and shape[0] and _is_numeric(found, shape):
        return [str(i) for i in range(shape[0])]
    return []


def _is_numeric(feature, shape):
    import tensorflow_datasets as tfds

    if not isinstance(feature, tfds.features.Tensor) or tuple(feature.shape) != tuple(shape):
        return False
    dtype = tf.as_dtype(feature.np_dtype)
    return dtype.is_bool or dtype.is_integer or dtype.is_floating


def _record_offsets(filename, skip, take):
    """int64 [take, 2]: for each record of a TFRecord file, the offset of its data and their length, in bytes.

    A record is the length of its data (uint64), a checksum (uint32), the data and another checksum.
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
