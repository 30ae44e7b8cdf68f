"""Tiny ImageNet (CS231n, Stanford) as TFDS data sets: 64x64 images of 200 of ImageNet's classes, or of some of them."""

import contextlib
import hashlib
import pathlib
import urllib.parse
import warnings
import zipfile
import zlib

import numpy as np
import tensorflow_datasets as tfds

from tf_bigan.data.hosts import look_up_hosts
from tf_bigan.errors import InputError

# TFDS has no checksum for this archive, as none from a trusted source was found. Each file that is read is still
# checked against its CRC-32 in the archive.
_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_ARCHIVE = "tiny-imagenet-200.zip"
_ROOT = "tiny-imagenet-200"
_UNLABELLED = -1  # the value that ClassLabel takes for an example without a label

_DESCRIPTION = """\
64x64 JPEGs of 200 of ImageNet's classes: 500 images of each to train on, 50 to validate with, and 10,000 test images
whose labels were never published. Labels are WordNet ids, in the order of wnids.txt.

The images are ImageNet's, under its terms of access: non-commercial research and education only.
"""
_LICENSE = "ImageNet's terms of access: non-commercial research and education only"
_HOMEPAGE = "http://cs231n.stanford.edu"
# Some of the JPEGs are grey; they are stored as they are, and decoded to three channels.
_JPEG = tfds.features.Image(shape=(64, 64, 3), encoding_format="jpeg")

_EVEN = slice(0, 160, 2)  # ranks in the order of WordNet ids: the 80 classes of the published models
# SHA-256 of the examples of tiny_imagenet_80 that published models were trained and measured on, by `_add`, in order.
_PUBLISHED = {
    "train": "35652e75ec3c04e89354632b4d0eabdcf47ce4daa909b81ea447c2de1981d911",
    "validation": "4b11dfe6973c206e361057483b9708c8b0544e102dd6c248f0c0e72f5dfdad72",
}


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    """Tiny ImageNet: train 100,000 images, validation 10,000, test 10,000 without labels (-1).

    The archive is taken from TFDS's manual directory if it lies there, and downloaded otherwise.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The JPEGs as the archive has them."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"{_ARCHIVE}, from {_URL}"  # without instructions TFDS gives no manual directory

    def _info(self):
        return self.dataset_info_from_configs(
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": _JPEG,
                    "label": tfds.features.ClassLabel(),  # its names come from the archive
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=_HOMEPAGE,
            license=_LICENSE,
        )

    def _split_generators(self, dl_manager):
        path = _archive(dl_manager, self.name)
        with _opened(path) as archive:
            classes = _lines(archive, "wnids.txt")
        self.info.features["label"].names = classes
        return {
            "train": self._generate_examples(path, _train_images),
            "validation": self._generate_examples(path, _validation_images),
            "test": self._generate_examples(path, _test_images),
        }

    def _generate_examples(self, path, images):
        with _opened(path) as archive:
            for member, label in _of_known_classes(path, archive, images):
                name = _file_name(member)
                yield name, {"image": archive.read(member), "label": label, "file_name": name}


class _Classes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Some of Tiny ImageNet's classes, from the same archive: 500 training and 50 validation images of each.

    Labels are WordNet ids in their order. The order of the examples is a fixed permutation, that of the data which
    published models were trained on, so that (seed, step) gives the same batches wherever the data was prepared.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The JPEGs as the archive has them."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = TinyImagenet.MANUAL_DOWNLOAD_INSTRUCTIONS
    PUBLISHED = {}  # split -> the digest of its examples, if models were published that saw them

    def chosen(self, classes) -> list[str]:
        """The classes of this data set among all classes, which are sorted."""
        raise NotImplementedError

    def _info(self):
        return self.dataset_info_from_configs(
            description=f"A part of Tiny ImageNet's classes. {_DESCRIPTION}",
            features=tfds.features.FeaturesDict(
                {"id": tfds.features.Text(), "image": _JPEG, "label": tfds.features.ClassLabel()}
            ),
            supervised_keys=("image", "label"),
            homepage=_HOMEPAGE,
            license=_LICENSE,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        path = _archive(dl_manager, self.name)
        with _opened(path) as archive:
            classes = sorted(_lines(archive, "wnids.txt"))
        self.info.features["label"].names = self.chosen(classes)
        return {
            "train": self._generate_examples(path, "train", _train_images),
            "validation": self._generate_examples(path, "validation", _validation_images),
        }

    def _generate_examples(self, path, split, images):
        label_of, digest = {name: i for i, name in enumerate(self.info.features["label"].names)}, hashlib.sha256()
        with _opened(path) as archive:
            rank = {name: i for i, name in enumerate(_lines(archive, "wnids.txt"))} if split == "train" else {}
            found = [each for each in _of_known_classes(path, archive, images) if each[1] in label_of]
            # Training images by class in the order of wnids.txt, then by number; validation images by number alone.
            found.sort(key=lambda each: (rank.get(each[1], 0), _number(each[0])))
            for key, i in enumerate(np.random.RandomState(0).permutation(len(found))):
                member, label = found[i]
                name, image = _file_name(member), archive.read(member)
                _add(digest, name, label_of[label], image)
                yield key, {"id": name, "image": image, "label": label}
        if self.PUBLISHED.get(split, digest.hexdigest()) != digest.hexdigest():
            warnings.warn(
                f"the {split} images of {path} are not the ones of {self.name} that published models saw, so "
                "measurements can differ from their cards",
                stacklevel=2,
            )


class TinyImagenet80(_Classes):
    """The 80 of Tiny ImageNet's classes with ranks 0, 2 ... 158 in the order of WordNet ids.

    Published models were trained on it: train 40,000 images, validation 4,000.
    """

    name = "tiny_imagenet_80"
    PUBLISHED = _PUBLISHED

    def chosen(self, classes):
        return classes[_EVEN]


class TinyImagenet120(_Classes):
    """The 120 classes that `TinyImagenet80` leaves out: train 60,000 images, validation 6,000."""

    name = "tiny_imagenet_120"

    def chosen(self, classes):
        return sorted(set(classes) - set(classes[_EVEN]))


def _add(digest, name, label, image):
    """Adds an example to a SHA-256: name and label as a line, the number of bytes of its JPEG as another, the JPEG."""
    digest.update(f"{name} {label}\n{len(image)}\n".encode())
    digest.update(image)


def _of_known_classes(path, archive, images):
    """Yields what `images` yields of the archive. Raises InputError for a class that is not in wnids.txt."""
    classes = {*_lines(archive, "wnids.txt"), _UNLABELLED}
    for member, label in images(archive):
        if label not in classes:
            raise InputError(f"{path} is damaged: {member} is of class {label!r}, which is not in wnids.txt")
        yield member, label


def _file_name(member):
    return member.rpartition("/")[2]


def _number(member):
    """The number at the end of a file's name, such as 12 of n02124075_12.JPEG."""
    number = _file_name(member).rpartition("_")[2].partition(".")[0]
    if not number.isdecimal():
        raise InputError(f"Tiny ImageNet's archive is damaged: {member} has no number")
    return int(number)


