"""Games so small that everything about them can be computed: on finite spaces, and with linear maps and Gaussians.

The joint distributions are called q and p: q is that of (x, E(x)) with x from the data, p that of (G(z), z) with z from
the prior. Logarithms are natural.
"""

import keras
import numpy as np

from tf_bigan.games import objectives
from tf_bigan.priors import Normal

LAYERS = keras.layers

# The logit of a D that is sure: in float32, softplus(-40) is less than 1e-17.
SURE = 40.0


# -- what holds for any two distributions on a finite set or a grid, float arrays of the same shape


def relative_entropy(q, p):
    """KL(q || p), in nats. It is infinite if p is 0 where q is not."""
    with np.errstate(divide="ignore"):
        ratios = np.log(q[q > 0]) - np.log(p[q > 0])
    return float(np.sum(q[q > 0] * ratios))


def jensen_shannon(q, p):
    """JSD(q || p), in nats: 0 if q = p, log 2 if no point has mass in both."""
    middle = (q + p) / 2
    return (relative_entropy(q, middle) + relative_entropy(p, middle)) / 2


def value(game, batch, z):
    """V(D, E, G) = mean of log D(x, E(x)) + mean of log(1 - D(G(z), z)), from the loss that the game gives D.

    D's loss is -V / 2 in BiGAN and -V in ALI.
    """
    scale = 2.0 if game.objective is objectives.HALVED else 1.0
    return -scale * float(game.play(batch, z)["discriminator"])


def products(a, b):
    """All products of an entry of `a` and an entry of `b`: Keras tensors [N, n] and [N, m] -> [N, n * m]."""
    return LAYERS.Flatten()(LAYERS.Multiply()([LAYERS.Reshape((-1, 1))(a), LAYERS.Reshape((1, -1))(b)]))


# -- finite spaces: examples and codes are one-hot vectors


class FinitePrior:
    """Codes of a finite space, one-hot vectors. Code k occurs `counts[k]` times in every batch of sum(counts).

    So a mean over a batch is an expectation without sampling error.
    """

    posterior = "linear"

    def __init__(self, counts):
        self.counts = counts
        self.latent_dim = len(counts)

    def sample(self, count, seed):
        """All codes: float32 [sum(counts), latent_dim]. `count` must be sum(counts); `seed` has no effect."""
        del count, seed
        return keras.ops.convert_to_tensor(one_hot_rows(self.counts))


def one_hot_rows(counts):
    """Every point of a finite space as often as `counts` says: float32 [sum(counts), len(counts)]."""
    return np.repeat(np.eye(len(counts), dtype=np.float32), counts, axis=0)


def finite_game(system, x_counts, z_counts):
    """A game on finite spaces, in which E, G and D are tables.

    Args:
      system: `BiGAN` or `ALI`.
      x_counts, z_counts: how often each example and each code occurs in a batch; both have the same sum.
    """
    n, m = len(x_counts), len(z_counts)
    x, z = keras.Input((n,), name="x"), keras.Input((m,), name="z")
    table = LAYERS.Dense(1, use_bias=False, kernel_initializer="zeros")
    networks = {
        "encoder": keras.Sequential([keras.Input((n,)), LAYERS.Dense(m, use_bias=False)], name="encoder"),
        "generator": keras.Sequential([keras.Input((m,)), LAYERS.Dense(n, use_bias=False)], name="generator"),
        "discriminator": keras.Model([x, z], table(products(x, z)), name="discriminator"),
    }
    return system(networks, FinitePrior(z_counts))


def set_maps(game, encoder, generator):
    """Sets E to x -> encoder[x] and G to z -> generator[z], tuples of indices."""
    n, m = len(encoder), len(generator)
    game.encoder.set_weights([np.eye(m, dtype=np.float32)[list(encoder)]])
    game.generator.set_weights([np.eye(n, dtype=np.float32)[list(generator)]])


def set_table(game, logits):
    """Sets D's logit of every pair: float [examples, codes]."""
    game.discriminator.set_weights([np.reshape(logits, (-1, 1))])


def table_of(game):
    """D's logit of every pair, float32 [examples, codes]."""
    return game.discriminator.get_weights()[0].reshape(game.example_shape[0], game.prior.latent_dim)


def finite_joints(x_counts, z_counts, encoder, generator):
    """Q and p of maps between finite spaces, float64 [examples, codes] each."""
    q, p = np.zeros((2, len(x_counts), len(z_counts)))
    for x, count in enumerate(x_counts):
        q[x, encoder[x]] += count / sum(x_counts)
    for z, count in enumerate(z_counts):
        p[generator[z], z] += count / sum(z_counts)
    return q, p


