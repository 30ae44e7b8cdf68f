"""Labels of some examples, which D learns beside the game (Salimans et al. 2016, section 5; Dumoulin et al. 2017)."""

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.games import objectives
from tf_bigan.games.inspection import EMBEDDING, asked_inputs
from tf_bigan.games.records import labelled_part
from tf_bigan.games.terms.term import Term


class Labels(Term):
    """D minimises the cross-entropy of the labels of labelled pairs (x, E(x)), or of labelled x where D sees no codes.

    D has an output l_k for each of K classes. The game's losses take Z = log(sum of exp(l_k)) as D's logit, so that a
    class of generated pairs with a logit of 0 is implied. For a pair with the label y, the term adds Z - l_y.

    The labelled pairs are made from the record's "labelled_x" and "labelled_label", a batch of its own of labelled
    examples; without them from "x" and those of its labels that are not -1. E runs on them in training mode. Their
    codes are constants in the loss: it trains D alone. So a D that takes an embedding, which its opponents train, is
    refused.

    Args:
      weight: factor of the cross-entropy; the papers' is 1.
    """

    name = "labels"
    roles = ("discriminator",)

    @classmethod
    def check_roles(cls, networks, name):
        super().check_roles(networks, name)
        if EMBEDDING in asked_inputs(networks["discriminator"]):
            raise InputError(f"label_weight does not go with {name}, whose D is told the attributes")
        check_classes(networks, cls.name)

    def losses(self, game, tensors, batch, draws):
        return {self.roles: self.weight * classified(game, batch, draws, tf.stop_gradient)["cross_entropy"]}


def check_classes(networks, name):
    """Raises InputError, which says that `name` needs it, unless D has an output for each of several classes."""
    outputs = networks["discriminator"].outputs[0].shape
    if len(outputs) != 2 or outputs[-1] < 2:
        raise InputError(f"{name} needs a D with an output for each class, found outputs of shape {tuple(outputs)}")


def classified(game, batch, draws, of_codes=tf.identity):
    """The mean cross-entropy of D's classes over the labelled pairs of a record.

    Args:
      game: a `Game` whose D has an output for each class.
      batch: a record, as `Labels` describes it.
      draws: the step's `Draws`.
      of_codes: function that is applied to the codes before D takes them.

    Returns:
      {"cross_entropy": float32 scalar}, and, if D sees codes, E's "outputs" for these examples, float [N, units].
    """
    batch = labelled_part(batch) or batch
    pair = [batch.get("reduced", batch["x"])]
    found = {}
    if game.sees_codes:
        inferred = game.infer(batch["x"], batch, draws)
        found["outputs"] = inferred["outputs"]
        pair.append(of_codes(inferred["codes"]))
    labels = batch["label"]
    errors = objectives.label_errors(game.run("discriminator", pair, batch, draws), labels)
    return {**found, "cross_entropy": _mean_of_known(errors, tf.cast(labels >= 0, tf.float32))}


def _mean_of_known(errors, known):
    """The mean over the examples with a label, over all replicas: each returns its share, times their number."""
    count = tf.reduce_sum(known)
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas > 1:
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, count) / replicas
    return tf.math.divide_no_nan(tf.reduce_sum(errors), count)
