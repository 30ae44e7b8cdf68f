"""What Keras is told before training and given for it: `compile`, `fit`, and the batches that become records."""

import keras
import tensorflow as tf

from tf_bigan.domains import whole_number
from tf_bigan.errors import InputError
from tf_bigan.games.inspection import asked_inputs, fits
from tf_bigan.games.optimizer import Adam
from tf_bigan.games.records import CONDITIONS, as_dataset, checked_condition, record_of
from tf_bigan.games.statistics import estimate_statistics, estimated_norms, follow_statistics
from tf_bigan.games.system import System

# Under these, whatever their number of replicas, Keras runs single steps without XLA.
MIRRORED = tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy


class Fitting(System):
    """A system that `fit` takes through its training steps; `Game` adds the step itself."""

    def compile(self, optimizer=None, *, steps_per_execution=1, jit_compile=False, **kwargs):
        """Prepares for `fit` and `evaluate`.

        Args:
          optimizer: one Keras optimizer for all players; None = the papers' Adam with L2. float16 networks
            get it wrapped in a loss scale.
          steps_per_execution: training steps per call of the compiled function; 1 under mirrored strategies and
            with several replicas.
          jit_compile: compile the whole step with XLA (one device only).
          **kwargs: as for `keras.Model.compile`, without losses and metrics, which are the game's own.

        Raises:
          InputError: an optimizer that accumulates gradients, with several replicas.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 or isinstance(self.distribute_strategy, MIRRORED):
            # keras#19246 and keras#18145: neither works in fit under MirroredStrategy.
            steps_per_execution, jit_compile = 1, False
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer) if optimizer is not None else Adam()
            if tf.distribute.has_strategy() and not optimizer.built:
                # One that was made outside of the strategy's scope has variables that cannot be used within.
                optimizer = type(optimizer).from_config(optimizer.get_config())
            accumulates = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps or 1
            if replicas > 1 and accumulates > 1:
                raise InputError(
                    "gradient_accumulation_steps does not work with several replicas (keras#20582); "
                    "use a larger batch or one replica"
                )
            half = any(
                layer.compute_dtype == "float16"
                for network in self.networks.values()
                for layer in network._flatten_layers(include_self=False)
            )
            if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            super().compile(
                optimizer=optimizer,
                steps_per_execution=steps_per_execution,
                jit_compile=jit_compile,
                auto_scale_loss=False,
                **kwargs,
            )
            # keras#20164: with a custom train_step the optimizer must be built before fit.
            self.optimizer.build([v for player in self.players for v in self.player_variables(player)])

    def fit(self, x=None, y=None, batch_size=None, epochs=1, *, statistics_steps=100, **kwargs):
        """Trains, then estimates the inference statistics of the batch norms.

        Args:
          x: examples in the model's domain, as images float32 [N, H, W, C] in [0, 1]: an array, a dictionary of arrays
            as {"x": ..., "label": ..., "attributes": ...}, or batches of examples, of (examples, labels) or of such
            dictionaries, as a `tf.data.Dataset`, a generator or a `keras.utils.PyDataset`. With several replicas, a
            dataset's batches that they cannot share equally are left out.
          y: int [N] labels, if x is an array; -1 = none. Truth values and floats that are whole are labels, too.
          batch_size: examples a step, over all replicas, if x is an array; None = 32.
          epochs: passes over x.
          statistics_steps: batches to estimate the statistics from; 0 = leave them as they are. A generator's are not
            estimated, as what it gave is gone.
          **kwargs: as for `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History`.

        Raises:
          InputError: x is none of these or empty, labels come with anything but an array, examples have the wrong
            shape or range, an array has fewer of them than a batch, batches do not divide by the replicas, or labels
            or attributes are missing, do not fit or are none. Of batches only the first is looked at.
        """
        if "validation_split" in kwargs:
            raise InputError("validation_split is not supported; give validation_data")
        replicas = self.distribute_strategy.num_replicas_in_sync
        batch_size = 32 if batch_size is None else whole_number(batch_size, "batch_size", 1)
        statistics_steps = whole_number(statistics_steps, "statistics_steps", 0)
        x, first = as_dataset(x, y, batch_size, kwargs.pop("shuffle", True), self.seed)
        if first is not None:
            self.check_record(first)
        if isinstance(x, tf.data.Dataset):
            size = record_of(x.element_spec)["x"].shape[0]
            if size is None and replicas > 1:
                # Keras splits a remainder so that a replica can get no examples, and its loss is NaN.
                x = x.filter(lambda *batch: tf.shape(_examples(batch))[0] % replicas == 0)
            elif size is not None and size % replicas:
                raise InputError(f"batches of {size} examples cannot be shared equally by {replicas} replicas")
            # In the input pipeline, beside the steps.
            x = x.map(lambda *batch: self.record(batch[0] if len(batch) == 1 else batch), tf.data.AUTOTUNE)
        again = isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset | keras.utils.PyDataset)
        if not isinstance(x, keras.utils.PyDataset):
            kwargs["shuffle"] = False  # what comes in batches is in its own order; Keras warns of anything else
        history = super().fit(x, epochs=epochs, **kwargs)
        if statistics_steps and again:
            batches = (x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x
            self.estimate_statistics(batches, statistics_steps)
        return history

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: all is built. Keras' own averages a batch over replicas, which a record over workers cannot be."""

    # -- batches as records

    def record(self, batch) -> dict:
        """A batch in any form that `fit` takes as a record, with "reduced" images where E takes larger ones than D."""
        record = record_of(batch)
        if self.encoder_is_larger and "reduced" not in record:
            record["reduced"] = self.reduced(record["x"])
        return record

    def check_record(self, record):
        """Raises InputError unless a record of arrays has all that training needs, in the right shapes."""
        self.domain.check(record["x"])
        for name in dict.fromkeys((*self.needs, *self.conditions)):
            if record.get(name) is None:
                raise InputError(
                    f"{self.name} needs {name if name == 'attributes' else 'labels'}, and the data has none; "
                    "give fit(x, labels), or batches that are dictionaries"
                )
        for name in CONDITIONS:
            if record.get(name) is not None:
                self._check_condition(name, record[name], len(record["x"]))

    def _check_condition(self, name, values, count):
        """Raises InputError unless `values` are a label or attributes of `count` examples, as networks take them."""
        called = "labels" if name == "label" else name
        taken = [(network.name, asked_inputs(network).get(name)) for network in self.networks.values()]
        shapes = [(network, tuple(tensor.shape[1:])) for network, tensor in taken if tensor is not None]
        shape = shapes[0][1] if shapes else None
        found = checked_condition(name, values, shape, needed=name in self.needs or bool(shapes)).shape
        if not found or found[0] != count:
            raise InputError(f"{count} examples came with {called} of shape {list(found)}")
        for network, wanted in shapes:
            if not fits(found[1:], wanted):
                raise InputError(
                    f"the {network} takes {name} of shape {list(wanted)} an example, got {list(found[1:])}"
                )
        if not shapes and len(found) != (1 if name == "label" else 2):
            wanted = "[N]" if name == "label" else "[N, k]"
            raise InputError(f"{called} must have shape {wanted}, got {list(found)}")

    # -- inference statistics

    @property
    def estimates_statistics(self) -> bool:
        """Whether a network has batch norms whose inference statistics are estimated after training."""
        return bool(estimated_norms(self.networks.values()))

    def follow_statistics(self, dataset, steps):
        """Lets the running averages of batch norms follow `steps` training-mode batches, without training.

        Args:
          dataset: batches as for `fit`.
          steps: how many; fewer if the dataset ends.
        """
        follow_statistics(self, dataset, steps)

    def estimate_statistics(self, dataset, steps=1000, networks=None):
        """Re-estimates the batch norms' inference statistics from training-mode batches.

        Batch norms that keep running averages are left as they are.

        Args:
          dataset: batches as for `fit`; a `tf.data.Dataset`, distributed or not, or any iterable.
          steps: how many batches to average over (the papers' code: 1000); fewer if the dataset ends.
          networks: those of the game's whose norms are meant; None = all.

        Returns:
          `steps`; 0 where no batch norm is estimated.
        """
        networks = list(networks or self.networks.values())
        if not estimated_norms(networks):
            return 0
        estimate_statistics(self, dataset, steps, networks)
        return steps


def _examples(batch):
    return record_of(batch[0] if len(batch) == 1 else batch)["x"]
