"""The collapse watch: numbers that show whether a run goes wrong, measured with each picture, and lines of warning.

The numbers are entries of an epoch's record in metrics.jsonl, named "watch/...", and scalars of TensorBoard. They are
measured on the same training examples and the same z each time, so that a change is one of the networks. A number is
null if it could not be measured, and is left out if the system has no such network. What to expect:

sample_distance
    The mean distance between samples G(z), divided by that between examples, in pixels or coordinates. Healthy: it
    rises to 0.7 to 1.2. Below 0.1, G makes nearly the same sample from every z, as untrained networks do.
feature_distance
    The same of the features of samples and of examples: those of `Game.features`, in inference mode. Healthy: 0.6 to
    1.2. A fall while sample_distance stays means samples that differ in noise only. Left out if E takes larger images
    than G makes.
near_duplicates
    The share of samples that have another sample within a tenth of the distance that an example typically (in the
    median) has to the nearest other one. Healthy: below 0.05, of points of the plane below 0.2. Above 0.5, most samples
    have a twin.
real_accuracy, generated_accuracy
    The share of real and of generated pairs that D judges correctly, in training mode. 0.5 each is the equilibrium.
    Healthy: 0.5 to 0.99. If one is near 1 and the other near 0, D gives the same answer to all pairs.
real_saturation, generated_saturation
    The share of pairs that D judges correctly with a probability of 0.99 or more, so that they give its own loss less
    than a hundredth of the largest gradient. Healthy: below 0.5, and falling or steady. At 0.95 of both kinds, D tells
    them apart without error.
effective_rank
    The number of dimensions that the codes E(x) fill: exp(entropy of the normalised eigenvalues of their covariance).
    Healthy: a tenth of the prior's dimensions or more, and not falling. About 1: codes lie on a line.
code_dependence
    The variance of E(x) over examples, summed over dimensions, in units of the prior's. For a stochastic E, the means
    of the posterior are compared, so it tells how much of a code x decides. Healthy: it rises to 0.3 to 1.4. Below
    0.01, the codes do not depend on x.
prior_distance
    The energy distance between codes (sampled ones, if E is stochastic) and draws of the prior, from 0 to 1; see
    `evaluation.collapse.energy_distance`. 0 means equal distributions; as the estimate has no bias, it may be a little
    below. Healthy: it falls below 0.05.
code_mean
    How far the means of the codes' dimensions lie from those of the prior, as root mean square, in standard deviations
    of the prior. Healthy: below 0.3.
code_stddev, code_stddev_lowest, code_stddev_highest
    The standard deviations of the codes' dimensions in units of the prior's: their mean, the lowest and the highest.
    Healthy: 0.4 to 1.4. A lowest value near 0 is a dimension that E does not use.
nearest_neighbour
    The share of labelled examples whose nearest neighbour among the others, by features, has the same label. Compare it
    with 1 / classes, and with its own first values. The labels are used for nothing else.
seconds
    What measuring these numbers took, without the pictures.

Autoencoders and supervised systems do not match a prior, so their prior_distance and samples say nothing of their
training, and their samples give no warning.

If a run averages its weights, its networks are watched with the averages, D's answers included.

`watch_warnings` has the thresholds of warnings. A warning is given when its kind first occurs, and again if it returns
after a look without it.
"""

import contextlib
import functools
import math
import time

import numpy as np
import tensorflow as tf

from tf_bigan.draws import GENERATION, Draws
from tf_bigan.evaluation import collapse
from tf_bigan.evaluation.neighbours import nearest
from tf_bigan.games.compiled import traced_once
from tf_bigan.games.conditioned import conditioned
from tf_bigan.games.inspection import conditions_of
from tf_bigan.training.watch_warnings import Told, warnings_of

PREFIX = "watch/"
WARNINGS = PREFIX + "warnings"  # the entry of a record with new warnings: {kind: line}

EXAMPLES = 1000  # whose codes and features are measured; fewer if the data has fewer
PAIRS = 500  # samples and examples of which all pairs are compared, and which D judges

# What counts as nearly the same sample: nearer than this share of the distance to the nearest other example, in the
# median over examples. In D dimensions, evenly spread examples are so near with a probability of 1 - 2^-(0.1^D): 0.7 %
# of points of the plane, and practically no images.
NEAR = 0.1
# D's loss has a gradient of 1 - p at a pair that it judges correctly with probability p.
CERTAIN = 0.99


