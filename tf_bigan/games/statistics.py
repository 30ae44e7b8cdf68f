"""Inference statistics of batch norms, estimated after training (the "deploy" pass of Donahue et al.'s code)."""

import contextlib
import itertools

import tensorflow as tf

from tf_bigan.draws import STATISTICS, Draws
from tf_bigan.games.compiled import traced_once
from tf_bigan.games.records import record_of
from tf_bigan.networks.layers import BatchNorm, tracking_statistics


def estimated_norms(networks) -> list[BatchNorm]:
    """The batch norms of networks whose statistics are estimated, not kept as running averages."""
    layers = (layer for network in networks for layer in network._flatten_layers())
    return [layer for layer in layers if isinstance(layer, BatchNorm) and layer.estimated]


def estimate_statistics(game, dataset, steps, networks):
    """Averages batch statistics over `steps` batches; see `Game.estimate_statistics`.

    Args:
      game: whose `run_for_statistics` shows its networks what their statistics are to describe, as those of its terms
        show theirs.
      dataset: batches as for `Game.fit`.
      steps: how many to take, at most.
      networks: those whose norms are meant. Norms that keep running averages are left as they are.
    """
    norms = estimated_norms(networks)
    for norm in norms:
        norm.reset_statistics()
    with contextlib.ExitStack() as stack:
        for norm in norms:
            stack.enter_context(_estimating(norm))
        _run_on_batches(game, dataset, steps)


def follow_statistics(game, dataset, steps):
    """Lets running averages follow `steps` batches; see `Game.follow_statistics`."""
    _run_on_batches(game, dataset, steps, tracking_statistics)


def _run_on_batches(game, dataset, steps, context=contextlib.nullcontext):
    """Shows a game's networks, and its terms', what their statistics are to describe, within `context` each time."""

    def run(batch, step):
        draws = Draws(game.seed, step, tf.shape(batch["x"])[0], STATISTICS)
        with draws.active(), context():
            tensors = game.run_for_statistics(batch, draws.codes(game.prior), draws)
            for term in game.terms:
                with draws.scope(term.name):
                    term.run_for_statistics(game, tensors, draws)

    compiled = {}
    for step, batch in enumerate(itertools.islice(dataset, steps)):
        inputs = game.record(_whole(batch, game.distribute_strategy)), tf.constant(step, tf.int64)
        size = inputs[0]["x"].shape[0]
        if size not in compiled:  # a function for each size, of which a data set's end may have another
            compiled[size] = traced_once(run, *inputs)
        compiled[size](*inputs)


def _whole(batch, strategy):
    """A record that may be distributed over replicas as one of this process' tensors."""

    def whole(value):
        parts = strategy.experimental_local_results(value)
        return tf.concat(parts, axis=0) if len(parts) > 1 else tf.convert_to_tensor(parts[0])

    return {name: whole(value) for name, value in record_of(batch).items()}


@contextlib.contextmanager
def _estimating(norm):
    norm.estimating = True
    try:
        yield
    finally:
        norm.estimating = False
