"""The examples of `what_the_game_converges_to.md`: prints their numbers and draws the page's figure.

python docs/what_the_game_converges_to.py [FIGURE.png]
"""

import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a checkout works without installation

import keras
import numpy as np
import tensorflow as tf
from scipy.special import ndtri
from small_games import (
    finite_game,
    finite_joints,
    gaussian_game,
    gaussian_joints,
    jensen_shannon,
    l0_autoencoder,
    line_parameters,
    linear_map,
    log_ratio,
    one_hot_rows,
    optimal_table,
    quadratic_discriminator,
    quadratic_value,
    relative_entropy,
    set_maps,
    set_table,
    table_of,
    value,
)

from tf_bigan.figures import save_png
from tf_bigan.games import ALI, Adam, BiGAN
from tf_bigan.panels import BLUE, GREEN, GREY, ORANGE, Figure, Plot, heat_map
from tf_bigan.priors import Normal

HERE = pathlib.Path(__file__).resolve().parent
LOG_4 = np.log(4.0)
EVERY_MAP = list(itertools.product(range(3), repeat=3))  # the 27 maps from three points to three points

# Distributions on three points, as counts, and maps that agree about two points of three.
UNEVEN = {"x_counts": (2, 1, 1), "z_counts": (1, 2, 1), "encoder": (0, 1, 1), "generator": (0, 1, 2)}
EVEN = {"x_counts": (1, 1, 1), "z_counts": (1, 1, 1)}


def at_the_optimal_discriminator(system, x_counts, z_counts, encoder, generator):
    """V as the game computes it at D = q / (q + p), and 2 JSD(q || p) - log 4."""
    game = finite_game(system, x_counts, z_counts)
    q, p = finite_joints(x_counts, z_counts, encoder, generator)
    set_maps(game, encoder, generator)
    set_table(game, optimal_table(q, p))
    return value(game, one_hot_rows(x_counts), one_hot_rows(z_counts)), 2 * jensen_shannon(q, p) - LOG_4


def trained_table(x_counts, z_counts, encoder, generator, steps=400):
    """Trains D alone: its logits afterwards, and those of the optimal D, [examples, codes] each."""
    game = finite_game(BiGAN, x_counts, z_counts)
    set_maps(game, encoder, generator)
    game.encoder.trainable = game.generator.trainable = False
    game.compile(keras.optimizers.SGD(10.0))
    batches = tf.data.Dataset.from_tensors(one_hot_rows(x_counts)).repeat(steps)
    game.fit(batches, statistics_steps=0, verbose=0)
    return table_of(game), optimal_table(*finite_joints(x_counts, z_counts, encoder, generator))


def trained_quadratic(steps=600):
    """The same on the line, for fixed Gaussian E and G: D's weights after training, and the optimal D's."""
    game = gaussian_game(ALI, noise=0.8, slopes=(0.4, 0.5))
    game.encoder.trainable = game.generator.trainable = False
    train(game, quantiles(1.0, 1.0), steps)
    return game.discriminator.get_weights(), log_ratio(*gaussian_joints(game, 1.0, 1.0))


def every_pair(x_counts, z_counts):
    """C(E, G), the value at the optimal D, of all 729 pairs of maps between three points and three points.

    Returns:
      What the game computes, 2 JSD - log 4, and Theorem 3's form; float64 [27, 27] each, by E and G as in `EVERY_MAP`.
    """
    game = finite_game(BiGAN, x_counts, z_counts)
    x, z = one_hot_rows(x_counts), one_hot_rows(z_counts)
    play = tf.function(lambda: game.play(x, z)["discriminator"])
    found = np.zeros((3, 27, 27))
    for (i, encoder), (j, generator) in itertools.product(enumerate(EVERY_MAP), repeat=2):
        q, p = finite_joints(x_counts, z_counts, encoder, generator)
        set_maps(game, encoder, generator)
        set_table(game, optimal_table(q, p))
        found[0, i, j] = -2 * float(play())  # D's loss is -V / 2
        found[1, i, j] = 2 * jensen_shannon(q, p) - LOG_4
        found[2, i, j] = l0_autoencoder(x_counts, z_counts, encoder, generator)
    return found


