"""The networks of a game whose D knows classes, trained on labels alone: the baseline of few-label training."""

from tf_bigan.games.game import Game
from tf_bigan.games.terms.labels import check_classes, classified


class Supervised(Game):
    """E and D together minimise the cross-entropy of the labels of pairs (x, E(x)). There is no G, and z is not used.

    These are the pairs and the loss of the term `Labels`; here, the loss trains E, too.

    Networks: "encoder" (examples -> outputs that the posterior turns into codes) and "discriminator"
    ([examples, codes] -> K logits). Arguments as for `Game`.
    """

    roles = ("encoder", "discriminator")
    players = {"classifier": ("encoder", "discriminator")}
    sees_codes = True
    supervised = True

    def __init__(self, networks, prior, **arguments):
        super().__init__(networks, prior, **arguments)
        check_classes(networks, self.name)

    def forward(self, batch, z, draws):
        return {"x": batch["x"], **classified(self, batch, draws)}

    def player_losses(self, tensors):
        return {"classifier": tensors["cross_entropy"]}

    def run_for_statistics(self, batch, z, draws):
        return self.forward(batch, z, draws)
