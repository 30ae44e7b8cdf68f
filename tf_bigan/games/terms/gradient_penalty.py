"""Penalties on the gradient of D with respect to its inputs (Mescheder, Geiger and Nowozin, ICML 2018, eq. 9)."""

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.games import objectives
from tf_bigan.games.terms.term import Term


class _GradientPenalty(Term):
    """D minimises gamma / 2 times the squared norm of its logit's gradient, at one kind of pairs.

    The gradient is that with respect to all of D's inputs, examples and codes. These are constants in the penalty, so
    that it trains D alone. In networks of half precision the gradient is computed in that precision and squared in
    float32.

    Args:
      gamma: the strength of the penalty.
      interval: apply the penalty only in every interval-th step, multiplied by the interval.

    Raises:
      InputError: the interval is below 1.
    """

    roles = ("discriminator",)
    kind = "real"  # or "generated"

    def __init__(self, gamma, interval=1):
        super().__init__(gamma)
        if interval < 1:
            raise InputError(f"interval must be at least 1 step, found {interval}")
        self.interval = interval

    @classmethod
    def of(cls, experiment, weight, dtype, networks):
        return cls(weight, experiment.penalty_interval)

    def losses(self, game, tensors, batch, draws):
        inputs = [tf.stop_gradient(each) for each in tensors[f"{self.kind}_inputs"]]
        # The penalty is of D's loss, so an embedding, which E's and G's player trains, must not get its gradient.
        batch = {name: tf.stop_gradient(value) for name, value in game.embedded(batch).items()}

        def penalty():
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                logits = objectives.joint_logit(game.run("discriminator", inputs, batch, draws))
                logits = tf.reduce_sum(tf.cast(logits, tf.float32))
            found = tape.gradient(logits, inputs, unconnected_gradients="zero")
            return 0.5 * self.interval * self.weight * objectives.squared_norm(found)

        if self.interval == 1:
            return {self.roles: penalty()}
        due = tf.equal(draws.step % self.interval, 0)
        return {self.roles: tf.cond(due, penalty, lambda: tf.zeros(()))}


class R1(_GradientPenalty):
    """The penalty at the real pairs (x, E(x))."""

    name = "r1_penalty"
    needs = ("real_inputs",)
    kind = "real"


class R2(_GradientPenalty):
    """The penalty at the generated pairs (G(z), z)."""

    name = "r2_penalty"
    needs = ("generated_inputs",)
    kind = "generated"
