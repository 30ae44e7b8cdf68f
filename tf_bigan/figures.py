"""Pictures of a model, as uint8 sheets [height, width, C], and PNG files of them.

If E is stochastic, reconstructions and interpolations are of sampled codes, in the layouts of Dumoulin et al. 2017
(ALI). If not, they have the layouts of Donahue et al. 2017 (BiGAN).
"""

import numpy as np

from tf_bigan.errors import InputError, whole_number
from tf_bigan.evaluation.neighbours import nearest_in_stream
from tf_bigan.games.inspection import conditions_of
from tf_bigan.panels import save_png as save_png  # figures are written where they are made
from tf_bigan.progress import counted

POINTS = 2500  # points in a scatter plot, as many as the authors of ALI plot
_GAP = 2  # pixels between cells, before magnification
_GALLERY_BATCH = 512  # images of the gallery that are read at a time
# The attributes of a row and of its columns in the paper's figure of CelebA.
_FACES = ("Attractive", "Male", "Young")
_SMILE = ("Black_Hair", "Smiling")
_LOOKS = (
    *((), ("Black_Hair",), ("Brown_Hair",), ("Blond_Hair",), ("Black_Hair", "Wavy_Hair"), ("Blond_Hair", "Bangs")),
    *(("Blond_Hair", "Receding_Hairline"), ("Blond_Hair", "Bald"), _SMILE, (*_SMILE, "Mouth_Slightly_Open")),
    (*_SMILE, "Mouth_Slightly_Open", "Eyeglasses"),
    (*_SMILE, "Mouth_Slightly_Open", "Eyeglasses", "Wearing_Hat"),
)
_CELL = 48  # approximate height in pixels that small images are magnified to


def samples(model, count=100, seed=0):
    """A grid of G(z), ten per row, or a scatter plot of points; the same seed draws the same z."""
    if model.domain.name == "points":
        return scatter(model.generate(POINTS, seed=seed))
    return grid(model.generate(count, seed=seed), columns=10)


def reconstructions(model, images, seed=0):
    """A grid of images x, each with its reconstruction G(E(x)) on the right, `pairs_per_row(model)` pairs per row.

    For points, the figure is a scatter plot of the points beside a scatter plot of their reconstructions. The codes of
    a stochastic E are sampled with `seed`.
    """
    made = model.reconstruct(images, sample=model.posterior.stochastic, seed=seed)
    if model.domain.name == "points":
        extent = _extent(images)
        return np.concatenate([scatter(images, extent), scatter(made, extent)], axis=1)
    return grid(_interleaved(model.reduced(images), made), columns=2 * pairs_per_row(model))


def pairs_per_row(model) -> int:
    """How many images with their reconstructions a row has: 10 for a stochastic E, otherwise 5."""
    return 10 if model.posterior.stochastic else 5


def interpolations(model, first, second, steps=None, seed=0):
    """A row for each pair of images: the first image, G along the line between their codes, the second image.

    For points, it is one scatter plot of all of these.

    Args:
      model: a Game with an encoder and a generator.
      first, second: float32 [N, H, W, C] in [0, 1], or [N, d]; the same number of each.
      steps: codes per row, including the two ends; None = 11 for a stochastic E, otherwise 9.
      seed: seed of the sampled codes of a stochastic E.

    Raises:
      InputError: fewer than 2 steps, examples that the model does not take, or different numbers of them.
    """
    sampled = model.posterior.stochastic
    steps = whole_number((11 if sampled else 9) if steps is None else steps, "steps", 2)
    seed = whole_number(seed, "seed")
    # Two seeds, so that the codes of a row's ends are drawn independently.
    ends = [model.encode(each, sample=sampled, seed=seed + n) for n, each in enumerate((first, second))]
    if len(ends[0]) != len(ends[1]):
        raise InputError(f"interpolations need as many first as second examples, found {len(first)} and {len(second)}")
    first, second = model.reduced(np.asarray(first)), model.reduced(np.asarray(second))
    at = np.linspace(0.0, 1.0, steps, dtype=np.float32)[None, :, None]
    codes = (1.0 - at) * ends[0][:, None] + at * ends[1][:, None]  # [N, steps, latent_dim]
    decoded = model.generate(z=codes.reshape(-1, codes.shape[-1])).reshape(len(first), steps, *first.shape[1:])
    rows = np.concatenate([first[:, None], decoded, second[:, None]], axis=1)
    rows = rows.reshape(-1, *first.shape[1:])
    return scatter(rows) if model.domain.name == "points" else grid(rows, columns=steps + 2)


