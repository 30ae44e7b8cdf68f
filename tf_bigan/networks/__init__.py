"""E, G and D of each paper: one file a family."""

from tf_bigan.networks.mlp import MLPDiscriminator, MLPEncoder, MLPGenerator

__all__ = ["FAMILIES", "MLPDiscriminator", "MLPEncoder", "MLPGenerator"]


def _mlp(experiment, image_shape, dtype, joint, zero_encoder):
    shared = {
        "image_shape": image_shape,
        "width": experiment.width,
        "sync_batch_norm": experiment.sync_batch_norm,
        "seed": experiment.seed,
        "dtype": dtype,
    }
    latent_dim = experiment.latent_dim
    return {
        "encoder": lambda: MLPEncoder(latent_dim=latent_dim, zero_output=zero_encoder, **shared),
        "generator": lambda: MLPGenerator(latent_dim=latent_dim, skip=experiment.generator_skip, **shared),
        "discriminator": lambda: MLPDiscriminator(latent_dim=latent_dim if joint else 0, **shared),
    }


# Family name -> function(experiment, image_shape, dtype, joint, zero_encoder) -> {role: function that makes it}.
# joint: D sees codes too; zero_encoder: E's output layer starts at 0.
FAMILIES = {"mlp": _mlp}
