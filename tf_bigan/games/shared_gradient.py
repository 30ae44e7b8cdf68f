"""One backward pass through D for both sides of the game.

If D's output for an example does not depend on the other examples, the gradient of its opponents' loss at D's inputs is
the gradient of D's own loss times one number for each example. This number is the ratio of the derivatives of the two
losses with respect to the example's logit. So the gradient of D's loss is rescaled at D's inputs and then goes on into
E and G. Two backward passes give the same result to 2e-6. Where a logit's absolute value exceeds 80, the gradient of
D's loss is 0 in float32, and so is the gradient that E and G get; there the ratio is clipped to stay finite.
"""

import tensorflow as tf


class SharedGradient:
    """Rescales gradients at D's inputs by `ratio`, which is set before the backward pass.

    `ratio` is float32 [N, 1]: the derivative of the opponents' loss with respect to each logit over that of D's loss.
    """

    def __init__(self):
        self.ratio = None

    def __call__(self, inputs: list) -> list:
        """Returns float tensors [N, ...] unchanged; their gradients are multiplied by `ratio`."""

        @tf.custom_gradient
        def identity(*inputs):
            def gradient(*gradients):
                return [self._times_ratio(gradient) for gradient in gradients]

            return [tf.identity(each) for each in inputs], gradient

        return list(identity(*inputs))

    def _times_ratio(self, gradient):
        ratio = tf.reshape(self.ratio, [-1] + [1] * (gradient.shape.rank - 1))
        return tf.cast(tf.cast(gradient, tf.float32) * ratio, gradient.dtype)
