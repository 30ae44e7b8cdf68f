import numpy as np
import pytest

from tf_bigan.domains import domain_of
from tf_bigan.evaluation.measures.reconstruction import reconstruction


class ConstantModel:
    """Generates given images, and reconstructs every image as its negative, 1 - x."""

    encoder_is_larger = False

    def __init__(self, samples):
        self.samples, self.domain = samples, domain_of(samples.shape[1:])

    def generate(self, count, seed):
        return np.resize(self.samples, (count, *self.samples.shape[1:])).astype(np.float32)

    def reconstruct(self, images):
        return 1.0 - images

    def reduced(self, images):
        return images


def test_reconstruction_errors_by_hand():
    # Two images of four pixels, black and white. |x - (1 - x)| is 1 at each pixel, so the distance is 2.
    images = np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))]).astype(np.float32)
    errors = reconstruction(ConstantModel(np.full((1, 2, 2, 1), 0.25)), images)
    assert errors["EGr"] == pytest.approx(2.0)
    assert errors["EGr_b"] == pytest.approx(0.0)  # the other image's reconstruction is the image itself
    # 0.25 becomes 64/255 when rounded to 8 bits; its reconstruction is 1 - 64/255.
    assert errors["EGg"] == pytest.approx(2 * (1 - 128 / 255), rel=1e-6)


def test_samples_of_points_are_not_rounded():
    points, samples = np.float32([[0.0, 0.0], [1.0, 1.0]]), np.float32([[3.001, 4.001]])
    errors = reconstruction(ConstantModel(samples), points)
    assert errors["EGr"] == pytest.approx(np.sqrt(2))
    # The distance to 1 - x is twice the distance to (0.5, 0.5).
    assert errors["EGg"] == pytest.approx(2 * np.hypot(2.501, 3.501), rel=1e-6)
