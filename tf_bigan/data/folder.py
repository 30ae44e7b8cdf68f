"""FolderSource: image files under a folder."""

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import struct

import numpy as np
import tensorflow as tf

from tf_bigan.data import photos
from tf_bigan.data.listing import listed
from tf_bigan.data.protocol import NO_LABEL, Source
from tf_bigan.errors import InputError, NoData, on_one_line
from tf_bigan.preparation import MAX_PIXELS

EARLIER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")  # which runs read that recorded no files in data.json

_SAMPLED = 32  # files that are decoded on opening, to find the images' size and channels
_CLASSES_NAMED = 20  # at most so many classes are named in a message
_HEAD = "<q?"
_BEFORE = struct.calcsize(_HEAD)
_DECODING = "EXIF, white, Pillow"  # changes with what `photos.decode` makes of a file


class FolderSource(Source):
    """Image files under a folder, in sorted order; a file's class is the first folder below `path`.

    Files that lie directly in `path` have no label. Which files are listed, and what is left out: see `listing.listed`;
    how they are decoded: see `photos.decode`. Classes are sorted as text, so "10" comes before "2".

    Args:
      path: the folder.
      max_pixels: files with more pixels count as images that cannot be decoded.
      suffixes: the ends of the names of images, in lower case; None = all that Pillow reads.
    """

    varies = True
    ordered = True

    def __init__(self, path: pathlib.Path, max_pixels: int = MAX_PIXELS, suffixes=None):
        where = on_one_line(path)
        if not path.is_dir():
            raise NoData(f"there is no folder {where}; a TFDS name is written without '/' and leading '.'")
        suffixes = photos.suffixes() if suffixes is None else suffixes
        self._files, others = listed(path, suffixes)
        self.unread = [f"{on_one_line(other)} ({why})" for other, why in others]
        if not self._files:
            usual = ", ".join(EARLIER_SUFFIXES)
            found = f"; found {self.unread[0]}" if self.unread else ""
            raise InputError(f"no images under {where}; looked for {usual} and others, none of them hidden{found}")
        photos.allow(max_pixels)
        self._max_pixels = max_pixels
        folders = [p.relative_to(path).parts[0] if p.parent != path else None for p in self._files]
        names = sorted({c for c in folders if c is not None})
        numbers = {name: i for i, name in enumerate(names)}
        self.class_names = [on_one_line(name) for name in names]
        self._labels = np.array([numbers.get(c, NO_LABEL) for c in folders], np.int64)
        self.count = len(self._files)
        self.origin = on_one_line(path.resolve())
        self._path = path
        self.stored_shape = self._shape_of_some(where)

    def read(self, indices):
        """int64 [N] -> N byte strings: the label (8 bytes), 1 and a plain file's content, or 0 and the file's path."""
        examples = []
        for i in indices:
            content = photos.plain_content(self._files[i], self._max_pixels)
            examples.append(
                struct.pack(_HEAD, self._labels[i], content is not None) + (content or os.fsencode(self._files[i]))
            )
        return examples

    def encoded(self, example):
        """A byte string of `read` -> the content of the file, or of a PNG file with the picture that is seen in it."""
        plain, rest = example[_BEFORE - 1], example[_BEFORE:]
        with _as_tensorflows():
            return rest if plain else photos.as_plain_file(rest, self._max_pixels)

    def decode(self, example, channels: int):
        """A byte string of `read` -> {"x": uint8 [H, W, channels], "label": int64}."""
        label = tf.io.decode_raw(tf.strings.substr(example, 0, 8), tf.int64)[0]
        rest, decode = tf.strings.substr(example, _BEFORE, -1), functools.partial(self._decoded, channels=channels)
        image = tf.cond(
            tf.equal(tf.strings.substr(example, _BEFORE - 1, 1), b"\1"),
            # Of plain files, TensorFlow gives the same pixels as Pillow, in less time. It takes PNGs, too.
            lambda: tf.io.decode_jpeg(rest, 3 if channels == 3 else 0, dct_method="INTEGER_ACCURATE"),
            lambda: tf.ensure_shape(tf.numpy_function(decode, [rest], tf.uint8, stateful=False), (None, None, None)),
        )
        if channels == 1:
            image = tf.cond(tf.shape(image)[-1] == 3, lambda: tf.image.rgb_to_grayscale(image), lambda: image)
        return {"x": tf.ensure_shape(image, (None, None, channels)), "label": label}

    def _decoded(self, path, channels):
        path = path if isinstance(path, bytes) else path.item()  # in eager mode, TensorFlow gives an array of it
        with _as_tensorflows():
            return photos.decode(path, channels, self._max_pixels)

    def labelled(self):
        """Whether every file lies in a class' folder."""
        return bool((self._labels != NO_LABEL).all())

    def labels(self):
        """The labels, int64 [count]; -1 = no label."""
        return self._labels

    def describe(self, i):
        """The file's path, on one line."""
        return on_one_line(self._files[i])

    def names(self, indices):
        """The files' paths, relative to the folder, as Python reads them: bytes that are no UTF-8 are surrogates."""
        return [self._files[i].relative_to(self._path).as_posix() for i in indices]

    def files(self, indices):
        """See `Source.files`; the names are those of `names`."""
        found = []
        for i, name in zip(indices, self.names(indices), strict=True):
            try:
                told = self._files[i].stat()
            except OSError:  # reading will name it
                found.append([name, -1, 0])
            else:
                found.append([name, told.st_size, told.st_mtime_ns])
        return found

    def identities(self, indices):
        """{folder: names of the files in it}."""
        found = {}
        for i in indices:
            found.setdefault(self._files[i].parent, []).append(self._files[i].name)
        return {os.path.realpath(folder): names for folder, names in found.items()}

    def state(self, indices):
        """The SHA-256 of the files' names, sizes and times of modification, and of how they are decoded."""
        digest = hashlib.sha256(_DECODING.encode())
        for told in self.files(indices):
            digest.update(f"{told!r}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _shape_of_some(self, where):
        """(height, width, channels): the size of the first image in a sample of the folder, and 3 if any has colours.

        Files that cannot be decoded are skipped here; `Data.checked` finds them later.
        """
        step = -(-self.count // _SAMPLED)
        sample = iter([*self._files[::step], *self._files])
        shapes = []
        while len(shapes) < -(-self.count // step) and (file := next(sample, None)):
            with contextlib.suppress(ValueError):
                shapes.append(photos.decode(file, 1, self._max_pixels).shape)
        if not shapes:
            raise InputError(
                f"none of the {self.count} images under {where} can be decoded; the first, {self.describe(0)}, is "
                f"truncated, unreadable, no image, or has more than {self._max_pixels} pixels"
            )
        return (*shapes[0][:2], max(shape[-1] for shape in shapes))


def order_news(where, class_names) -> str:
    """A line that says how classes are numbered, if a person would count their names differently; otherwise empty."""
    if sorted(class_names, key=_as_counted) == list(class_names):
        return ""
    some = ", ".join(f"{i} = {name!r}" for i, name in enumerate(class_names[:_CLASSES_NAMED]))
    more = f" and {len(class_names) - _CLASSES_NAMED} more" if len(class_names) > _CLASSES_NAMED else ""
    return f"the classes of {where} are numbered in the order of text, not of numbers: {some}{more}"


def _as_counted(name):
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


@contextlib.contextmanager
def _as_tensorflows():
    """Within this context, the error of a file that cannot be decoded is TensorFlow's, in eager mode, too."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise tf.errors.InvalidArgumentError(None, None, str(error)) from None
