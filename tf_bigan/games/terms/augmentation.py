"""Differentiable augmentation of D's images (Zhao et al. 2020: "Differentiable augmentation for data-efficient GAN
training", NeurIPS).
"""

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.games.inspection import shape_of
from tf_bigan.games.terms.term import Term

# The paper's ranges, for images in [-1, 1].
BRIGHTNESS = 0.5  # is added, times a number from U(-1, 1)
SATURATION = 1.0  # the distance from the mean of the channels is multiplied by 1 + this times U(-1, 1)
CONTRAST = 0.5  # the distance from the image's mean is multiplied by 1 + this times U(-1, 1)
SHIFT = 1 / 8  # of the edge, at most, along each axis
CUTOUT = 1 / 2  # of the edge: the square that becomes grey


class Augmentation(Term):
    """D sees augmented images in training, real and generated ones alike; E and G see the images as they are.

    Brightness, saturation and contrast change, then the image is shifted, with grey filled in, and a square of it
    becomes grey. The i-th real and the i-th generated image of a batch share their draws. Gradients flow through the
    augmentation to G. The term adds no loss.

    Args:
      strength: the ranges as a fraction of the paper's; 1 = the paper's, 0 = none.
    """

    name = "augmentation"
    adds_losses = False
    roles = ("discriminator",)

    @classmethod
    def check_roles(cls, networks, name):
        super().check_roles(networks, name)
        if len(shape_of(networks["discriminator"], "inputs")) != 3:
            raise InputError("augmentation is for images, and the data has points")

    def losses(self, game, tensors, batch, draws):
        return {}

    def augment(self, images, draws):
        def draw(name):
            """Numbers from U(-1, 1), times the strength: float32 [N, 1, 1, 1]."""
            return self.weight * (2.0 * draws.uniform(f"{self.name}/{name}", (1, 1, 1)) - 1.0)

        h = 2.0 * tf.cast(images, tf.float32) - 1.0
        h += BRIGHTNESS * draw("brightness")
        grey = tf.reduce_mean(h, axis=-1, keepdims=True)
        h = grey + (h - grey) * (1.0 + SATURATION * draw("saturation"))
        mean = tf.reduce_mean(h, axis=(1, 2, 3), keepdims=True)
        h = mean + (h - mean) * (1.0 + CONTRAST * draw("contrast"))
        height, width = h.shape[1:3]
        # A shift is a product with a matrix of zeros and ones, whose gradient is as fast as itself.
        h = tf.einsum("nab,nbwc->nawc", self._shift(height, "vertical", draws), h)
        h = tf.einsum("nab,nhbc->nhac", self._shift(width, "horizontal", draws), h)
        covered = self._covered(height, "row", draws)[:, :, None] & self._covered(width, "column", draws)[:, None]
        return 0.5 * (tf.where(covered[..., None], 0.0, h) + 1.0)

    def _shift(self, edge, name, draws):
        """Matrices that shift rows by whole pixels: float32 [N, edge, edge]."""
        most = int(self.weight * SHIFT * edge + 0.5)
        drawn = draws.uniform(f"{self.name}/{name}", ())
        shift = tf.cast(tf.floor(drawn * (2 * most + 1)), tf.int32) - most
        return tf.one_hot(tf.range(edge) - shift[:, None], edge)

    def _covered(self, edge, name, draws):
        """Which rows a square covers whose centre is anywhere in the image: bool [N, edge]."""
        size = int(self.weight * CUTOUT * edge + 0.5)
        places = edge + 1 - size % 2
        centre = tf.cast(tf.floor(draws.uniform(f"{self.name}/{name}", ()) * places), tf.int32)[:, None]
        distance = tf.range(edge) - (centre - size // 2)
        return (distance >= 0) & (distance < size)
