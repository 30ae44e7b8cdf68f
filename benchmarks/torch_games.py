"""The systems in PyTorch: the losses of their players, and the inputs that their inference statistics describe.

Each class is the game of the same name in tf_bigan/games. The caller draws all random numbers of a step, from U[0, 1);
`shapes` gives their shapes.
"""

import torch
from torch.nn import functional as F
from torch_families import make_networks

from tf_bigan.errors import InputError


def uniform_codes(u):
    """Float32 numbers of U[0, 1) -> codes of U(-1, 1)."""
    return 2.0 * u - 1.0


def normal_numbers(u):
    """Float32 numbers of U[0, 1) -> numbers of N(0, 1), which take 2^23 different values; none is infinite."""
    return torch.special.ndtri((torch.floor(u * 2**23) + 0.5) * 2.0**-23)


class Game:
    """Networks, players and losses.

    Attributes:
      networks: role -> `Network`.
      players: player -> the roles of the networks that it trains.
      two_sizes: whether E may take larger images than D and G.
    """

    players: dict[str, tuple] = {}
    two_sizes = False

    def __init__(self, experiment, networks=None):
        if experiment.crop_size != experiment.image_size and not self.two_sizes:
            raise InputError(f"encoder_size is only for bigan; {experiment.system} has images of one size")
        self.experiment = experiment
        self.networks = networks or make_networks(experiment)

    def shapes(self, batch_size) -> dict[str, tuple]:
        """The shapes of a step's random numbers, by name."""
        return {"z": (batch_size, self.experiment.latent_dim)}

    def prior(self, u):
        """Numbers of U[0, 1) -> draws of p(z)."""
        return uniform_codes(u) if self.experiment.prior == "uniform" else normal_numbers(u)

    def code(self, outputs):
        """E's outputs -> codes, float32."""
        outputs = outputs.float()
        return 2.0 * torch.sigmoid(outputs) - 1.0 if self.experiment.prior == "uniform" else outputs

    def losses(self, x, reduced, draws) -> tuple:
        """One forward pass in training mode.

        Args:
          x: float32 [N, C, H, W] in [0, 1], E's images.
          reduced: the same images at the size of D and G, which may be E's size.
          draws: name -> random numbers, float32 in [0, 1), of the shapes that `shapes` gives.

        Returns:
          Each player's float32 loss, in the order of `players`.
        """
        return self.losses_of(x, reduced, self.prior(draws["z"]))

    def run_for_statistics(self, x, reduced, draws):
        """Runs each network in training mode on the inputs that its inference statistics describe.

        The arguments are those of `losses`.
        """
        self.observe_codes(x, reduced, self.prior(draws["z"]))

    def begin(self, examples):
        """Sets initial weights that depend on the training images, `torch_examples.Examples`; there are none here."""

    def norms(self):
        """All batch norms whose inference statistics are to be estimated."""
        return [norm for network in self.networks.values() for norm in network.norms()]


class BiGAN(Game):
    """E and G against a D that sees pairs. D is called once on real pairs and once on generated pairs."""

    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}
    two_sizes = True

    def losses_of(self, x, reduced, z):  # noqa: D102
        discriminator = self.networks["discriminator"]
        codes, images = self.code(self.networks["encoder"](x)), self.networks["generator"](z)
        real, generated = discriminator(reduced, codes), discriminator(images, z)
        return (
            0.5 * (F.softplus(-real).mean() + F.softplus(generated).mean()),
            0.5 * (F.softplus(real).mean() + F.softplus(-generated).mean()),
        )

    def observe_codes(self, x, reduced, z):  # noqa: D102
        self.networks["discriminator"](reduced, self.code(self.networks["encoder"](x)))
        self.networks["generator"](z)


class GAN(Game):
    """G against a D that sees only images."""

    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    def losses_of(self, x, reduced, z):  # noqa: D102
        return self._against(x, self.networks["generator"](z))

    def _against(self, x, images):
        discriminator = self.networks["discriminator"]
        real, generated = discriminator(x), discriminator(images)
        return (
            0.5 * (F.softplus(-real).mean() + F.softplus(generated).mean()),
            F.softplus(-generated).mean(),
        )

    def observe_codes(self, x, reduced, z):  # noqa: D102
        for role, network in self.networks.items():
            network(z if role == "generator" else x)


class LatentRegressor(GAN):
    """A plain GAN, and an E that regresses z from G(z) without any influence on G."""

    players = {"discriminator": ("discriminator",), "generator": ("generator",), "encoder": ("encoder",)}

    def losses_of(self, x, reduced, z):  # noqa: D102
        images = self.networks["generator"](z)
        return (*self._against(x, images), self._regression(self.networks["encoder"](images).float(), z))

    def _regression(self, outputs, z):
        if self.experiment.prior == "normal":
            return 0.5 * F.mse_loss(outputs, z)
        return F.binary_cross_entropy_with_logits(outputs, (z + 1.0) / 2.0)


class JointLatentRegressor(LatentRegressor):
    """Like the latent regressor, but E and G are one player. Its loss is G's loss plus E's loss, weighted."""

    players = BiGAN.players

    def losses_of(self, x, reduced, z):  # noqa: D102
        discriminator, generator, encoder = super().losses_of(x, reduced, z)
        return discriminator, generator + self.experiment.latent_weight * encoder


class Autoencoder(Game):
    """E and G minimise the error of G(E(x)), summed over pixels."""

    players = {"encoder_generator": ("encoder", "generator")}

    def losses_of(self, x, reduced, z):  # noqa: D102
        error = self._reconstruct(x).float() - x
        error = error.abs() if self.experiment.system == "autoencoder_l1" else error.square()
        return (error.flatten(1).sum(1).mean(),)

    def observe_codes(self, x, reduced, z):  # noqa: D102
        self._reconstruct(x)

    def _reconstruct(self, x):
        return self.networks["generator"](self.code(self.networks["encoder"](x)))


_SYSTEMS = {
    "bigan": BiGAN,
    "gan": GAN,
    "latent_regressor": LatentRegressor,
    "joint_latent_regressor": JointLatentRegressor,
    "autoencoder_l1": Autoencoder,
    "autoencoder_l2": Autoencoder,
}


def make_game(experiment) -> Game:
    """The game of an experiment, freshly initialised from its seed.

    Raises:
      InputError: settings that do not fit the system or its networks.
    """
    if experiment.terms() or experiment.objective != "paper":
        raise InputError("the PyTorch trainer has only the papers' objectives, without terms; tools/train.py has more")
    if experiment.average_decay:
        raise InputError("the PyTorch trainer keeps no averages of weights; give --average_decay=0, or tools/train.py")
    if experiment.unary_scores or not experiment.discriminator_norm:
        raise InputError(
            "the PyTorch trainer has only the papers' Ds, with batch norms and one score; tools/train.py has more"
        )
    if experiment.system == "ali":
        from torch_ali import ALI

        return ALI(experiment)
    if experiment.system not in _SYSTEMS:
        raise InputError(f"the PyTorch trainer has no system {experiment.system}; tools/train.py has it")
    return _SYSTEMS[experiment.system](experiment)
