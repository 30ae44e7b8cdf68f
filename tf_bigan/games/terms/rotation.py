"""Rotation as a self-supervised task (Gidaris et al. 2018; Chen et al. 2019, "Self-supervised GANs")."""

import math

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.games import objectives
from tf_bigan.games.inspection import penultimate, shape_of
from tf_bigan.games.records import CONDITIONS
from tf_bigan.games.terms.term import Term, rows
from tf_bigan.networks.linear_head import LinearHead

TURNS = 4  # by 0, 90, 180 and 270 degrees
OF_SAMPLES = 0.2  # weight of the samples' loss, which trains G, relative to that of D (Chen et al. 2019, section 4)


class _Rotation(Term):
    """A linear classifier of a network's features tells by which multiple of 90 degrees an image is turned.

    A quarter of the batch is turned by each of the four angles, so that the network takes as many images as in the
    game, in a call of its own. The classifier is a network and a player of its own.

    Args:
      weight: factor of the cross-entropy in the loss of the network's player.
      head: the classifier, float [N, features] -> float32 [N, 4].
    """

    judged = "encoder"  # the role of the network whose features are classified

    def __init__(self, weight, head):
        super().__init__(weight)
        self.head = f"{self.judged}_rotation"
        self.networks = {self.head: head}
        self.players = {self.head: (self.head,)}

    @classmethod
    def check_roles(cls, networks, name):
        super().check_roles(networks, name)
        shape = shape_of(networks[cls.judged], "inputs")
        if len(shape) != 3 or shape[0] != shape[1]:
            raise InputError(f"{cls.name} needs square images, found examples of shape {list(shape)}")

    @classmethod
    def of(cls, experiment, weight, dtype, networks):
        network = networks[cls.judged]
        features = math.prod(network.get_layer(penultimate(network)).output.shape[1:])
        return cls(weight, LinearHead(features, TURNS, dtype=dtype, name=f"{cls.judged}_rotation"))

    def _error(self, game, images, batch, draws):
        """The mean cross-entropy of the classifier over turned images, made from float [N, edge, edge, channels]."""
        turned, turns = turn(images)
        given = [turned]
        if self.judged == "discriminator" and game.sees_codes:
            # The prior's mean in place of a code, so that D tells the angle from the image alone.
            given.append(tf.zeros((tf.shape(turned)[0], game.prior.latent_dim)))
        conditions = {name: _repeated(batch[name]) for name in CONDITIONS if batch.get(name) is not None}
        features = game.run_to_features(self.judged, given, conditions, draws)
        logits = game.networks[self.head](rows(features), training=True)
        return tf.reduce_mean(objectives.label_errors(logits, turns))


class RotationOfEncoder(_Rotation):
    """E's features tell the angle of turned examples."""

    name = "rotation_encoder"
    needs = ("x",)
    roles = reads = ("encoder",)
    judged = "encoder"

    def losses(self, game, tensors, batch, draws):
        error = self._error(game, tensors["x"], batch, draws)
        return {(self.head,): error, ("encoder",): self.weight * error}


class RotationOfDiscriminator(_Rotation):
    """D's features tell the angle of turned examples, and G makes samples whose angle D's features tell."""

    name = "rotation_discriminator"
    needs = ("reduced", "samples")
    roles = ("discriminator", "generator")
    reads = ("discriminator",)
    through_discriminator = True
    judged = "discriminator"

    def losses(self, game, tensors, batch, draws):
        error = self._error(game, tensors["reduced"], batch, draws)
        of_samples = self._error(game, tensors["samples"], batch, draws)
        return {
            (self.head,): error,
            ("discriminator",): self.weight * error,
            ("generator",): OF_SAMPLES * self.weight * of_samples,
        }


def turn(images):
    """Images turned counterclockwise by 0, 90, 180 and 270 degrees.

    Args:
      images: float [N, edge, edge, channels], of which the first ceil(N / 4) are turned.

    Returns:
      float [N, edge, edge, channels], and int32 [N], how many times each was turned by 90 degrees: 0, 1, 2, 3, 0, ...
    """
    count = tf.shape(images)[0]
    some = images[: _quarter(count)]
    each = tf.stack([tf.image.rot90(some, k) for k in range(TURNS)], axis=1)
    turned = tf.reshape(each, (-1, *images.shape[1:]))[:count]
    return tf.ensure_shape(turned, images.shape), tf.range(count) % TURNS


def _repeated(values):
    """Labels or attributes of the images that `turn` returns, from those of its argument."""
    count = tf.shape(values)[0]
    return tf.repeat(values[: _quarter(count)], TURNS, axis=0)[:count]


def _quarter(count):
    return -(-count // TURNS)