class Watch:
    """Measures the numbers of a game in training, logs them, and warns. It changes nothing that training depends on.

    Args:
      game: the game in training, whose inference statistics are estimated.
      run: its RunDirectory. From its log follows which kinds of warnings have been given.
      data: the training data.
      batch_size: examples that one replica trains on at a time; D judges batches of this size.
      say: called with each warning.
    """

    def __init__(self, game, run, data, batch_size, say):
        self._game, self._run, self._data, self._batch_size, self._say = game, run, data, batch_size, say
        self._told = Told()
        for record in run.read_log():
            numbers = {name.removeprefix(PREFIX): value for name, value in record.items() if name.startswith(PREFIX)}
            self._told.news(numbers, self._warnings(numbers) | record.get(WARNINGS, {}))
        self._examples = self._reference = self._judge = None

    def look(self, epoch):
        """Measures, adds the numbers to the log's record of the game's step and to TensorBoard, and warns.

        Whatever goes wrong in measuring or in writing is a warning, too, and does not end the training.

        Args:
          epoch: epochs done.
        """
        started, found, lines = time.perf_counter(), {}, {}
        try:
            lines = self._measure(found)
        except Exception as error:
            lines["failed"] = f"the watch could not measure everything: {_reason(error)}"
        found = {name: _plain(value) for name, value in found.items()}  # as in the log, which a resumed run reads
        news = self._told.news(found, lines | self._warnings(found))
        news = {kind: f"epoch {epoch}: {line}" for kind, line in news.items()}
        for line in news.values():
            self._say(f"warning: {line}")
        found["seconds"] = round(time.perf_counter() - started, 3)
        numbers = {PREFIX + name: value for name, value in found.items()}
        step = self._game.steps_done
        log = functools.partial(self._run.extend_log, step, numbers | ({WARNINGS: news} if news else {}))
        for write in (log, functools.partial(self._write_summaries, step, numbers, news)):
            try:
                write()
            except Exception as error:  # such as a full disk
                self._say(f"warning: epoch {epoch}: the watch could not write its numbers: {_reason(error)}")

    def _warnings(self, numbers):
        lines = warnings_of(numbers, self._game.prior.latent_dim)
        if not self._game.generates:
            lines.pop("samples", None)
        return lines

    def _write_summaries(self, step, numbers, lines):
        writer = tf.summary.create_file_writer(str(self._run.tensorboard))
        with contextlib.closing(writer), writer.as_default(step=step):
            for name, value in numbers.items():
                if value is not None:
                    tf.summary.scalar(name, value)
            if lines:
                tf.summary.text(WARNINGS, list(lines.values()))

    def _measure(self, found):
        """Fills `found` with {name: number, NaN or None}. Returns a warning of values that are not finite, if any."""
        game, strange = self._game, []
        if self._examples is None:
            self._examples = self._read()
        examples = self._examples
        pictured = conditioned(game, examples)
        x, pairs = examples["x"], slice(0, PAIRS)
        options = {"batch_size": self._batch_size}

        def finite(what, rows, *names):
            """Whether `rows` are finite. If not, the numbers `names` are None."""
            found.update(dict.fromkeys(names))
            if fine := bool(np.isfinite(rows).all()):
                return True
            strange.append(f"{what} ({np.isfinite(rows).mean():.1%} are finite)")
            return fine

        features = self._features(x)
        if game.generator is not None:
            if self._reference is None:
                between = collapse.distances(_rows(game.reduced(x[pairs])))
                near = NEAR * float(np.median(collapse.nearest_distances(between)))
                self._reference = collapse.mean_distance(between), near
            distance, near = self._reference
            samples = pictured.generate(len(x[pairs]), **options)
            comparable = ("feature_distance",) if not game.encoder_is_larger else ()
            if finite("samples", samples, "sample_distance", "near_duplicates", *comparable):
                between = collapse.distances(_rows(samples))
                found["sample_distance"] = _quotient(collapse.mean_distance(between), distance)
                found["near_duplicates"] = collapse.near_duplicates(between, near)
                if comparable:
                    both = [features[pairs], self._features(samples)]
                    if finite("features", np.concatenate(both), *comparable):
                        found["feature_distance"] = _quotient(
                            *(collapse.mean_distance(collapse.distances(each)) for each in reversed(both))
                        )
        if game.objective is not None:
            logits = self._logits()
            names = [f"{kind}_{what}" for what in ("accuracy", "saturation") for kind in ("real", "generated")]
            if finite("outputs of the discriminator", logits, *names):
                found |= judgements(*game.objective.margins(*logits))
        if game.encoder is not None:
            means = pictured.encode(x, **options)
            codes = pictured.encode(x, sample=True, **options) if game.posterior.stochastic else means
            if finite("codes", np.concatenate([means, codes]), "effective_rank", "code_dependence", "prior_distance"):
                found |= of_codes(means, codes, game.noise(len(x), 0, GENERATION).numpy())
        labels = examples["label"]
        known = np.flatnonzero(labels >= 0)
        if len(np.unique(labels[known])) > 1 and finite("features", features, "nearest_neighbour"):
            found["nearest_neighbour"] = own_class_share(features[known], labels[known])
        if not strange:
            return {}
        return {"nonfinite": f"not all {', '.join(dict.fromkeys(strange))}, so some numbers are not measured"}

    def _read(self):
        """The record of the examples that are watched, as arrays. They are drawn, as folders are ordered by class."""
        order = np.random.default_rng([self._game.seed, *b"watch"]).permutation(self._data.count)
        record = self._data.read_records(tf.constant(order[:EXAMPLES], tf.int64))
        return {name: np.asarray(value) for name, value in record.items()}

    def _features(self, x):
        """The features of examples or samples, which have the conditions of the first examples: float32 [N, D]."""
        game, given = self._game, {}
        if game.conditions_of_layer():
            given = {name: self._examples[name][: len(x)] for name in conditions_of(game.feature_network)}
        return _rows(game.features(x, batch_size=self._batch_size, **given), np.float32)

    def _logits(self):
        """D's logits of real and generated pairs in training mode, as D judges them in a step: float32 [2, N]."""
        game, examples = self._game, self._examples
        size = min(self._batch_size, len(examples["x"]))
        batches = max(1, min(PAIRS, len(examples["x"])) // size)
        z = game.noise(batches * size, 0, GENERATION)

        def judge(batch, z, number):
            draws = Draws(game.seed, number, size, "watch")
            with draws.active():
                tensors = game.forward(game.record(batch), z, draws)
            return [tf.reshape(tf.cast(tensors[kind], tf.float32), [-1]) for kind in ("real", "generated")]

        found = []
        for number in range(batches):
            rows = slice(number * size, (number + 1) * size)
            batch = {name: tf.constant(value[rows]) for name, value in examples.items()}
            inputs = batch, z[rows], tf.constant(number, tf.int64)
            if self._judge is None:
                self._judge = traced_once(judge, *inputs)
            found.append([each.numpy() for each in self._judge(*inputs)])
        return np.concatenate(found, axis=1)


def judgements(real, generated) -> dict:
    """How many pairs D judges correctly, and of how many it is certain.

    Args:
      real, generated: float [N], by how much D is right about the real and the generated pairs, in logits.
    """
    certain = math.log(CERTAIN / (1.0 - CERTAIN))
    found = {}
    for kind, margins in (("real", real), ("generated", generated)):
        found[f"{kind}_accuracy"] = float((margins > 0).mean())
        found[f"{kind}_saturation"] = float((margins >= certain).mean())
    return found


def of_codes(means, codes, prior) -> dict:
    """The numbers of codes beside as many draws of the prior.

    Args:
      means: float [N, k], the means of the posterior for N examples.
      codes: float [N, k], codes drawn from the posterior; the means, if it is deterministic.
      prior: float [N, k].
    """
    means, codes, prior = (np.asarray(each, np.float64) for each in (means, codes, prior))
    unit = prior.std(axis=0)
    stddevs = codes.std(axis=0) / unit
    return {
        "effective_rank": collapse.effective_rank(means),
        "code_dependence": float(means.var(axis=0).sum() / prior.var(axis=0).sum()),
        "prior_distance": collapse.energy_distance(codes, prior)[1],
        "code_mean": float(np.sqrt(np.mean(((codes - prior).mean(axis=0) / unit) ** 2))),
        "code_stddev": float(stddevs.mean()),
        "code_stddev_lowest": float(stddevs.min()),
        "code_stddev_highest": float(stddevs.max()),
    }


def own_class_share(features, labels) -> float:
    """The share of rows whose nearest other row has the same label: the accuracy of a 1-NN that leaves each row out.

    Args:
      features: float [N, D], N >= 2, finite.
      labels: int [N].
    """
    found, _ = nearest(features, features, 2)
    itself = np.arange(len(labels))
    other = np.where(found[:, 0] == itself, found[:, 1], found[:, 0])  # of equal rows, the row itself may come second
    return float((labels[other] == labels).mean())


def _rows(examples, dtype=np.float64):
    return np.asarray(examples, dtype).reshape(len(examples), -1)


def _reason(error):
    told = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {told[0]}"


def _quotient(value, unit):
    return value / unit if unit > 0.0 else None


def _plain(value):
    """A number for JSON, to six digits; None if it is not finite."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
