"""FolderSource: image files under a folder."""

import contextlib
import hashlib
import os
import pathlib
import struct

import numpy as np
import tensorflow as tf

from tf_bigan.data.protocol import NO_LABEL, Source
from tf_bigan.errors import InputError, NoData

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

_SAMPLED = 32  # files that are decoded on opening, to find the images' size and channels


class FolderSource(Source):
    """Image files under a folder, in sorted order; a file's class is the first folder below `path`.

    Files that lie directly in `path` have no label. Hidden files and folders, whose names begin with a dot, are
    ignored.
    """

    varies = True

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
        self._path = path
        self.stored_shape = self._shape_of_some(path)

    def read(self, indices):
        """int64 [N] -> N byte strings: the label (8 bytes), then the content of the file."""
        return [struct.pack("<q", self._labels[i]) + self.files[i].read_bytes() for i in indices]

    def encoded(self, example):
        """A byte string of `read` -> the content of the file."""
        return example[8:]

    def decode(self, example, channels: int):
        """A byte string of `read` -> {"x": uint8 [H, W, channels], "label": int64}."""
        label = tf.io.decode_raw(tf.strings.substr(example, 0, 8), tf.int64)[0]
        # Channels are converted below, as decode_image cannot convert those of BMP and GIF files.
        image = tf.io.decode_image(tf.strings.substr(example, 8, -1), expand_animations=False)
        found = tf.shape(image)[-1]
        if channels == 1:
            image = tf.cond(found >= 3, lambda: tf.image.rgb_to_grayscale(image[..., :3]), lambda: image[..., :1])
        else:
            image = tf.cond(found >= 3, lambda: image[..., :3], lambda: tf.image.grayscale_to_rgb(image[..., :1]))
        return {"x": tf.ensure_shape(image, (None, None, channels)), "label": label}

    def labelled(self):
        """Whether every file lies in a class' folder."""
        return bool((self._labels != NO_LABEL).all())

    def labels(self):
        """The labels, int64 [count]; -1 = no label."""
        return self._labels

    def describe(self, i):
        """The file's path."""
        return str(self.files[i])

    def identities(self, indices):
        """{folder: names of the files in it}."""
        found = {}
        for i in indices:
            found.setdefault(self.files[i].parent, []).append(self.files[i].name)
        return {os.path.realpath(folder): names for folder, names in found.items()}

    def state(self, indices):
        """The SHA-256 of the files' names, sizes and times of modification."""
        digest = hashlib.sha256()
        for i in indices:
            file = self.files[i]
            found = file.stat() if file.exists() else None  # reading will name a file that is missing
            told = (str(file.relative_to(self._path)), *((found.st_size, found.st_mtime_ns) if found else ()))
            digest.update(f"{told!r}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _shape_of_some(self, path):
        """(height, width, channels): the size of the first image in a sample of the folder, and 3 if any has colours.

        Files that cannot be decoded are skipped here; `Data.checked` finds them later.
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

    Links to folders are followed, except links to a folder that contains them: those would never end.
    """

    def is_entered(folder, name):
        above = os.path.join(os.path.realpath(folder), "")
        return not name.startswith(".") and not above.startswith(os.path.join(os.path.realpath(f"{folder}/{name}"), ""))

    for folder, names, files in os.walk(path, followlinks=True):
        names[:] = [name for name in names if is_entered(folder, name)]
        yield from (pathlib.Path(folder, name) for name in files if not name.startswith("."))
