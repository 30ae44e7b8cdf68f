"""Adam as the papers use it."""

import keras
import tensorflow as tf

from tf_bigan.errors import InputError


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
      **kwargs: as for `keras.optimizers.Adam`, without amsgrad. Clipping by a global norm takes the norm over the
        gradients of all players together.

    Raises:
      InputError: amsgrad is asked for, which the kernel lacks.
    """

    def __init__(self, learning_rate=2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8, l2=2.5e-5, **kwargs):
        if kwargs.get("amsgrad"):
            raise InputError("amsgrad is not supported; keras.optimizers.Adam has it, without l2")
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if self.l2 and len(variable.shape) > 1:
            gradient = gradient + self.l2 * variable
        step = tf.cast(self.iterations + 1, tf.float32)
        beta_2_power = tf.pow(self.beta_2, step)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            # The kernel adds epsilon before the second moment's bias correction, the papers after it.
            epsilon=self.epsilon * tf.sqrt(1.0 - beta_2_power),
            grad=gradient,
        )

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


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
