"""E, G and D of each paper: one file a family."""

from tf_bigan.networks.conv import AlexNetDiscriminator, ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.networks.mlp import MLPDiscriminator, MLPEncoder, MLPGenerator

__all__ = [
    "FAMILIES",
    "AlexNetDiscriminator",
    "ConvDiscriminator",
    "ConvEncoder",
    "ConvGenerator",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
]


def _mlp(experiment, dtype, joint, zero_encoder, featured):
    shared = _shared(experiment, dtype)
    codes = {"latent_dim": experiment.latent_dim}
    return {
        "encoder": lambda: MLPEncoder(experiment.encoder_shape, zero_output=zero_encoder, **codes, **shared),
        "generator": lambda: MLPGenerator(experiment.image_shape, skip=experiment.generator_skip, **codes, **shared),
        "discriminator": lambda: MLPDiscriminator(
            experiment.image_shape, latent_dim=experiment.latent_dim if joint else 0, **shared
        ),
    }


def _conv(experiment, dtype, joint, zero_encoder, featured):
    shared = _shared(experiment, dtype)
    codes = {"latent_dim": experiment.latent_dim}

    def discriminator():
        if featured:
            return AlexNetDiscriminator(experiment.image_shape, **shared)
        return ConvDiscriminator(experiment.image_shape, latent_dim=experiment.latent_dim if joint else 0, **shared)

    return {
        "encoder": lambda: ConvEncoder(experiment.encoder_shape, zero_output=zero_encoder, **codes, **shared),
        "generator": lambda: ConvGenerator(experiment.image_shape, skip=experiment.generator_skip, **codes, **shared),
        "discriminator": discriminator,
    }


def _shared(experiment, dtype):
    return {
        "width": experiment.width,
        "sync_batch_norm": experiment.sync_batch_norm,
        "seed": experiment.seed,
        "dtype": dtype,
    }


# Family name -> function(experiment, dtype, joint, zero_encoder, featured) -> {role: function that makes it}.
# joint: D sees codes too; zero_encoder: E's output layer starts at 0; featured: D's features are what is wanted of it.
FAMILIES = {"mlp": _mlp, "conv": _conv}
