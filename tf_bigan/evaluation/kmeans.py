"""Features of images by K-means on patches, a baseline that learns in minutes on a CPU and without a network.

Coates, Ng and Lee 2011, "An analysis of single-layer networks in unsupervised feature learning" (AISTATS).
"""

import numpy as np

from tf_bigan.errors import InputError

PATCHES = 100_000  # that the centroids are learned from; the paper's 400,000 change its results little
# Added to a patch's variance, of levels 0 ... 255, before it is divided by its deviation (the paper's).
_CONTRAST = 10.0
_WHITENING = 0.1  # added to the variances of whitened directions (the paper's)
_AT_ONCE = 8  # images
_BATCH = 512  # images read at once


class PatchFeatures:
    """Features of images: how near the patches of each quadrant are to learned centroids.

    Patches are normalised to mean 0 and deviation 1 and whitened (ZCA). A patch's activation for a centroid is how much
    nearer it is than the mean distance of all centroids, or 0 ("triangle"). Activations are summed over each quadrant
    of the image.

    Args:
      settings: a `KMeansSettings`.
      batches: images to learn from, as an iterable of float32 [n, H, W, C] in [0, 1].
      count: the number of these images.
      seed: seed of the patches and of scikit-learn's MiniBatchKMeans.

    Raises:
      InputError: images with fewer than two patches along an edge, or fewer patches than centroids.
    """

    def __init__(self, settings, batches, count, seed):
        from sklearn.cluster import MiniBatchKMeans

        self._settings = settings
        rng = np.random.RandomState(seed % 2**32)  # what scikit-learn takes
        each = -(-PATCHES // count)
        drawn = np.concatenate([_drawn(self._windows(images, 1), each, rng) for images in batches])
        drawn = drawn[np.linspace(0, len(drawn) - 1, min(len(drawn), PATCHES)).astype(int)]  # of all classes
        if len(drawn) < settings.centroids:
            raise InputError(f"K-means has {len(drawn)} patches, fewer than {settings.centroids} centroids")
        drawn = _normalised(drawn)
        self._mean = drawn.mean(axis=0)
        variances, directions = np.linalg.eigh(np.cov(drawn - self._mean, rowvar=False))
        self._whitening = ((directions / np.sqrt(variances.clip(0) + _WHITENING)) @ directions.T).astype(np.float32)
        means = MiniBatchKMeans(settings.centroids, batch_size=4096, n_init=1, random_state=rng)
        self._centroids = means.fit(self._whitened(drawn)).cluster_centers_.astype(np.float32)

    def __call__(self, images):
        """float32 [N, H, W, C] -> float32 [N, 4 * centroids]."""
        parts = [np.asarray(images[i : i + _AT_ONCE]) for i in range(0, len(images), _AT_ONCE)]
        width = 4 * self._settings.centroids
        return np.concatenate([np.zeros((0, width), np.float32), *map(self._features, parts)])

    def _features(self, images):
        windows = self._windows(images, self._settings.stride)
        count, rows, columns = windows.shape[:3]
        white = self._whitened(_normalised(windows.reshape(count * rows * columns, -1)))
        squares = (white**2).sum(axis=1)[:, None] + (self._centroids**2).sum(axis=1)
        distances = np.sqrt((squares - 2.0 * white @ self._centroids.T).clip(0))
        active = (distances.mean(axis=1, keepdims=True) - distances).clip(0).reshape(count, rows, columns, -1)
        upper, left = rows // 2, columns // 2
        halves = (active[:, :upper], active[:, upper:])
        quadrants = [part for half in halves for part in (half[:, :, :left], half[:, :, left:])]
        return np.concatenate([part.sum(axis=(1, 2)) for part in quadrants], axis=1)

    def _whitened(self, patches):
        return (patches - self._mean) @ self._whitening

    def _windows(self, images, stride):
        """The patches of images [N, H, W, C], a view: float32 [N, rows, columns, C, edge, edge]."""
        edge, images = self._settings.edge, np.asarray(images, np.float32)
        self._settings.check(images.shape[1:3])
        return np.lib.stride_tricks.sliding_window_view(images, (edge, edge), axis=(1, 2))[:, ::stride, ::stride]


def patch_features(context, reduced):
    """The `PatchFeatures` of an evaluation's gallery, with the settings and the seed of the evaluation.

    Args:
      context: a `Context` whose settings have `kmeans`.
      reduced: function that brings images to the size at which raw images are measured.
    """
    gallery, settings = context.data.gallery, context.settings
    context.say(f"K-means: {settings.kmeans.centroids} centroids of patches of the gallery")
    batches = (np.asarray(reduced(examples)) for examples, _ in gallery.batches(_BATCH))
    return PatchFeatures(settings.kmeans, batches, gallery.count, settings.seed)


def _drawn(windows, each, rng):
    """`each` random patches of every image: [N, rows, columns, C, edge, edge] -> [N * each, C * edge * edge]."""
    count, rows, columns = windows.shape[:3]
    images = np.repeat(np.arange(count), each)
    found = windows[images, rng.randint(rows, size=len(images)), rng.randint(columns, size=len(images))]
    return found.reshape(len(images), -1)


def _normalised(patches):
    """Patches [N, D] with values in [0, 1] -> with mean 0 and, but for flat ones, deviation 1."""
    patches = 255.0 * (patches - patches.mean(axis=1, keepdims=True))
    return patches / np.sqrt(patches.var(axis=1, keepdims=True) + _CONTRAST)
