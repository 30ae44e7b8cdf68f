"""The figure of the study of the 25 Gaussians: 4 rows of systems, 5 columns (Dumoulin et al. 2017, section 4.1)."""

import colorsys

import numpy as np

from tf_bigan.studies.mixture_plan import ENTRANTS

ROWS = ("ali", "learned_inverse", "post_hoc", "vae")
COLUMNS = ("points x", "codes of x", "reconstructions", "prior z", "samples G(z)")
POINTS, CODES = 6.0, 4.0  # the axes' ends, in coordinates of points and of codes

_SHOWN = 10_000  # points of each panel, as in the paper
_EDGE = 260  # of a panel in pixels
_LEFT, _TOP = 34, 36  # pixels left of the first panel and above it
_DOWN, _RIGHT = _EDGE + 36, _EDGE + 34  # pixels from a panel to the next
_OVERSAMPLED = 2
_GREY, _BLACK = (120, 120, 120), (0, 0, 0)


def study_figure(models, points, labels, seed=0) -> np.ndarray:
    """The figure: a row for each system; panels of points, codes, reconstructions, prior samples and samples.

    Colours are the 25 components: in the first three columns the component that a point came from, in the last two the
    component whose mean is nearest to the sample. Codes are drawn from the posterior, and reconstructions are made of
    these codes. Axes go from -6 to 6 for points, and from -4 to 4 for codes; what lies outside is not shown.

    Args:
      models: system in `ROWS` -> its game.
      points: float32 [N, 2], unseen in training.
      labels: int [N], the points' components.
      seed: seed of the draws.

    Returns:
      uint8 [height, width, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    points, labels = points[:_SHOWN], labels[:_SHOWN]
    tops = [_TOP + row * _DOWN for row in range(len(ROWS))]
    lefts = [_LEFT + column * _RIGHT for column in range(len(COLUMNS))]
    places = [[(top, left) for left in lefts] for top in tops]
    sheet = np.full((tops[-1] + _DOWN, lefts[-1] + _RIGHT, 3), 255, np.uint8)
    for row, system in enumerate(ROWS):
        for (top, left), (values, components, extent) in zip(
            places[row], _panels(models[system], points, labels, seed), strict=True
        ):
            sheet[top : top + _EDGE, left : left + _EDGE] = _panel(values, components, extent)
    image = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default()
    for row, system in enumerate(ROWS):
        for column, title in enumerate(COLUMNS):
            top, left = places[row][column]
            draw.rectangle((left - 1, top - 1, left + _EDGE, top + _EDGE), outline=_GREY)
            if not row:
                draw.text((left, _TOP - 16), title, fill=_BLACK, font=font)
            extent = _extents()[column]
            for place, value in ((0, -extent), (_EDGE // 2, 0), (_EDGE, extent)):
                label = f"{value:g}"
                width = draw.textlength(label, font=font)
                draw.text((left + place - width / 2, top + _EDGE + 4), label, fill=_GREY, font=font)
                draw.text((left - width - 5, top + _EDGE - place - 6), label, fill=_GREY, font=font)
        top, left = places[row][0]
        draw.text((left + 4, top + 3), ENTRANTS[system].title, fill=_BLACK, font=font)
    return np.asarray(image)


def colours() -> np.ndarray:
    """A colour for each component, float [25, 3] in [0, 1]: neighbours along either axis differ."""
    order = [(7 * number) % 25 for number in range(25)]
    shades = [(hue / 25, 0.85, 0.55 + 0.4 * (hue % 2)) for hue in order]
    return np.array([colorsys.hsv_to_rgb(*shade) for shade in shades])


def _extents():
    return POINTS, CODES, POINTS, CODES, POINTS


def _panels(model, points, labels, seed):
    """(values, components, the axes' end) of each panel of a row."""
    from tf_bigan.data import mixture
    from tf_bigan.evaluation.neighbours import nearest

    codes = model.encode(points, sample=True, seed=seed)
    z = np.asarray(model.noise(len(points), seed, "generation"))
    samples = model.generate(z=z)
    nearby = nearest(samples, mixture.means(), 1)[0][:, 0]
    found = ((points, labels), (codes, labels), (model.generate(z=codes), labels), (z, nearby), (samples, nearby))
    for (values, components), extent in zip(found, _extents(), strict=True):
        yield values, components, extent


def _panel(values, components, extent):
    """A scatter plot: uint8 [_EDGE, _EDGE, 3]. Dots are blended in the order of the points."""
    edge = _EDGE * _OVERSAMPLED
    places = np.floor((values / extent + 1.0) / 2.0 * edge)
    inside = np.all((places >= 0) & (places < edge), axis=1)  # not so for NaN
    places, components = places[inside].astype(int), components[inside]
    sums, weights = np.zeros((edge, edge, 3)), np.zeros((edge, edge, 1))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            rows = np.clip(edge - 1 - places[:, 1] + down, 0, edge - 1)
            columns = np.clip(places[:, 0] + right, 0, edge - 1)
            np.add.at(sums, (rows, columns), colours()[components])
            np.add.at(weights, (rows, columns), 1.0)
    shades = np.where(weights > 0, sums / np.maximum(weights, 1.0), 1.0)
    shades = shades.reshape(_EDGE, _OVERSAMPLED, _EDGE, _OVERSAMPLED, 3).mean((1, 3))
    return np.round(255 * shades).astype(np.uint8)
