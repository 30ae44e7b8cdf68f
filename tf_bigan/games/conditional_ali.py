"""Conditional ALI (Dumoulin et al. 2017, on CelebA)."""

from tf_bigan.games.ali import ALI


class ConditionalALI(ALI):
    """ALI in which E, G and D know the attributes of an example.

    A fourth network embeds the attributes, and E, G and D each take the embedding as an input. D judges a real pair
    (x, E(x, y), y) against a generated pair (G(z, y), z, y) with the same attributes y.

    Networks as for `ALI`, each with an input "embedding" after its first inputs, and "embedding" (attributes, float32
    [N, k] -> float32 [N, units]). The batches need "attributes".

    Args:
      networks, prior, **arguments: as for `ALI`.
      train_embedding: whether the player of E and G trains the embedding, as the paper implies. In the authors' code,
        no optimizer has the embedding's weights, so that they keep their random initial values; False does the same.
    """

    roles = ("encoder", "generator", "discriminator", "embedding")
    players = {
        "discriminator": ("discriminator",),
        "encoder_generator": ("encoder", "generator", "embedding"),
    }
    needs = ("attributes",)
    conditional = True

    def __init__(self, networks, prior, train_embedding=True, **arguments):
        if not train_embedding:
            self.frozen = ("embedding",)
        super().__init__(networks, prior, **arguments)

    @classmethod
    def settings(cls, experiment):
        return {"train_embedding": experiment.train_embedding}
