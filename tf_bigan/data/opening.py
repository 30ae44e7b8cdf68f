"""`open_data` and `open_images`: from a name to data."""

from tf_bigan.data.base import Data
from tf_bigan.data.images import ImageData
from tf_bigan.data.points import PointData
from tf_bigan.data.protocol import Source
from tf_bigan.data.sources import FirstClasses, open_source
from tf_bigan.errors import InputError, nearest

BAD_IMAGES = ("refuse", "skip")


def open_data(
    dataset: str | Source,
    split="train",
    image_size=0,
    channels=0,
    data_dir=None,
    shorter_edge=0,
    bad_images="refuse",
    say=print,
    max_labels=0,
    dimensions=0,
    domain="",
) -> Data:
    """Opens a data set of images or of points.

    Args:
      dataset: a TFDS name (as "mnist", "cifar10:3.0.2"), "digits", a folder of images written as a path ("./photos",
        one sub-folder a class), "mixture" (points of 25 Gaussians), or a source, as `ArraySource(x, labels)`.
      split: the TFDS split, as "train" or "train[:50000]"; "mixture" has splits of that form, too. Folders and
        sources do not look at it.
      image_size: edge of the square crops in pixels; 0 = as stored.
      channels: 1 or 3; 0 = as stored.
      data_dir: the TFDS directory; None = TFDS_DATA_DIR or TFDS's default.
      shorter_edge: what an image's shorter edge is resized to, with Lanczos' filter, before the centre is cropped;
        0 = image_size. The authors of BiGAN: 72 for crops of 64, 128 for 112.
      bad_images: "skip" tries every example at once (see `Data.checked`) and leaves out images that cannot be decoded
        and points that are not finite. "refuse": `Data.load` and `Data.check` raise InputError where there are any.
      say: called with a line of news if examples are left out.
      max_labels: keep the examples of the first so many classes; 0 = all. Every label is read for that, at once.
      dimensions: that points must have; 0 = as stored.
      domain: "images" or "points", where others are to be refused; empty = either.

    Raises:
      InputError: no such data set or split, not on disk and no network, no examples, fewer classes than `max_labels`,
        images that need `image_size`, `image_size`, `channels` or `shorter_edge` for points, `dimensions` for images or
        other than the points', or data of another domain.
    """
    if bad_images not in BAD_IMAGES:
        raise InputError(f"unknown bad_images {bad_images!r}.{nearest(bad_images, BAD_IMAGES)}")
    if isinstance(dataset, Source):
        source, name = dataset, dataset.origin
        source = FirstClasses(name, source, max_labels) if max_labels else source
    else:
        source, name = open_source(dataset, split, data_dir, max_labels), dataset
    points = len(source.stored_shape) == 1
    if domain and points != (domain == "points"):
        raise InputError(f"{name} has {'points' if points else 'images'}, not {domain}")
    if not source.count:
        where = f"{name} split {source.split!r}" if source.split else name
        raise InputError(f"{where} {f'has no example of its first {max_labels} classes' if max_labels else 'is empty'}")
    if points:
        of_images = {"image_size": image_size, "channels": channels, "shorter_edge": shorter_edge}
        data = _point_data(name, source, dimensions, of_images)
    else:
        if dimensions:
            raise InputError(f"{name} has images; --dimensions is for points")
        data = _image_data(name, source, image_size, channels, shorter_edge)
    if bad_images == "skip":
        data, left_out = data.checked()
        if len(left_out):
            say(data.left_out_news(left_out))
    return data


def open_images(
    dataset,
    split="train",
    image_size=0,
    channels=0,
    data_dir=None,
    shorter_edge=0,
    bad_images="refuse",
    say=print,
    max_labels=0,
) -> ImageData:
    """Opens a data set of images: as `open_data`, but raises InputError for points."""
    more = bad_images, say, max_labels
    return open_data(dataset, split, image_size, channels, data_dir, shorter_edge, *more, domain="images")


def _point_data(name, source, dimensions, of_images):
    if asked := [option for option, value in of_images.items() if value]:
        raise InputError(f"{name} has points; --{asked[0]} is for images")
    (stored,) = source.stored_shape
    if dimensions not in (0, stored):
        raise InputError(f"{name} has points of {stored} coordinates, not of {dimensions}")
    return PointData(name, source)


def _image_data(name, source, image_size, channels, shorter_edge):
    height, width, stored = source.stored_shape
    channels = channels or stored
    if channels not in (1, 3):
        raise InputError(f"{name} has images of {channels} channels; --channels=1 or 3 converts them")
    cropped = bool(image_size)
    if shorter_edge and shorter_edge < image_size:
        raise InputError(f"shorter_edge {shorter_edge} is less than the crops' {image_size} pixels")
    if not image_size:
        if height is None or width is None or height != width:
            found = "varying sizes" if height is None or width is None else f"{height}x{width} pixels"
            raise InputError(f"the images of {name} have {found}; give --image_size")
        image_size = height
    return ImageData(name, source, image_size, channels, cropped, shorter_edge or image_size)
