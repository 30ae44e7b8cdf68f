"""scikit-learn's bundled 8x8 handwritten digits as a TFDS data set: nothing to download."""

import numpy as np
import tensorflow_datasets as tfds

TRAIN = 1437  # the first 80 %; the digits are ordered by writer, so the other 20 % are by other writers


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 images of handwritten digits, 8x8 pixels of 17 grey levels."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As bundled with scikit-learn; grey levels 0 ... 16 stretched to 0 ... 255."}

    def _info(self):
        return self.dataset_info_from_configs(
            description="Test part of the UCI ML optical recognition of handwritten digits, from scikit-learn.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html",
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, TRAIN), "test": self._generate_examples(TRAIN, None)}

    def _generate_examples(self, first, last):
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        images = np.round(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
        for i in range(first, len(labels) if last is None else last):
            yield i, {"image": images[i], "label": int(labels[i])}
