"""Inference statistics of batch norms, estimated after training (the "deploy" pass of Donahue et al.'s code)."""

import contextlib
import itertools

import tensorflow as tf

from tf_bigan.draws import STATISTICS, Draws
from tf_bigan.games.compiled import traced_once
from tf_bigan.games.records import record_of
from tf_bigan.networks.layers import BatchNorm, tracking_statistics


def estimated_norms(networks) -> list[BatchNorm]:
    """The batch norms of `networks` whose statistics are estimated after training, not kept as running averages."""
    return [norm for norm in _norms(networks) if norm.estimated]


def tracked_norms(networks) -> list[BatchNorm]:
    """The batch norms of `networks` whose statistics are running averages."""
    return [norm for norm in _norms(networks) if not norm.estimated]


def _norms(networks):
    layers = (layer for network in networks for layer in network._flatten_layers())
    return [layer for layer in layers if isinstance(layer, BatchNorm)]


def estimate_statistics(game, dataset, steps, networks, follow=False):
    """Averages batch statistics over `steps` batches; see `Game.estimate_statistics`.

    Args:
      game: its `run_for_statistics` runs its networks on the data that their statistics are to describe, and its terms'
        `run_for_statistics` run theirs.
      dataset: batches as for `Game.fit`.
      steps: number of batches, at most.
      networks: the networks whose batch norms are estimated.
      follow: whether running averages, of all networks, follow the batches; otherwise they are left as they are.

    Returns:
      The number of batches.
    """
    norms = estimated_norms(networks)
    for norm in norms:
        norm.reset_statistics()
    with contextlib.ExitStack() as stack:
        for norm in norms:
            stack.enter_context(_estimating(norm))
        return _run_on_batches(game, dataset, steps, tracking_statistics if follow else contextlib.nullcontext)


def follow_statistics(game, dataset, steps):
    """Updates running averages on `steps` batches; see `Game.follow_statistics`."""
    _run_on_batches(game, dataset, steps, tracking_statistics)


def _run_on_batches(game, dataset, steps, context=contextlib.nullcontext):
    """Runs a game's and its terms' networks, within `context`, on the data that their statistics are to describe.

    Returns the number of batches.
    """

    def run(batch, step):
        draws = Draws(game.seed, step, tf.shape(batch["x"])[0], STATISTICS)
        with draws.active(), context():
            tensors = game.run_for_statistics(batch, draws.codes(game.prior), draws)
            for term in game.terms:
                with draws.scope(term.name):
                    term.run_for_statistics(game, tensors, draws)

    compiled, step = {}, -1
    for step, batch in enumerate(itertools.islice(dataset, steps)):
        inputs = game.record(_whole(batch, game.distribute_strategy)), tf.constant(step, tf.int64)
        size = inputs[0]["x"].shape[0]
        if size not in compiled:  # a function for each size: a data set's last batch may be smaller
            compiled[size] = traced_once(run, *inputs)
        compiled[size](*inputs)
    return step + 1


def _whole(batch, strategy):
    """The record of a batch, with the parts of this process' replicas put together if it is distributed."""

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