def attributes(model, names, rows=10, seed=0):
    """A row of samples for each z, or for each kind of face, whose columns have different attributes.

    With the names of CelebA's attributes, it is the paper's figure: four rows of faces, men and women, young and older,
    whose twelve columns have other hair and more; all 48 have the same z. Otherwise, a row has one z, and each column
    has one attribute: the first column has the first one alone, and so on. For attributes that are one-hot vectors of
    labels, these are the classes.

    Args:
      model: a Game of images whose generator takes attributes.
      names: the names of the attributes, in their order.
      rows: the number of z, if the attributes are not those of CelebA.
      seed: seed of the z.

    Raises:
      InputError: there is no generator, or it takes no attributes or another number of them.
    """
    if model.generator is None:
        raise InputError(f"{model.name} has no generator, so it has no figure of attributes")
    if "attributes" not in conditions_of(model.generator):
        raise InputError(f"the generator of {model.name} takes no attributes, so it has no figure of them")
    if {*_FACES, *sum(_LOOKS, ())} <= set(names):
        kinds = [("Male", "Young"), ("Male",), ("Young",), ()]
        chosen = [[("Attractive", *kind, *look) for look in _LOOKS] for kind in kinds]
        settings = np.array([[[name in each for name in names] for each in row] for row in chosen], np.float32)
        z = model.noise(1, seed, "generation").numpy().repeat(settings.shape[0] * settings.shape[1], 0)
    else:
        settings = np.eye(len(names), dtype=np.float32)[None].repeat(rows, 0)
        z = model.noise(rows, seed, "generation").numpy().repeat(len(names), 0)
    made = model.generate(z=z, seed=seed, attributes=settings.reshape(-1, len(names)))
    return grid(made, columns=settings.shape[1])


def filters(network, count=100):
    """A grid of filters: the weights between a network's images and the hidden units next to them.

    Each filter is stretched to [0, 1].

    Args:
      network: a network with the method `image_filters()`, which returns float32 [units, H, W, C].
      count: the number of filters, those with the largest norms first.

    Raises:
      InputError: the network has no `image_filters()`.
    """
    if not hasattr(network, "image_filters"):
        raise InputError(f"the {network.name} has no image_filters(), so it has no filters to draw")
    weights = network.image_filters()
    flat = weights.reshape(len(weights), -1)
    weights = weights[np.argsort(-np.linalg.norm(flat, axis=1), kind="stable")[:count]]
    low = weights.min(axis=(1, 2, 3), keepdims=True)
    high = weights.max(axis=(1, 2, 3), keepdims=True)
    return grid((weights - low) / np.maximum(high - low, 1e-12), columns=10)


