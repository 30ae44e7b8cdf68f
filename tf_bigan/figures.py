"""Pictures: grids of images as PNG."""

import numpy as np

from tf_bigan.files import replacing

_GAP = 2  # pixels between cells, before magnification


def grid(images, columns: int, magnify: int | None = None) -> np.ndarray:
    """Lays images out row by row.

    Args:
      images: float [N, H, W, C] in [0, 1], C = 1 or 3.
      columns: images a row.
      magnify: integer factor; None = as large as brings a cell to about 48 pixels.

    Returns:
      uint8 [height, width, C].
    """
    images = np.asarray(images, np.float32)
    count, height, width, channels = images.shape
    magnify = magnify or max(1, round(48 / height))
    rows = -(-count // columns)
    cells = np.ones((rows * columns, height + _GAP, width + _GAP, channels), np.float32)
    cells[:count, :height, :width] = np.clip(images, 0.0, 1.0)
    cells = cells.reshape(rows, columns, *cells.shape[1:]).transpose(0, 2, 1, 3, 4)
    sheet = cells.reshape(rows * (height + _GAP), columns * (width + _GAP), channels)[:-_GAP, :-_GAP]
    return np.round(sheet.repeat(magnify, 0).repeat(magnify, 1) * 255).astype(np.uint8)


def save_png(path, pixels: np.ndarray):
    """Writes uint8 [H, W, C] (C = 1 or 3) as PNG, whole or not at all."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary, "PNG")
