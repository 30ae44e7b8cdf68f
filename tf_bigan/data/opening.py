"""`open_data` and `open_images`: open a data set by its name, folder or source."""

import dataclasses
import os

from tf_bigan.data import listing
from tf_bigan.data.base import Data
from tf_bigan.data.first_classes import FirstClasses
from tf_bigan.data.folder import order_news
from tf_bigan.data.images import ImageData
from tf_bigan.data.label_attributes import LabelAttributes
from tf_bigan.data.points import PointData
from tf_bigan.data.protocol import Source
from tf_bigan.data.sources import open_source
from tf_bigan.errors import InputError, did_you_mean, on_one_line, shown, whole_number
from tf_bigan.preparation import Preparation

BAD_IMAGES = ("refuse", "skip")

_AS_STORED = Preparation()


def open_data(
    dataset: str | os.PathLike | Source,
    split="train",
    image_size=0,
    *,
    data_dir=None,
    max_labels=0,
    bad_images="refuse",
    say=print,
    like=None,
    **preparation,
) -> Data:
    """Opens a data set of images or of points.

    Args:
      dataset: a TFDS name ("mnist", "cifar10:3.0.2"), "digits", a folder of images written as a path ("./photos", one
        sub-folder per class) or as a `pathlib.Path`, "mixture" (points of 25 Gaussians), or a source such as
        `ArraySource(x, labels)`.
      split: the TFDS split, such as "train" or "train[:50000]". "mixture" has splits of that form, too. It is ignored
        for folders and sources.
      image_size: edge of the square crops in pixels; 0 = as stored.
      data_dir: the TFDS directory; None = TFDS_DATA_DIR or TFDS's default.
      max_labels: keep only the examples of the first `max_labels` classes; 0 = all. To find them, every label is read
        on opening.
      bad_images: "skip" checks every example on opening (see `Data.checked`) and leaves out images that cannot be
        decoded and points that are not finite. With "refuse", `Data.load` and `Data.check` raise InputError if there
        are any.
      say: called with a message if examples are left out; if a folder holds files that are not read; or if the classes
        of a folder are not in the order in which a person would count them.
      like: a model or a `Preparation`, instead of `image_size` and `preparation`. Examples are prepared as those of the
        model, and data of another domain is refused. `max_pixels` may be given beside it.
      **preparation: the other fields of `Preparation`. channels: 1 or 3; 0 = as stored. shorter_edge: the length that
        an image's shorter edge is resized to, with Lanczos' filter, before the centre is cropped; 0 = image_size. The
        authors of BiGAN use 72 for crops of 64, and 128 for crops of 112. dimensions: the number of coordinates that
        points must have; 0 = as stored. attributes_from: "data", or "label" to make an example's attributes the one-hot
        vector of its label. max_pixels: an image file of a folder that has more pixels cannot be used.

    Raises:
      InputError: there is no such data set or split; the data is not on disk and there is no network; it has no
        examples, or fewer classes than `max_labels`; its images need `image_size`; options of images are given for
        points, or `dimensions` for images or with another value than the points have; options are given beside `like`;
        the data is of another domain than `like`; or an argument has a wrong type.
    """
    prepared = _preparation(like, image_size=image_size, **preparation)
    if bad_images not in BAD_IMAGES:
        raise InputError(f"unknown bad_images {bad_images!r}.{did_you_mean(str(bad_images), BAD_IMAGES)}")
    max_labels = whole_number(max_labels, "max_labels", 0)
    if isinstance(dataset, os.PathLike):
        dataset = os.path.join(os.curdir, dataset)
    if isinstance(dataset, Source):
        source, name = dataset, dataset.origin
    elif not isinstance(dataset, str):
        raise InputError(
            f"a data set is a name, a folder or a source, found {type(dataset).__name__}; "
            "write open_data(ArraySource(x, labels)) for arrays"
        )
    elif not isinstance(split, str):
        raise InputError(f"split must be a string such as 'train' or 'train[:50%]', found {shown(split)}")
    else:
        source, name = open_source(dataset, split, data_dir, prepared.max_pixels), on_one_line(dataset)
    if not source.count:
        raise InputError(f"{_place(name, source)} is empty")
    if max_labels and not (source := FirstClasses(name, source, max_labels)).count:
        raise InputError(f"{_place(name, source)} has no example of its first {max_labels} classes")
    if prepared.attributes_from == "label":
        source = LabelAttributes(name, source)
    points = len(source.stored_shape) == 1
    _check_domain(name, "points" if points else "images", prepared, like is not None)
    data = _point_data(name, source, prepared) if points else _image_data(name, source, prepared)
    others = {"attributes_from": prepared.attributes_from, "max_pixels": prepared.max_pixels}
    data.preparation = dataclasses.replace(data.preparation, **others)
    if source.unread:
        say(listing.left_out_news(name, source.unread))
    if source.ordered and (news := order_news(name, source.class_names)):
        say(news)
    if bad_images == "skip":
        data, left_out = data.checked()
        if len(left_out):
            say(data.left_out_news(left_out))
    return data


def open_images(dataset, split="train", image_size=0, **options) -> ImageData:
    """Opens a data set of images, like `open_data`, but raises InputError for points."""
    data = open_data(dataset, split, image_size, **options)
    if not isinstance(data, ImageData):
        raise InputError(f"{data.name} has {data.domain.name}, not images")
    return data


def _place(name, source):
    return f"{name} split {source.split!r}" if source.split else name


def _preparation(like, **options):
    preparation = Preparation(**options)
    if like is None:
        return preparation
    limit = {name: options.pop(name) for name in ("max_pixels",) if name in options}
    if given := [option for option, value in options.items() if value != getattr(_AS_STORED, option)]:
        raise InputError(f"{given[0]} does not go with like, which has its own")
    return dataclasses.replace(Preparation.of(like), **limit)


def _check_domain(name, found, preparation, like):
    """Raises InputError if `preparation` is for another domain than `found`, the domain of the data."""
    wanted = preparation.domain
    if wanted in ("", found):
        return
    if like:
        raise InputError(f"{name} has {found}, not {wanted}")
    option = next(option for option, value in dataclasses.asdict(preparation).items() if value)
    raise InputError(f"{name} has {found}; --{option} is for {wanted}")


def _point_data(name, source, preparation):
    (stored,) = source.stored_shape
    if preparation.dimensions not in (0, stored):
        raise InputError(f"{name} has points of {stored} coordinates, not of {preparation.dimensions}")
    return PointData(name, source)


def _image_data(name, source, preparation):
    height, width, stored = source.stored_shape
    image_size, channels = preparation.image_size, preparation.channels or stored
    if stored == 2:
        raise InputError(f"{name} has images of 2 channels, which are neither grey nor colours")
    if channels not in (1, 3):
        raise InputError(f"{name} has images of {channels} channels; --channels=1 or 3 converts them")
    cropped = bool(image_size)
    if preparation.shorter_edge and not cropped:
        raise InputError("shorter_edge needs image_size, the size of the crops")
    if not image_size:
        if height is None or width is None or height != width:
            found = "varying sizes" if height is None or width is None else f"{height}x{width} pixels"
            raise InputError(f"the images of {name} have {found}; give --image_size")
        image_size = height
    return ImageData(name, source, image_size, channels, cropped, preparation.shorter_edge or image_size)
