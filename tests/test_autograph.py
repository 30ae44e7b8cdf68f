"""No function of the project is converted by AutoGraph, which takes seconds and warns of sources that changed."""

import sys

from helpers import tiny_game

from tf_bigan.data import open_images
from tf_bigan.evaluation.neighbours import nearest


def converted():
    return {name for name in sys.modules if name.startswith("__autograph_generated_file")}


def test_reading_training_and_searching_convert_nothing(digits_dir):
    before = converted()
    data = open_images("digits", "train", 8, channels=1, data_dir=str(digits_dir))
    game = tiny_game()
    game.compile()
    game.fit(data.training_batches(64, seed=0).take(2), verbose=0, statistics_steps=1)
    features = [game.features(x.numpy()) for x, _ in data.batches(500)]
    nearest(features[0], features[1])
    assert converted() == before
