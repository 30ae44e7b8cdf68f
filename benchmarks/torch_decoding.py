"""Decodes and resizes image files in a pool of threads: all that training does to an image before it is cropped.

Threads suffice, as Pillow and NumPy release Python's lock while they work. Forked processes could hang in matrix
products, as a fork does not copy the threads of NumPy's library.
"""

import functools
import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from tf_bigan.errors import InputError

_AT_ONCE = 250  # images per task
_LONGEST = 256  # the largest ratio of an image's edges


def lanczos_matrix(inputs: int, outputs: int) -> np.ndarray:
    """The matrix that resizes an axis by Lanczos' filter of radius 3, antialiased: float32 [outputs, inputs].

    Each row has the filter's weights around the place of its output in the input. Where the image gets smaller, the
    filter is wider.
    """
    ratio = inputs / outputs
    scale = max(ratio, 1.0)
    centres = (np.arange(outputs) + 0.5) * ratio
    distances = (np.arange(inputs)[None, :] + 0.5 - centres[:, None]) / scale
    weights = np.where(np.abs(distances) < 3.0, np.sinc(distances) * np.sinc(distances / 3.0), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


_matrix = functools.lru_cache(maxsize=64)(lanczos_matrix)


def resized(image: np.ndarray, shorter_edge: int) -> np.ndarray:
    """Resizes an image, uint8 [H, W, C], to a shorter edge of `shorter_edge`, by Lanczos' filter."""
    height, width, channels = image.shape
    if max(height, width) > _LONGEST * min(height, width):
        raise ValueError(f"an edge is over {_LONGEST} times as long as the other")
    scale = shorter_edge / min(height, width)
    rows, columns = (max(round(n * scale), shorter_edge) for n in (height, width))
    if (rows, columns) == (height, width):
        return image
    tall = _matrix(height, rows) @ image.reshape(height, -1).astype(np.float32)
    tall = tall.reshape(rows, width, channels).transpose(1, 0, 2).reshape(width, -1)
    small = (_matrix(width, columns) @ tall).reshape(columns, rows, channels).transpose(1, 0, 2)
    return np.rint(np.clip(small, 0.0, 255.0)).astype(np.uint8)


def decoded(arrays: dict, channels: int, shorter_edge: int, threads: int = 0):
    """The images of a pack, decoded and resized.

    Args:
      arrays: the arrays of tools/pack_examples.py: "encoded" uint8 and "offsets" int64 [N + 1], or "images" uint8
        [N, H, W, C].
      channels: 1 or 3.
      shorter_edge: length that an image's shorter edge is resized to; 0 = images are not resized.
      threads: number of threads; 0 = as many as there are CPU cores.

    Returns:
      (uint8 [bytes]: the images one after another, each [H, W, channels]; int64 [N, 2]: their heights and widths).

    Raises:
      InputError: an image cannot be decoded.
    """
    count = len(arrays["images"]) if "images" in arrays else len(arrays["offsets"]) - 1
    tasks = [range(first, min(first + _AT_ONCE, count)) for first in range(0, count, _AT_ONCE)]
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        parts = list(pool.map(lambda task: _decode(task, arrays, channels, shorter_edge), tasks))
    if bad := [error for *_, error in parts if error]:
        raise InputError(f"the examples hold an image that cannot be used: {bad[0]}")
    return np.concatenate([pixels for pixels, *_ in parts]), np.concatenate([edges for _, edges, _ in parts])


def _decode(task, arrays, channels, shorter_edge):
    images = []
    for i in task:
        try:
            image = _image(i, arrays, channels)
            images.append(resized(image, shorter_edge) if shorter_edge else image)
        except (OSError, ValueError) as error:
            return None, None, f"number {i}, {error}"
    edges = np.array([image.shape[:2] for image in images], np.int64)
    return np.concatenate([image.ravel() for image in images]), edges, None


def _image(i, arrays, channels):
    if "images" in arrays:
        found = arrays["images"][i]
        if found.shape[-1] == channels:
            return found
        image = Image.fromarray(found[..., 0] if found.shape[-1] == 1 else found)
    else:
        first, last = arrays["offsets"][i : i + 2]
        image = Image.open(io.BytesIO(arrays["encoded"][first:last].tobytes()))
    if image.mode == "RGBA":  # transparent pixels are laid over white, as in tf_bigan.data.pixels
        colours, opacity = np.split(np.asarray(image).astype(np.int32), [3], axis=-1)
        image = Image.fromarray(((colours * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8))
    image = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return image[..., None] if channels == 1 else image
