"""One backward pass through D for both sides of the game.

Where D treats examples apart, its opponents' gradient at its inputs is D's own times a number for each example: the
ratio of the two losses' derivatives by its logit. So D's backward pass, rescaled where it leaves D, goes on into E
and G. Two backward passes give the same to 2e-6. Where logits exceed 80 in size, D's own gradient is 0 in float32, and
so is what E and G get; the ratio is clipped there and stays finite.
"""

import tensorflow as tf


class SharedGradient:
    """The rescaling at D's inputs. `ratio`, once known, is float32 [N, 1]: opponents' loss by D's, at each logit."""

    def __init__(self):
        self.ratio = None

    def __call__(self, inputs: list) -> list:
        """Float tensors [N, ...] as they are; their gradients come out multiplied by `ratio`."""

        @tf.custom_gradient
        def identity(*inputs):
            def gradient(*gradients):
                return [self._times_ratio(gradient) for gradient in gradients]

            return [tf.identity(each) for each in inputs], gradient

        return list(identity(*inputs))

    def _times_ratio(self, gradient):
        ratio = tf.reshape(self.ratio, [-1] + [1] * (gradient.shape.rank - 1))
        return tf.cast(tf.cast(gradient, tf.float32) * ratio, gradient.dtype)
