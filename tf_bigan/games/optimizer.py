"""Adam as the papers use it."""

import functools

import keras
import tensorflow as tf

from tf_bigan.errors import InputError

_LARGE = 2**14  # elements of a weight from which on an update of its own is worth XLA's compilation


@keras.saving.register_keras_serializable("tf_bigan")
class Adam(keras.optimizers.Adam):
    """Adam with L2 regularisation added to the gradient, through TensorFlow's fused kernel.

    Not AdamW: as in Donahue et al.'s code the gradient of (l2 / 2) ||w||^2 joins the loss gradient before
    the moments are taken. One optimizer serves all players of a game: they step simultaneously, and
    Adam treats every weight on its own.

    Args:
      learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
      beta_1, beta_2: decay rates of the moments.
      epsilon: added to the root of the bias-corrected second moment (Kingma and Ba's algorithm 1).
      l2: coefficient of the weights in the gradient. Gains and biases (rank below 2) are exempt
        (paper, appendix; the released scripts decay biases, with no visible effect).
      one_pass: compile the updates of large weights with XLA. L2 and the conversion of half-precision gradients then
        share the update's one pass over the weight's memory. Rounding differs from the kernel's. It works on a single
        device, in a function that XLA does not compile as a whole.
      **kwargs: as for `keras.optimizers.Adam`, without amsgrad. Clipping by a global norm takes the norm over the
        gradients of all players together.

    Raises:
      InputError: amsgrad is asked for, which the kernel lacks.
    """

    def __init__(self, learning_rate=2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8, l2=2.5e-5, one_pass=False, **kwargs):
        if kwargs.get("amsgrad"):
            raise InputError("amsgrad is not supported; keras.optimizers.Adam has it, without l2")
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **kwargs)
        self.l2 = l2
        self.one_pass = one_pass
        # One function for each shape: XLA compiles it once, and TensorFlow warns of a function that is traced for many.
        self._compiled_update = functools.cache(lambda *_: tf.function(self._update, autograph=False, jit_compile=True))

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = tf.convert_to_tensor(gradient)  # an embedding's has another form
        moments = self._momentums[index].value, self._velocities[index].value
        l2 = self.l2 if len(variable.shape) > 1 else 0.0
        rate = tf.cast(learning_rate, tf.float32)
        step = tf.cast(self.iterations + 1, tf.float32)
        powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        # The kernel adds epsilon before the second moment's bias correction, the papers after it.
        epsilon = self.epsilon * tf.sqrt(1.0 - powers[1])
        large = self.one_pass and variable.shape.num_elements() >= _LARGE
        parts = _half_precision_parts(gradient) if large else []
        if large and (l2 or parts):
            rate *= tf.sqrt(1.0 - powers[1]) / (1.0 - powers[0])
            parts = parts or [gradient]
            update = self._compiled_update(tuple(variable.shape), len(parts), parts[0].dtype)
            update(variable, *moments, parts, l2, rate, epsilon)
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=moments[0].handle,
            v=moments[1].handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=epsilon,
            grad=gradient + l2 * variable if l2 else gradient,
        )

    def _update(self, variable, momentum, velocity, parts, l2, rate, epsilon):
        """The kernel's update of one weight, its gradient being the sum of `parts`, in float32, and of L2."""
        gradient = sum(tf.cast(part, tf.float32) for part in parts) + l2 * variable
        first = momentum + (1.0 - self.beta_1) * (gradient - momentum)
        second = velocity + (1.0 - self.beta_2) * (gradient * gradient - velocity)
        variable.assign_sub(rate * first / (tf.sqrt(second) + epsilon))
        momentum.assign(first)
        velocity.assign(second)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2, "one_pass": self.one_pass}


def _half_precision_parts(gradient):
    """The half-precision tensors of a graph that `gradient`, float32, is the sum of; empty if it is not such a sum.

    With a mixed policy every use of a weight gives a gradient in half precision, which a `Cast` and an `AddN` turn into
    that of the weight.
    """
    if tf.executing_eagerly():
        return []
    if gradient.op.type == "IdentityN":  # which gathers all gradients before the first update
        gradient = gradient.op.inputs[gradient.value_index]
    summed = list(gradient.op.inputs) if gradient.op.type == "AddN" else [gradient]
    if any(part.op.type != "Cast" or part.op.inputs[0].dtype.size != 2 for part in summed):
        return []
    return [part.op.inputs[0] for part in summed]


@keras.saving.register_keras_serializable("tf_bigan")
class ConstantThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Constant for n epochs, then exponential decay to a final fraction over m epochs.

    The rate changes once per epoch: alpha in epochs 0 ... n-1, then alpha * final^((e - n + 1) / m), so that
    the last epoch runs at exactly alpha * final (Donahue et al.'s code; n = m = 200 and 1 % on MNIST).

    Args:
      learning_rate: alpha.
      steps_per_epoch: optimizer steps in an epoch.
      constant_epochs, decay_epochs: n and m.
      final: the last epoch's rate as a fraction of alpha.
    """

    def __init__(self, learning_rate, steps_per_epoch, constant_epochs, decay_epochs, final=0.01):
        self.learning_rate = learning_rate
        self.steps_per_epoch = steps_per_epoch
        self.constant_epochs = constant_epochs
        self.decay_epochs = decay_epochs
        self.final = final

    def __call__(self, step):
        epoch = tf.cast(tf.cast(step, tf.int64) // self.steps_per_epoch, tf.float32)
        decayed = tf.clip_by_value(epoch - self.constant_epochs + 1.0, 0.0, float(self.decay_epochs))
        return self.learning_rate * tf.pow(self.final, decayed / max(self.decay_epochs, 1))

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "steps_per_epoch": self.steps_per_epoch,
            "constant_epochs": self.constant_epochs,
            "decay_epochs": self.decay_epochs,
            "final": self.final,
        }
