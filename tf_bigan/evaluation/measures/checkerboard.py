"""Checkerboard artefacts: energy of samples at the Nyquist frequencies, relative to that of real images.

Transposed convolutions whose kernels overlap unevenly paint patterns that alternate from pixel to pixel (Odena,
Dumoulin and Olah 2016, "Deconvolution and checkerboard artifacts", Distill).
"""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import ModelMeasure

DIRECTIONS = ("rows", "columns", "both")
_AT_ONCE = 1000  # samples


class Checkerboard(ModelMeasure):
    """How much more the samples alternate from pixel to pixel than real images do."""

    name = "checkerboard"
    title = "energy at the Nyquist frequencies, relative to that of real images"
    protocol = (
        "mean over images and channels of the squared Fourier coefficient of the frequency of one half per pixel along "
        "rows, columns and both, of as many samples as queries, rounded to 256 levels, divided by that of the queries; "
        "beside it that of every second query divided by that of the others"
    )
    needs = frozenset({"generator", "queries"})

    def check(self, context):
        if context.model.domain.name == "points":
            raise InputError("checkerboard is of images, and these are points")
        if context.data.queries.count < 2:
            raise InputError("checkerboard compares two halves of the queries, and there is only one query")

    def measure(self, model, examples, seed):
        return checkerboard(model, examples, seed)

    def lines(self, found, report):
        yield f"{'energy at Nyquist, of real = 1':34}" + "".join(f"{name:>16}" for name in DIRECTIONS)
        for what, title in (("samples", "samples"), ("real", "real, one half of the other")):
            yield f"  {title:32}" + "".join(f"{found[f'{what}/{name}']:16.2f}" for name in DIRECTIONS)


def checkerboard(model, images, seed=0) -> dict:
    """The energy of a model's samples at the Nyquist frequencies, relative to that of real images.

    Args:
      model: a Game with a generator of images.
      images: float32 [N, H, W, C] in [0, 1], N >= 2, unseen in training. If G's images are smaller, they are reduced.
      seed: seed of the N samples, which are drawn in chunks.

    Returns:
      {"samples/rows", "samples/columns", "samples/both": `nyquist_energy` of the samples divided by that of the images;
      "real/rows", "real/columns", "real/both": that of every second image divided by that of the other images, which
      shows how far from 1 the ratio of sets of real images is}.

    Raises:
      InputError: real images without energy at a Nyquist frequency, such as images of one colour.
    """
    real = model.reduced(images)
    starts = range(0, len(real), _AT_ONCE)
    # Each chunk has its own seed, or it would repeat the samples of the others.
    chunks = (model.generate(min(_AT_ONCE, len(real) - start), seed=seed + start) for start in starts)
    samples = [(nyquist_energy(np.round(made * 255.0) / 255.0), len(made)) for made in chunks]
    made = np.average([energy for energy, _ in samples], axis=0, weights=[count for _, count in samples])
    found = {"samples": (made, nyquist_energy(real)), "real": (nyquist_energy(real[::2]), nyquist_energy(real[1::2]))}
    if any(np.min(beside) <= 0 for _, beside in found.values()):
        raise InputError("real images have no energy at the Nyquist frequencies, so that of samples has no measure")
    return {
        f"{what}/{name}": float(energy / beside)
        for what, pair in found.items()
        for name, energy, beside in zip(DIRECTIONS, *pair, strict=True)
    }


def nyquist_energy(images) -> np.ndarray:
    """The energy of images at the highest frequencies that pixels can show.

    These alternate from each pixel to the next: from row to row ("rows": horizontal stripes of one pixel), from column
    to column, and from row to row as well as from column to column ("both": a checkerboard). A pattern m ± a of one of
    them has the energy a^2 there and 0 in the others.

    Args:
      images: float [N, H, W, C], H and W at least 2. Of an odd height or width, the last row or column is left out, as
        the frequency does not exist otherwise.

    Returns:
      float64 [3]: for each of `DIRECTIONS`, the squared Fourier coefficient, divided by the number of pixels before it
      is squared, averaged over images and channels.

    Raises:
      InputError: images of a single row or column.
    """
    height, width = (2 * (size // 2) for size in images.shape[1:3])
    if not (height and width):
        raise InputError(f"images of {images.shape[1]}x{images.shape[2]} pixels have no Nyquist frequency")
    even = np.asarray(images[:, :height, :width], np.float64)
    of_rows, of_columns = (np.where(np.arange(size) % 2, -1.0, 1.0) / size for size in (height, width))
    signs = {
        "rows": (of_rows, np.full(width, 1 / width)),
        "columns": (np.full(height, 1 / height), of_columns),
        "both": (of_rows, of_columns),
    }
    found = [np.einsum("nhwc,h,w->nc", even, *signs[name], optimize=True) for name in DIRECTIONS]
    return np.array([np.mean(np.square(coefficients)) for coefficients in found])
