"""Examples of other shapes, dtypes and kinds: each public method of a model says in a line what it takes."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import images, tiny_game

from tf_bigan.errors import InputError

X = images(4)
REFUSED = {
    "a single image": (X[0], r"^images must have shape \[N, 8, 8, 1\], got \[8, 8, 1\]; a single one is given as x\[N"),
    "colour": (np.repeat(X, 3, -1), r"^images must have shape \[N, 8, 8, 1\], got \[4, 8, 8, 3\]"),
    "uint8": ((X * 255).astype(np.uint8), r"^images must be float in \[0, 1\], got uint8; divide uint8 by 255$"),
    "int64": (np.ones((2, 8, 8, 1), int), r"^images must be float in \[0, 1\], got int64"),
    "a tensor": (tf.constant(X[0]), r"^images must have shape \[N, 8, 8, 1\], got \[8, 8, 1\]"),
    "a name": ("photo.png", "^images must be an array of numbers, found str"),
    "nothing": (None, "^images must be an array of numbers, found NoneType"),
}


@pytest.fixture(scope="module")
def game():
    game = tiny_game("supervised", classes=3)
    game.compile(run_eagerly=True)
    return game


@pytest.mark.parametrize("given, message", REFUSED.values(), ids=REFUSED)
def test_every_method_says_what_it_takes(game, given, message):
    methods = [game.encode, game.features, game.feature_function("h1"), game.classify, game.class_probabilities]
    methods += [tiny_game().reconstruct]
    if hasattr(given, "shape"):  # of others, Keras itself says that they are no tensors
        methods += [game, game.predict, lambda x: game.play({"x": x, "label": np.zeros(4, int)}, game.noise(4, 0))]
    for method in methods:
        with pytest.raises(InputError, match=message) as caught:
            method(given)
        assert "\n" not in str(caught.value)


def test_data_to_evaluate_is_checked_as_that_of_fit(game):
    with pytest.raises(InputError, match="^the data to evaluate: images must be float in .*, got uint8"):
        game.evaluate((X * 255).astype(np.uint8), np.arange(4) % 3, verbose=0)
    with pytest.raises(InputError, match="^the data to evaluate: supervised needs labels"):
        game.evaluate(X, verbose=0)
    assert np.isfinite(game.evaluate(X, np.arange(4) % 3, verbose=0)).all()


def test_codes_are_checked():
    game = tiny_game()
    for z, message in (([0.0] * 4, r"z must have shape \[N, 4\], got \[4\]"), ("z", "z must be an array of numbers")):
        with pytest.raises(InputError, match=message):
            game.generate(z=z)


def test_float64_lists_and_empty_batches_are_taken(game):
    expected = game.features(X)
    for taken in (X.astype(np.float64), X.tolist(), tf.constant(X, tf.float64)):
        np.testing.assert_array_equal(game.features(taken), expected)
    function = game.feature_function(["h1", "code"])
    assert [each.shape for each in function(X[:0])] == [(0, 16), (0, 4)]
    np.testing.assert_array_equal(function(X.astype(np.float64))[1], game.encode(X))
    colour = tiny_game(networks="conv", width=4, image_size=16, channels=3)
    assert colour.feature_function("conv5")(np.zeros((0, 16, 16, 3), np.float32)).shape[0] == 0