def swapped_labels(x_counts, z_counts, encoder, generator):
    """The loss of E and G at the optimal D, times two, and -V + KL(q || p) + KL(p || q)."""
    game = finite_game(BiGAN, x_counts, z_counts)
    q, p = finite_joints(x_counts, z_counts, encoder, generator)
    set_maps(game, encoder, generator)
    set_table(game, optimal_table(q, p))
    losses = game.play(one_hot_rows(x_counts), one_hot_rows(z_counts))
    divergences = relative_entropy(q, p) + relative_entropy(p, q)
    return 2 * float(losses["encoder_generator"]), 2 * float(losses["discriminator"]) + divergences


def train_on_the_line(steps=1000):
    """Trains ALI on data from N(1, 1) with a `gaussian_game`.

    Returns:
      The game, and a float64 array [records, 4] of its history: the step, V as D has it, V at the optimal D, and the
      root mean square of G(E(x)) - x, with the means of E and G.
    """
    game, x = gaussian_game(ALI), quantiles(1.0, 1.0)

    def state():
        q, p = gaussian_joints(game, 1.0, 1.0)
        optimal = quadratic_value(q, p, log_ratio(q, p))
        a, c, _, b, d = line_parameters(game)
        return quadratic_value(q, p, game.discriminator.get_weights()), optimal, rms(b * (a * x + c) + d - x)

    return game, train(game, x, steps, state=state)


def train_in_the_plane(steps=1000):
    """Trains BiGAN with linear E and G on correlated Gaussian data in the plane: the game and its history.

    The history is a float64 array [records, 3]: the step, V as D has it, and the root mean square of G(E(x)) - x.
    """
    networks = {
        "encoder": linear_map("encoder", [[0.3, 0.2], [-0.2, 0.3]]),
        "generator": linear_map("generator", [[0.3, -0.2], [0.2, 0.3]]),
        "discriminator": quadratic_discriminator(2, 2),
    }
    game = BiGAN(networks, Normal(2), seed=1)
    x = plane_data()

    def state():
        return value(game, x, game.noise(len(x), 0, "statistics")), rms(game.reconstruct(x) - x)

    return game, train(game, x, steps, state=state)