def neighbours(model, queries, gallery, layer="penultimate", metric="euclidean", count=9, own=None):
    """A row for each query: the query, and the gallery's images that are nearest to it in feature space.

    Args:
      model: a Game.
      queries: float32 [N, H, W, C] in [0, 1].
      gallery: an `ImageData`, read batch by batch: features of a few thousand images are held at a time.
      layer: feature space, as `Game.features` names it.
      metric: "euclidean" or "cosine"; the paper's figure uses cosine.
      count: neighbours per row.
      own: the numbers of the queries in the gallery, int64 [N], if they are examples of it: these are not shown as
        their own neighbours.

    Raises:
      InputError: a model of points, an unknown layer, or images of the gallery that cannot be decoded.
    """
    if model.domain.name != "images":
        raise InputError(f"neighbours are drawn of images, and {model.name} is of {model.domain.name}")
    features = model.feature_function(layer)

    def flat(images):
        return np.asarray(features(images)).reshape(len(images), -1)

    with gallery.naming_damage():
        batches = counted(
            gallery.batches(_GALLERY_BATCH), "neighbours", gallery.count, "images", lambda batch: len(batch[1])
        )
        chunks = (flat(images) for images, _ in batches)
        indices = nearest_in_stream(flat(queries), chunks, count + (own is not None), metric)
        if own is not None:
            # A copy of the query may come before it. If there are more copies than neighbours, the last is left out.
            others = np.argsort(indices == np.asarray(own)[:, None], axis=1, kind="stable")
            indices = np.take_along_axis(indices, others[:, : max(indices.shape[1] - 1, 1)], 1)
        found, _ = gallery.read(indices.reshape(-1))
    rows = np.concatenate([queries[:, None], found.numpy().reshape(*indices.shape, *queries.shape[1:])], axis=1)
    return grid(rows.reshape(-1, *queries.shape[1:]), columns=rows.shape[1])


def scatter(points, extent=None, edge=320) -> np.ndarray:
    """A scatter plot: points of the plane as dots, which are darker where more points lie.

    Args:
      points: float [N, d]; the first two coordinates are shown.
      extent: coordinates from -extent to extent are shown, and points outside are drawn at the border; None = 1.25
        times the largest absolute coordinate.
      edge: height and width of the plot in pixels.

    Returns:
      uint8 [edge, edge, 1].

    Raises:
      InputError: there are no points, or they have another shape.
    """
    points = np.asarray(points, np.float32)
    if points.ndim != 2:
        raise InputError(f"a scatter plot takes points of shape [N, d], got {list(points.shape)}")
    points = points[:, :2]
    if not len(points):
        raise InputError("a figure needs at least one point")
    extent = extent or _extent(points)
    places = np.clip(((points / extent + 1.0) / 2.0 * edge).astype(int), 0, edge - 1)
    counts = np.zeros((edge, edge))
    np.add.at(counts, (edge - 1 - places[:, 1], places[:, 0] if points.shape[1] > 1 else 0), 1.0)
    shades = 255 * (1.0 - 0.85 * np.minimum(counts, 3) / 3 - 0.15 * (counts > 0))
    return shades.astype(np.uint8)[..., None]


def _extent(points):
    return 1.25 * max(float(np.abs(points).max()), 1e-6)


def grid(images, columns: int) -> np.ndarray:
    """Lays images out row by row.

    Args:
      images: float [N, H, W, C] in [0, 1], C = 1 or 3, N >= 1.
      columns: images per row.

    Returns:
      uint8 [height, width, C].

    Raises:
      InputError: there are no images, or they have another shape.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 4:
        raise InputError(f"a grid takes images of shape [N, H, W, C], got {list(images.shape)}")
    if not len(images):
        raise InputError("a figure needs at least one image")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cells = np.ones((rows * columns, height + _GAP, width + _GAP, channels), np.float32)
    cells[:count, :height, :width] = np.clip(images, 0.0, 1.0)
    cells = cells.reshape(rows, columns, *cells.shape[1:]).transpose(0, 2, 1, 3, 4)
    sheet = cells.reshape(rows * (height + _GAP), columns * (width + _GAP), channels)[:-_GAP, :-_GAP]
    magnify = max(1, round(_CELL / height))
    return np.round(sheet.repeat(magnify, 0).repeat(magnify, 1) * 255).astype(np.uint8)


def _interleaved(first, second):
    return np.stack([first, second], axis=1).reshape(-1, *first.shape[1:])
