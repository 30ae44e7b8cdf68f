"""PointData: points with labels. They are always in memory."""

import numpy as np
import tensorflow as tf

from tf_bigan.data.base import Data, pipeline
from tf_bigan.data.order import Order
from tf_bigan.errors import InputError
from tf_bigan.preparation import Preparation

_STEPS_AT_ONCE = 16  # steps per call of Python: for small batches of points, a call each would dominate the cost


class PointData(Data):
    """A split of labelled points. Made by `open_data`; see `Data`."""

    _unusable = "coordinates that are NaN or infinite"

    def __init__(self, name, source):
        super().__init__(name, source, source.stored_shape)
        self.preparation = Preparation(dimensions=self.example_shape[0])
        self._columns = source.columns()

    def fits_memory(self) -> bool:
        """True: points always fit into memory."""
        return True

    def check_changes(self, crop, flip):
        """Raises InputError for a random crop or a flip, as both are for images."""
        for option, asked in (("crop", crop != "centre"), ("flip", flip)):
            if asked:
                raise InputError(f"{self.name} has points; --{option} is for images")

    @tf.autograph.experimental.do_not_convert
    def training_batches(self, batch_size, seed, first_step=0, crop="centre", flip=False):
        """See `Data.training_batches`."""
        self.check_changes(crop, flip)
        self.check_batch(batch_size)
        self.load()
        order = Order(self.count, batch_size, seed)

        def batches(step):
            indices = tf.numpy_function(
                lambda step: order.batch(step, _STEPS_AT_ONCE), [step], tf.int64, stateful=False
            )
            indices = tf.reshape(indices, (_STEPS_AT_ONCE, batch_size))
            return self._hiding(self.read_records(indices), indices)

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max, _STEPS_AT_ONCE)
        of_steps = steps.map(batches).unbatch()
        return pipeline(self._beside_labelled(of_steps, batch_size, seed, first_step, crop, flip))

    def _training_records(self, indices, seed, step, crop, flip):
        return self.read_records(indices)

    def read_records(self, indices, places=None):
        """See `Data.read_records`."""
        if places is not None:
            raise InputError(f"{self.name} has points, which have no places to crop at")
        if self._memory is None:
            with tf.init_scope():  # the tensors must not belong to the graph of the pipeline that reads first
                self.check()
        return {name: tf.gather(column, indices) for name, column in self._memory.items()}

    def _try_all(self, load):
        numbers = self._numbers_of(np.arange(self.count))
        finite = np.isfinite(self._columns["x"][numbers]).all(axis=1)
        if not load:
            return numbers[~finite], None
        with tf.device("CPU"):  # pipelines make batches on the CPU
            memory = {name: tf.constant(column[numbers[finite]]) for name, column in self._columns.items()}
        return numbers[~finite], memory
