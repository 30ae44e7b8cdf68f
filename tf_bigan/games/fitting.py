"""Training through Keras: `compile`, `fit`, and the conversion of batches to records."""

import keras
import tensorflow as tf

from tf_bigan.errors import InputError, whole_number
from tf_bigan.games.averages import Averaging
from tf_bigan.games.inspection import fits
from tf_bigan.games.optimizer import Adam
from tf_bigan.games.records import CONDITIONS, as_dataset, checked_condition, labelled_part, record_of
from tf_bigan.games.statistics import estimate_statistics, estimated_norms, follow_statistics, tracked_norms

# Under these strategies Keras runs single steps without XLA, whatever the number of replicas.
MIRRORED = tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy

# The arguments of `compile` that are saved with a game.
_COMPILED = ("optimizer", "steps_per_execution", "jit_compile", "run_eagerly")


class Fitting(Averaging):
    """A system with `compile` and `fit`; `Game` adds the training step."""

    def compile(self, optimizer=None, *, steps_per_execution=1, jit_compile=False, **kwargs):
        """Prepares for `fit` and `evaluate`.

        Args:
          optimizer: one Keras optimizer for all players; None = the papers' Adam with L2. For float16 networks it is
            wrapped in a `LossScaleOptimizer`.
          steps_per_execution: training steps per call of the compiled function; always 1 under mirrored strategies
            and with several replicas.
          jit_compile: compile the whole step with XLA (one device only).
          **kwargs: as for `keras.Model.compile`, without losses and metrics, which the game defines itself.

        Raises:
          InputError: an optimizer that accumulates gradients, with several replicas, or that averages weights; or a
            layer that became trainable after a game with averages was made.
        """
        self.check_averages()
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 or isinstance(self.distribute_strategy, MIRRORED):
            # keras#19246 and keras#18145: neither works in fit under MirroredStrategy.
            steps_per_execution, jit_compile = 1, False
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer) if optimizer is not None else Adam()
            if tf.distribute.has_strategy() and not optimizer.built:
                # An optimizer made outside of the strategy's scope has variables that cannot be used within it.
                optimizer = type(optimizer).from_config(optimizer.get_config())
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if inner.use_ema:
                # At the end of fit, Keras assigns the averages in the order of the model's trainable_variables. The
                # optimizer's own order is that of the players.
                raise InputError(
                    "use_ema is not supported: Keras would assign the averages to other weights; make the game with "
                    f"average_decay={inner.ema_momentum:g} instead"
                )
            accumulates = inner.gradient_accumulation_steps or 1
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

    def compile_from_config(self, config):
        """Compiles a loaded game as the saved one was; Keras calls it."""
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**{name: config[name] for name in _COMPILED if name in config})

    def fit(self, x=None, y=None, batch_size=None, epochs=1, *, statistics_steps=100, **kwargs):
        """Trains, then estimates the inference statistics of the batch norms.

        If the game averages its weights, `features`, `encode` and `generate` use the averages afterwards, as the
        networks then have these. Another call of `fit` goes on from the weights as they are trained.

        Args:
          x: examples in the model's domain, for example images float32 [N, H, W, C] in [0, 1]. Either an array, or a
            dictionary of arrays {"x": ..., "label": ..., "attributes": ...}, or batches from a `tf.data.Dataset`, a
            generator or a `keras.utils.PyDataset`. Each batch is examples, (examples, labels) or such a dictionary.
            With several replicas, batches of a dataset that the replicas cannot share equally are left out.
          y: int [N] labels, if x is an array; -1 = no label. Booleans and floats with whole values are accepted, too.
          batch_size: examples per step over all replicas, if x is an array; None = 32.
          epochs: passes over x.
          statistics_steps: number of batches to estimate the statistics from; 0 = do not estimate them, and leave the
            weights in the networks as they are trained. If x is a generator, the statistics are not estimated, because
            its batches are used up.
          **kwargs: as for `keras.Model.fit`. `validation_data` is checked like x.

        Returns:
          A `keras.callbacks.History`.

        Raises:
          InputError: x is none of these or empty, y is given with anything but an array, examples have the wrong shape
            or range, an array has fewer examples than a batch, the replicas cannot share batches equally, or labels or
            attributes are missing, invalid or of the wrong shape. If x comes in batches, only the first is checked.
        """
        if "validation_split" in kwargs:
            raise InputError("validation_split is not supported; give validation_data")
        batch_size = 32 if batch_size is None else whole_number(batch_size, "batch_size", 1)
        statistics_steps = whole_number(statistics_steps, "statistics_steps", 0)
        x, first = as_dataset(x, y, batch_size, kwargs.pop("shuffle", True), self.seed)
        if first is not None:
            self.check_record(first)
        self._check_validation(kwargs.get("validation_data"))
        if isinstance(x, tf.data.Dataset):
            x = self._as_records(x)
        again = isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset | keras.utils.PyDataset)
        if not isinstance(x, keras.utils.PyDataset):
            kwargs["shuffle"] = False  # batches keep their own order; Keras warns of any other value
        history = super().fit(x, epochs=epochs, **kwargs)
        if statistics_steps:
            self.use_averages()
        if statistics_steps and again:
            batches = (x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x
            self.estimate_statistics(batches, statistics_steps)
        return history

    @tf.autograph.experimental.do_not_convert
    def _as_records(self, batches):
        """A dataset of records from one of batches, without those that the replicas cannot share equally."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        size = record_of(batches.element_spec)["x"].shape[0]
        if size is None and replicas > 1:
            # Keras may split a smaller last batch so that a replica gets no examples. Its loss would be NaN.
            batches = batches.filter(lambda *batch: tf.shape(_examples(batch))[0] % replicas == 0)
        elif size is not None and size % replicas:
            raise InputError(f"batches of {size} examples cannot be shared equally by {replicas} replicas")
        # Records are made in the input pipeline, in parallel with the steps.
        return batches.map(lambda *batch: self.record(batch[0] if len(batch) == 1 else batch), tf.data.AUTOTUNE)

    def make_train_function(self, force=False):
        """As in Keras, which calls it before every training; the weights are then those to be trained further."""
        self.use_averages(False)
        return super().make_train_function(force)

    def evaluate(self, x=None, y=None, batch_size=None, **kwargs):
        """The players' losses, as for `keras.Model.evaluate`. Data is as for `fit`, and is checked in the same way."""
        # `fit` has checked its validation data, which it gives in this form.
        if not kwargs.get("_use_cached_eval_dataset"):
            self._check_validation(x if y is None else (x, y), "the data to evaluate")
        return super().evaluate(x, y, batch_size, **kwargs)

    def _check_validation(self, data, called="validation_data"):
        """Raises InputError unless data can be used. A generator is not checked, as that uses it up."""
        if data is None or hasattr(data, "__next__"):
            return
        x, y = data[:2] if isinstance(data, tuple | list) and len(data) > 1 else (data, None)
        try:
            _, first = as_dataset(x, y, 1, False, self.seed)
            if first is not None:
                self.check_record(first)
        except InputError as error:
            raise InputError(f"{called}: {error}") from error

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing, because the networks and the optimizer are built already.

        Keras' method averages a batch over replicas, which is impossible for a record distributed over workers.
        """

    # -- batches as records

    def record(self, batch) -> dict:
        """The record of a batch in any form that `fit` takes. It has "reduced" images if E takes larger ones than D."""
        record = record_of(batch)
        if hasattr(record["x"], "dtype"):
            self._check_form(record["x"])
        for kind in ("", "labelled_"):
            if self.encoder_is_larger and f"{kind}x" in record and f"{kind}reduced" not in record:
                record[f"{kind}reduced"] = self.reduced(record[f"{kind}x"])
        return record

    def check_record(self, record):
        """Raises InputError unless a record of arrays has everything that training needs, in the right shapes."""
        self.domain.check(record["x"])
        learned = ("label",) if self.class_count else ()
        for name in dict.fromkeys((*self.needs, *learned, *self.conditions)):
            if record.get(name) is None:
                raise InputError(
                    f"{self.name} needs {name if name == 'attributes' else 'labels'}, and the data has none; "
                    "give fit(x, labels), or batches that are dictionaries"
                )
        for name in CONDITIONS:
            if record.get(name) is not None:
                self._check_condition(name, record[name], len(record["x"]))
        second = labelled_part(record) if self.class_count else {}
        if not second:
            return
        if "x" not in second:
            raise InputError(f"a batch with labelled_{min(second)} needs labelled_x, the examples that these are of")
        try:
            self.check_record(second)
        except InputError as error:
            raise InputError(f"{', '.join(f'labelled_{name}' for name in second)}: {error}") from error

    def _check_condition(self, name, values, count):
        """Raises InputError unless `values` are labels or attributes of `count` examples, in the networks' shape."""
        called = "labels" if name == "label" else name
        taken = [(network.name, self.condition_inputs(network).get(name)) for network in self.networks.values()]
        shapes = [(network, tuple(tensor.shape[1:])) for network, tensor in taken if tensor is not None]
        shape = shapes[0][1] if shapes else None
        checked = checked_condition(name, values, shape, needed=name in self.needs or bool(shapes))
        if name == "label" and self.class_count and checked.max(initial=0) >= self.class_count:
            raise InputError(f"D has an output for each of {self.class_count} classes, found the label {checked.max()}")
        found = checked.shape
        if not found or found[0] != count:
            raise InputError(f"{count} examples came with {called} of shape {list(found)}")
        for network, wanted in shapes:
            if not fits(found[1:], wanted):
                raise InputError(
                    f"the {network} takes {name} of shape {list(wanted)} per example, got {list(found[1:])}"
                )
        if not shapes and len(found) != (1 if name == "label" else 2):
            wanted = "[N]" if name == "label" else "[N, k]"
            raise InputError(f"{called} must have shape {wanted}, got {list(found)}")

    # -- inference statistics

    @property
    def estimates_statistics(self) -> bool:
        """Whether a network has batch norms whose inference statistics `estimate_statistics` changes."""
        return self._estimates(self._with_own_statistics())

    def _estimates(self, networks):
        # The running averages of statistics in training are not those of averages of weights.
        return bool(estimated_norms(networks) or self.averages_in_use and tracked_norms(networks))

    def _with_own_statistics(self):
        return [network for role, network in self.networks.items() if role not in self.frozen]

    def follow_statistics(self, dataset, steps):
        """Updates the running averages of batch norms on `steps` training-mode batches, without training.

        Args:
          dataset: batches as for `fit`.
          steps: number of batches; fewer if the dataset ends.
        """
        follow_statistics(self, dataset, steps)

    def estimate_statistics(self, dataset, steps=1000, networks=None):
        """Re-estimates the batch norms' inference statistics from training-mode batches.

        Batch norms that keep running averages of their statistics are left as they are, unless averages of weights are
        in use: then they follow the batches, as in training, from the statistics that they have.

        Args:
          dataset: batches as for `fit`; a `tf.data.Dataset`, distributed or not, or any iterable.
          steps: number of batches to average over (the papers' code: 1000); fewer if the dataset ends.
          networks: the networks of the game whose batch norms are re-estimated; None = all that are not frozen.

        Returns:
          The number of batches; 0 if there is no batch norm to estimate.
        """
        networks = list(networks or self._with_own_statistics())
        if not self._estimates(networks):
            return 0
        return estimate_statistics(self, dataset, steps, networks, follow=self.averages_in_use)


def _examples(batch):
    return record_of(batch[0] if len(batch) == 1 else batch)["x"]
