"""Tiny ImageNet (CS231n, Stanford) as a TFDS data set: 64x64 images of 200 of ImageNet's classes."""

import contextlib
import pathlib
import urllib.parse
import zipfile
import zlib

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
                    # Some of the JPEGs are grey; they are stored as they are, and decoded to three channels.
                    "image": tfds.features.Image(shape=(64, 64, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(),  # its names come from the archive
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu",
            license="ImageNet's terms of access: non-commercial research and education only",
        )

    def _split_generators(self, dl_manager):
        path = _archive(dl_manager)
        with _opened(path) as archive:
            classes = _lines(archive, "wnids.txt")
        self.info.features["label"].names = classes
        return {
            "train": self._generate_examples(path, _train_images),
            "validation": self._generate_examples(path, _validation_images),
            "test": self._generate_examples(path, _test_images),
        }

    def _generate_examples(self, path, images):
        classes = set(self.info.features["label"].names)
        with _opened(path) as archive:
            for member, label in images(archive):
                if label != _UNLABELLED and label not in classes:
                    raise InputError(f"{path} is damaged: {member} is of class {label!r}, which is not in wnids.txt")
                name = member.rpartition("/")[2]
                yield name, {"image": archive.read(member), "label": label, "file_name": name}


def _archive(dl_manager):
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
            f"tiny_imagenet cannot be downloaded from {host}: {why}\n"
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
