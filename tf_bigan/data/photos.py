"""Decodes image files with Pillow: which files, from which place, turned how, and with what behind transparent pixels.

Imports no TensorFlow.
"""

import functools
import io
import os
import stat
import warnings

import numpy as np
from PIL import Image

# Formats that Pillow names but that need other programs (EPS runs Ghostscript), or for which it has no decoder, and one
# whose files are no pictures but records of many kinds.
_REFUSED = ("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC")
# Formats whose files do not begin with a signature. A file is taken for one of these only if its name says so.
_BY_NAME = ("TGA", "PCD", "IM")
_PLAIN = ("JPEG", "PNG")
# What a PNG with an orientation or an animation contains; bytes of pixels that look like it do no harm.
_MARKS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp", b"acTL")
_USUAL = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")  # tried first
# Files of more bytes than this for each pixel that they may have are not read: no format stores a picture in so many.
_BYTES_PER_PIXEL = 32
_BESIDES = 1 << 26  # bytes of a file besides its pixels
_LARGEST_PLAIN = 1 << 26  # bytes of a file that is read whole

_ORIENTATION = 0x0112  # EXIF's tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Files that are too large or damaged are named by their users, so Pillow's warnings on stderr would add nothing.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


def formats() -> list[str]:
    """Pillow's names of the formats that are recognised by a file's content, the usual ones first."""
    Image.init()
    return list(_formats(len(Image.OPEN)))


def suffixes() -> dict[str, str]:
    """The ends of file names that are read, in lower case, with Pillow's names of their formats.

    They are those of every format that the installed Pillow decodes by itself, and of any that the caller registers
    with it.
    """
    known = {*formats(), *(name for name in _BY_NAME if name in Image.OPEN)}
    found = {suffix: name for suffix, name in Image.registered_extensions().items() if name in known}
    return {**found, ".mpo": "JPEG"}  # JPEGs of several pictures, as some cameras write them


def decode(path, channels: int, max_pixels: int) -> np.ndarray:
    """The picture in an image file.

    It is turned as its EXIF orientation says. Transparent pixels are laid over white. Of an animation or of several
    pages, it is the first. Of 16 bits a pixel, the higher 8 are taken.

    Args:
      path: the file, a str or bytes.
      channels: 1 or 3. Colours are not converted to grey here.
      max_pixels: the largest number of pixels that is decoded.

    Returns:
      uint8 [height, width, 3]; [height, width, 1] if the picture is grey and `channels` is 1.

    Raises:
      ValueError: the file cannot be read as an image, or has more pixels. The message is one line.
    """
    try:
        with _opened(path, max_pixels) as file, Image.open(file, formats=_formats_of(path)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ValueError(f"{width}x{height} pixels are more than {max_pixels}")
            image.load()
            picture = _turned(_flat(image), image)
            if channels == 3 and picture.mode != "RGB":
                picture = picture.convert("RGB")
            pixels = np.asarray(picture)
    except Exception as error:  # Pillow's decoders raise errors of many kinds for damaged files
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def allow(max_pixels: int):
    """Raises the limit above which Pillow refuses to open an image in this process, if it is below `max_pixels`."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def plain_content(path, max_pixels: int) -> bytes | None:
    """The content of a JPEG or PNG file of which any decoder gets the picture of `decode`; None for all other files.

    It is 8 bits grey or RGB, not turned, not transparent and not animated, and has up to `max_pixels` pixels. The file
    may be damaged. Of JPEGs, decoders must use libjpeg's accurate inverse transform ("ISLOW") and its usual upsampling.
    """
    try:
        with _opened(path, max_pixels) as file:
            if os.fstat(file.fileno()).st_size > _LARGEST_PLAIN:
                return None
            content = file.read()
        # From memory: each access to a file gives other threads Python's lock, and takes time to get it back.
        with Image.open(io.BytesIO(content), formats=_PLAIN) as image:
            width, height = image.size
            if image.format not in _PLAIN or image.mode not in ("L", "RGB") or "transparency" in image.info:
                return None
            if width * height > max_pixels:
                return None
            if image.format == "JPEG":
                return content if _orientation(image) == 1 else None
            # Of a PNG, Pillow would decode the whole file to find its orientation.
            return None if any(mark in content for mark in _MARKS) else content
    except Exception:  # `decode` will say why
        return None


def as_plain_file(path, max_pixels: int) -> bytes:
    """The `plain_content` of a file, or a PNG of its picture. Raises like `decode`."""
    if content := plain_content(path, max_pixels):
        return content
    pixels, written = decode(path, 1, max_pixels), io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(written, "PNG")
    return written.getvalue()


@functools.lru_cache(maxsize=1)
def _formats(count):
    """The formats, of `count` that Pillow knows now: more if the caller has registered any since."""
    del count
    found = [name for name, (_, accept) in Image.OPEN.items() if accept and name not in _REFUSED]
    return sorted(found, key=lambda name: _USUAL.index(name) if name in _USUAL else len(_USUAL))


def _formats_of(path):
    named = Image.registered_extensions().get(os.path.splitext(os.fsdecode(path))[1].lower())
    return [*formats(), named] if named in _BY_NAME else formats()


def _opened(path, max_pixels):
    """The file, opened to be read. A pipe or device is refused, and not waited for."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_size > _BYTES_PER_PIXEL * max_pixels + _BESIDES:
        file.close()
        raise ValueError("no regular file, or a file of more bytes than a picture takes")
    return file


def _flat(image):
    """An image of mode L or RGB: 8 bits, without transparency."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _of_16_bits(image)
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, of an unknown range")
    if image.mode[-1] in "Aa" or "transparency" in image.info:
        grey, image = image.mode in ("1", "L", "LA", "La"), image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("L" if grey else "RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _of_16_bits(image):
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    values = values if transparent is None else np.where(values == transparent, 0xFFFF, values)
    return Image.fromarray((values >> 8).astype(np.uint8))


def _turned(picture, image):
    turn = _TURNS.get(_orientation(image))
    return picture if turn is None else picture.transpose(turn)


def _orientation(image):
    """The EXIF orientation, 1 to 8; 1 if there is none. An EXIF block that cannot be read counts as none."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as for damaged files
        return 1
    return found if isinstance(found, int) else 1