def _archive(dl_manager, dataset):
    """The path of the archive: in the manual directory if it lies there, else in the downloads."""
    with contextlib.suppress(AssertionError):  # TFDS raises it if the manual directory is missing or empty
        path = pathlib.Path(dl_manager.manual_dir) / _ARCHIVE
        if path.is_file():
            return path
    try:
        look_up_hosts([_URL])
        return pathlib.Path(dl_manager.download(_URL))
    except Exception as error:  # TFDS, requests and the file system all raise their own errors
        host, why = urllib.parse.urlparse(_URL).hostname, str(error).partition("\n")[0][:200]
        raise InputError(
            f"{dataset} cannot be downloaded from {host}: {why}\n"
            f"Put {_ARCHIVE} into {pathlib.Path(dl_manager.download_dir) / 'manual'}, or connect to a network"
        ) from None


@contextlib.contextmanager
def _opened(path):
    """Opens the archive. Raises InputError if it is damaged or not Tiny ImageNet."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, UnicodeDecodeError) as error:
        why = error.args[0] if error.args else type(error).__name__
        raise InputError(f"{path} is damaged or not Tiny ImageNet: {why}; delete it and download it again") from None


def _train_images(archive):
    """Yields (member, class) for each train/<class>/images/<class>_<i>.JPEG."""
    for member in archive.namelist():
        parts = member.split("/")
        if parts[:2] == [_ROOT, "train"] and len(parts) == 5 and parts[4].endswith(".JPEG"):
            yield member, parts[2]


def _validation_images(archive):
    """Yields (member, class) for each line of val_annotations.txt: file, class and a box, separated by tabs."""
    for line in _lines(archive, "val/val_annotations.txt"):
        name, label = line.split("\t")[:2]
        yield f"{_ROOT}/val/images/{name}", label


def _test_images(archive):
    """Yields (member, -1) for each test/images/test_<i>.JPEG."""
    for member in archive.namelist():
        if member.startswith(f"{_ROOT}/test/images/") and member.endswith(".JPEG"):
            yield member, _UNLABELLED


def _lines(archive, name):
    return archive.read(f"{_ROOT}/{name}").decode().splitlines()
