import numpy as np

from tf_bigan.evaluation.measures import nearest_samples


def test_nearest_samples_by_hand(monkeypatch):
    monkeypatch.setattr(nearest_samples, "SAMPLES", (1, 2, 4))
    monkeypatch.setattr(nearest_samples, "_SAMPLES_AT_ONCE", 2)
    drawn = iter([0.5, 0.75, 1.0])

    class Sampler:
        def reduced(self, images):
            return images

        def generate(self, count, seed):
            return np.full((count, 1, 1, 1), next(drawn), np.float32)

    found = nearest_samples.nearest_samples(Sampler(), np.ones((3, 1, 1, 1), np.float32))
    assert found == {"NND/100": 0.5, "NND/10": 0.25, "NND": 0.0}
