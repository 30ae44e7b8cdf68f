import numpy as np
from helpers import images

from tf_bigan.networks.ali import make


class Settings:
    """The settings of an experiment that `make` reads."""

    example_shape = encoder_shape = (32, 32, 1)
    networks, posterior, latent_dim, width, seed, sync_batch_norm = "ali_svhn", "gaussian", 5, 3, 6, True
    init_stddev, embedding_stddev, dropout, label_weight = 0.05, 0.0, False, 0.0


class System:
    sees_codes, zero_encoder, featured, supervised, conditional = True, False, False, False, False


def test_networks_of_an_experiment():
    makers = make(Settings(), "mixed_bfloat16", System)
    del makers["embedding"]  # of conditional systems
    configs = {role: maker().get_config() for role, maker in makers.items()}
    shared = {
        **{"image_shape": (32, 32, 1), "architecture": "ali_svhn", "latent_dim": 5, "width": 3, "stddev": 0.05},
        **{"sync_batch_norm": True, "seed": 6, "dtype": "mixed_bfloat16", "conditional": False},
    }
    assert configs == {
        "encoder": {**shared, "gaussian": True, "zero_output": False, "name": "encoder"},
        "generator": {**shared, "name": "generator"},
        "discriminator": {**shared, "dropout": False, "outputs": 1, "name": "discriminator"},
    }


def test_networks_of_a_plain_gan_or_a_latent_regressor():
    class Other(System):
        sees_codes, zero_encoder = False, True

    class Linear(Settings):
        posterior = "linear"

    makers = make(Linear(), "float32", Other)
    assert makers["discriminator"]().get_config()["latent_dim"] == 0
    encoder = makers["encoder"]()
    assert encoder.output_shape == (None, 5) and not np.any(encoder(images(2, shape=(32, 32, 1))))