def optimal_table(q, p):
    """The optimal D's logits log(q / p), float64 [examples, codes]; where one of them is 0, D is `SURE`.

    Pairs that never occur have the logit 0, because any logit is optimal there.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.nan_to_num(np.log(q) - np.log(p), nan=0.0), -SURE, SURE)


def l0_autoencoder(x_counts, z_counts, encoder, generator):
    """The right side of Theorem 3: only points that E and G reconstruct contribute to it.

    For such a pair, f = q / (q + p) follows from the probabilities of x and z alone.
    """
    p_x, p_z = np.array(x_counts) / sum(x_counts), np.array(z_counts) / sum(z_counts)
    total = 0.0
    for x in np.flatnonzero(p_x):
        z = encoder[x]
        if p_z[z] > 0 and generator[z] == x:
            total += p_x[x] * np.log(p_x[x] / (p_x[x] + p_z[z]))
    for z in np.flatnonzero(p_z):
        x = generator[z]
        if p_x[x] > 0 and encoder[x] == z:
            total += p_z[z] * np.log(1.0 - p_x[x] / (p_x[x] + p_z[z]))
    return total


# -- linear maps and Gaussians


def quadratic_discriminator(n, m):
    """D whose logit is any quadratic function of x [N, n] and z [N, m]. It starts at logit 0.

    The log ratio of two Gaussian densities is such a function.
    """
    x, z = keras.Input((n,), name="x"), keras.Input((m,), name="z")
    u = LAYERS.Concatenate()([x, z])
    logit = LAYERS.Dense(1, kernel_initializer="zeros")(LAYERS.Concatenate()([products(u, u), u]))
    return keras.Model([x, z], logit, name="discriminator")


def linear_map(name, weights):
    """The network x -> x W on rows x, with W = `weights`, float [n, n], and a bias of 0 to begin with."""
    inputs = keras.Input((len(weights),))
    network = keras.Model(inputs, LAYERS.Dense(len(weights), name="mean")(inputs), name=name)
    network.get_layer("mean").set_weights([np.float32(weights), np.zeros(len(weights), np.float32)])
    return network


def gaussian_game(system, noise=0.5, slopes=(0.2, 0.3)):
    """A game on the line with random linear maps, so that q and p are Gaussians in the plane.

    E(x) = a x + c + s * noise, with E's deviation s learned, and G(z) = b z + d + `noise` * noise.

    Args:
      system: `BiGAN` or `ALI`.
      noise: the standard deviation of G's noise, which is fixed.
      slopes: a and b to begin with; c and d are 0, and s is 1.
    """
    x, z, e = keras.Input((1,), name="x"), keras.Input((1,), name="z"), keras.Input((1,), name="noise")
    mean, log_stddev = LAYERS.Dense(1, name="mean"), LAYERS.Dense(1, name="log_stddev")
    # log_stddev sees 0 instead of x, so that its bias is the same number for every x.
    encoder = keras.Model(x, LAYERS.Concatenate()([mean(x), log_stddev(LAYERS.Rescaling(0.0)(x))]), name="encoder")
    drawn = LAYERS.Add()([LAYERS.Dense(1, name="mean")(z), LAYERS.Rescaling(noise, name="noise_scale")(e)])
    generator = keras.Model([z, e], drawn, name="generator")
    for network, slope in zip((encoder, generator), slopes, strict=True):
        network.get_layer("mean").set_weights([np.float32([[slope]]), np.zeros(1, np.float32)])
    networks = {"encoder": encoder, "generator": generator, "discriminator": quadratic_discriminator(1, 1)}
    return system(networks, Normal(1), posterior="gaussian", seed=1)


def line_parameters(game):
    """a, c, s, b and d of a `gaussian_game`: floats."""
    mean, log_stddev = (game.encoder.get_layer(name).get_weights() for name in ("mean", "log_stddev"))
    generator = game.generator.get_layer("mean").get_weights()
    a, c, log_s, b, d = (float(w.item()) for w in (*mean, log_stddev[1], *generator))
    return a, c, np.exp(log_s), b, d


def gaussian_joints(game, mean, stddev):
    """Q and p of a `gaussian_game` on data from N(mean, stddev^2): a pair (mean [2], covariance [2, 2]) each."""
    a, c, s, b, d = line_parameters(game)
    noise = game.generator.get_layer("noise_scale").scale
    variance = stddev**2
    q_covariance = np.array([[variance, a * variance], [a * variance, a**2 * variance + s**2]])
    p_covariance = np.array([[b**2 + noise**2, b], [b, 1.0]])
    return (np.array([mean, a * mean + c]), q_covariance), (np.array([d, 0.0]), p_covariance)


def log_ratio(q, p):
    """The weights of a `quadratic_discriminator` with logit log q - log p, which is the optimal D: a list of arrays."""
    (q_mean, q_covariance), (p_mean, p_covariance) = q, p
    q_precision, p_precision = np.linalg.inv(q_covariance), np.linalg.inv(p_covariance)
    quadratic = (p_precision - q_precision) / 2
    linear = q_precision @ q_mean - p_precision @ p_mean
    constant = (p_mean @ p_precision @ p_mean - q_mean @ q_precision @ q_mean) / 2
    constant += (np.linalg.slogdet(p_covariance)[1] - np.linalg.slogdet(q_covariance)[1]) / 2
    return [np.concatenate([quadratic.ravel(), linear])[:, None], np.array([constant])]


def quadratic_value(q, p, weights, points=160, reach=8.0):
    """V of a D with a quadratic logit between two Gaussians of the plane, as an integral, without sampling.

    Args:
      q, p: a pair (mean [2], covariance [2, 2]) each.
      weights: D's weights, as `log_ratio` gives them.
      points, reach: the integrals are sums over a grid of `points` x `points` that reaches `reach` standard deviations.
    """
    line = np.linspace(-reach, reach, points)
    normal = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    mass = np.exp(-np.sum(normal**2, axis=1) / 2)
    total = 0.0
    for (mean, covariance), sign in ((q, 1.0), (p, -1.0)):
        u = mean + normal @ np.linalg.cholesky(covariance).T
        features = np.concatenate([u[:, :1] * u, u[:, 1:] * u, u], axis=1)
        logits = features @ weights[0][:, 0] + weights[1]
        # log D for q's pairs, and log(1 - D) for p's
        total -= np.average(np.logaddexp(0.0, -sign * logits), weights=mass)
    return float(total)
