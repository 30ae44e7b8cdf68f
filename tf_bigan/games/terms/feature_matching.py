"""Feature matching (Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.1)."""

import tensorflow as tf

from tf_bigan.games.terms.term import Term, rows


class FeatureMatching(Term):
    """G minimises the squared distance of the mean of D's features of its samples to their mean of real pairs.

    The features are those of D's last hidden layer. The means are over the batches of all replicas. The mean of real
    pairs is a constant, and the term trains G alone.

    Args:
      weight: factor of |mean f(x) - mean f(G(z))|^2, which is summed over the features.
    """

    name = "feature_matching"
    needs = ("real_features", "generated_features")
    roles = ("generator", "discriminator")
    through_discriminator = True

    def losses(self, game, tensors, batch, draws):
        real = tf.stop_gradient(_mean(tensors["real_features"]))
        distance = tf.reduce_sum(tf.square(real - _mean(tensors["generated_features"])))
        return {("generator",): self.weight * distance}


def _mean(features):
    """The mean of float [N, ...] over the batch and over all replicas: float32 [n]."""
    mean = tf.reduce_mean(rows(features), axis=0)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, mean)
    return mean
