"""Three scores of a pair instead of one: of its image, of its code and of both (Donahue and Simonyan 2019, section 2).

BigBiGAN's D has a convolutional trunk F of the image, an MLP H of the code, and an MLP J of both. s_x is linear in F's
features, s_z in H's, and s_xz in J's. The MLPs here have two hidden layers, where BigBiGAN's have eight.
"""

from keras import layers

HIDDEN = 8  # units of each hidden layer of H and J, as a multiple of the width
LAYERS = 2


def scores(build, h, z, width):
    """Adds H and J to a trunk: float32 [N, 3, 1], the scores "image_score", "code_score" and "pair_score".

    Args:
      build: the network's `Builder`.
      h: F's features, float [N, n].
      z: codes, float [N, latent_dim].
      width: the network's width.
    """
    of_image = build.logits(h, 1, "image_score")
    of_z = _mlp(build, z, HIDDEN * width, "code")
    of_code = build.logits(of_z, 1, "code_score")
    both = layers.Concatenate(name="pair", dtype=build.policy)([h, of_z])
    of_pair = build.logits(_mlp(build, both, HIDDEN * width, "pair"), 1, "pair_score")
    together = layers.Concatenate(name="scores", dtype="float32")([of_image, of_code, of_pair])
    return layers.Reshape((3, 1), name="outputs", dtype="float32")(together)


def _mlp(build, h, units, name):
    for n in range(1, LAYERS + 1):
        layer = f"{name}{n}"
        h = build.norm(build.dense(h, units, f"{layer}_linear", scaled=True), layer)
        h = build.leaky_rectifier(h, layer)
    return h