def train(game, x, steps, learning_rate=0.02, state=None, batch_size=512, every=20):
    """Trains with Adam, whose learning rate falls along a cosine; the history of `state()` every few steps."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    game.compile(Adam(schedule, beta_1=0.0, beta_2=0.9, l2=0.0), steps_per_execution=every)
    history = []

    def record(step):
        if state is not None:
            history.append((step, *state()))

    record(0)
    after = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: record(batch + 1))
    batches = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed=0).repeat().batch(batch_size).take(steps)
    game.fit(batches, statistics_steps=0, verbose=0, callbacks=[after])
    return np.array(history)


def quantiles(mean, stddev, count=4096):
    """Data of the line without sampling error: `count` quantiles of N(mean, stddev^2), float32 [count, 1]."""
    return np.float32(mean + stddev * ndtri((np.arange(count) + 0.5) / count))[:, None]


def plane_data(count=4096):
    """Points of the plane with mean 0 and covariance [[1.44, 0.72], [0.72, 0.61]], exactly: float32 [count, 2]."""
    drawn = np.random.default_rng(0).normal(size=(count, 2))
    drawn -= drawn.mean(axis=0)
    drawn = np.linalg.solve(np.linalg.cholesky(drawn.T @ drawn / count), drawn.T).T
    return np.float32(drawn @ np.array([[1.2, 0.6], [0.0, 0.5]]))


def rms(errors):
    """The root of the mean square, over examples and dimensions."""
    return float(np.sqrt(np.mean(np.square(errors))))


def report(pairs, line, plane):
    """The numbers of the page, as text.

    Args:
      pairs: what `every_pair` returns for uniform distributions.
      line, plane: what `train_on_the_line` and `train_in_the_plane` return.
    """
    found, expected = at_the_optimal_discriminator(BiGAN, **UNEVEN)
    summed, _ = at_the_optimal_discriminator(ALI, **UNEVEN)
    table, optimal = trained_table(**UNEVEN)
    (weights, _), (best, _) = trained_quadratic()
    both = np.abs(optimal) < 40
    a, c, s, b, d = line_parameters(line[0])
    counts = [int(np.sum(np.isclose(pairs[0], level, atol=1e-6))) for level in -LOG_4 * np.arange(4) / 3]
    return "\n".join(
        (
            f"finite, V at the optimal D: BiGAN {found:.6f}, ALI {summed:.6f}; 2 JSD - log 4 = {expected:.6f}",
            f"D trained alone, finite: largest error where both have mass {np.abs(table - optimal)[both].max():.4f}",
            f"D trained alone, Gaussian: largest error of a weight {np.abs(weights - best).max():.3f}",
            f"729 pairs: {counts[3]}, {counts[2]}, {counts[1]}, {counts[0]} reconstruct 3, 2, 1 and 0 points",
            f"729 pairs: largest difference of 2 JSD - log 4 and the l0 form {np.abs(pairs[1] - pairs[2]).max():.1e}",
            f"line: V at the optimal D {line[1][0, 2]:.3f} -> {line[1][-1, 2]:.3f}; -log 4 = {-LOG_4:.3f}",
            f"line: E(x) = {a:.2f} x {c:+.2f}, deviation {s:.2f}; G(z) = {b:.2f} z {d:+.2f}, deviation 0.50",
            f"plane: root mean square of G(E(x)) - x {plane[1][0, 2]:.2f} -> {plane[1][-1, 2]:.2f}",
        )
    )


def figure(pairs, line, plane):
    """The page's figure, uint8 [height, width, 3]. Arguments as for `report`."""
    drawing = Figure(1000, 740)
    (line, history), plane = line, plane[1]
    ticks = np.linspace(0, history[-1, 0], 5)
    plot = Plot(drawing, (60, 50, 480, 290), ticks, (-1.5, -1.3, -1.1, -0.9), "Value of the game (ALI, line)", "step")
    plot.level(-LOG_4, "-log 4")
    plot.curve(history[:, 0], history[:, 1], ORANGE)
    plot.curve(history[:, 0], history[:, 2], BLUE)
    plot.legend([("at the optimal D: 2 JSD - log 4", BLUE), ("at the D that is being trained", ORANGE)], 16)
    title = "Root mean square of G(E(x)) - x"
    plot = Plot(drawing, (560, 50, 980, 290), ticks, (0, 0.5, 1.0, 1.5), title, "step")
    plot.curve(history[:, 0], history[:, 3], BLUE)
    plot.curve(plane[:, 0], plane[:, 2], GREEN)
    plot.legend([("ALI, line, means of E and G", BLUE), ("BiGAN, plane", GREEN)], 16)
    joints = Plot(drawing, (700, 398, 980, 678), (-2, 0, 2, 4), (-3, 0, 3), "Pairs (x, z) of ALI's game", "x")
    for game, width in ((gaussian_game(ALI), 0.8), (line, 2.5)):
        for joint, colour in zip(gaussian_joints(game, 1.0, 1.0), (BLUE, ORANGE), strict=True):
            joints.curve(*ellipse(*joint).T, colour, width)
    drawing.text((980, 410), "thin: before, thick: after training", "rm", 12, GREY)
    joints.legend([("q: (x, E(x))", BLUE), ("p: (G(z), z)", ORANGE)], 232, 110)
    # Maps that are one to one come first.
    order = sorted(range(27), key=lambda k: (-len(set(EVERY_MAP[k])), EVERY_MAP[k]))
    right = np.rint(-3 * pairs[0] / LOG_4).astype(int)[np.ix_(order, order)]
    drawing.text((60, 378), "Value at the optimal D of all 729 pairs of maps between three points", size=15)
    drawing.text((60, 400), "rows: E, columns: G; the six maps that are one to one come first", size=12, colour=GREY)
    shades = ((238, 241, 245), (176, 202, 228), (84, 145, 200), (12, 52, 105))
    words = ("no point: 0", "1 of 3 points: -1/3 log 4", "2 of 3 points: -2/3 log 4", "all points: -log 4")
    heat_map(drawing, (60, 416), right, 11, list(zip(words, shades, strict=True)))
    drawing.text((60 + 27 * 11 + 22, 416 + 26 * 4 + 10), "have G(E(x)) = x", size=13)
    return drawing.sheet()


def ellipse(mean, covariance, points=100):
    """The points of the plane at two standard deviations from a Gaussian's mean, float64 [points, 2]."""
    angles = np.linspace(0, 2 * np.pi, points)
    return mean + 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ np.linalg.cholesky(covariance).T


def make(path):
    """Plays and trains everything, and draws the figure.

    Args:
      path: where the figure is written, a PNG file.

    Returns:
      The results of `every_pair`, `train_on_the_line` and `train_in_the_plane`, and the text of `report`.
    """
    results = every_pair(**EVEN), train_on_the_line(), train_in_the_plane()
    save_png(path, figure(*results))
    return results, report(*results)


if __name__ == "__main__":
    print(make(sys.argv[1] if len(sys.argv) > 1 else HERE / "what_the_game_converges_to.png")[1])
