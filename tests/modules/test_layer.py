"""Modules as layers of Keras 3: trained, frozen, saved and loaded; and what they refuse."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, tiny_game, without_checks

import tf_bigan
from tf_bigan.errors import InputError
from tf_bigan.exporting import export

X, LABELS = images(12), np.arange(12) % 2


@pytest.fixture(scope="module")
def game():
    game = tiny_game()
    game.estimate_statistics(tf.data.Dataset.from_tensors(X), 2)
    return game


@pytest.fixture(scope="module")
def path(game, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        without_checks(patch)
        return export(game, tmp_path_factory.mktemp("export") / "module")


def classifier(layer, **settings):
    head = keras.layers.Dense(2, kernel_initializer="zeros", dtype="float32")
    model = keras.Sequential([keras.Input((8, 8, 1)), layer, head])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), **settings)
    return model


def fit(model, epochs=1):
    return model.fit(X, LABELS, batch_size=12, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def test_a_layer_gives_what_the_module_gives(game, path):
    layer = tf_bigan.ModuleLayer(path)
    module = tf.saved_model.load(path)
    np.testing.assert_allclose(layer(X), game.features(X).reshape(12, -1), atol=1e-5)
    np.testing.assert_array_equal(layer(X, training=True), layer(X))
    assert layer(X[:0]).shape == (0, 16) and layer(images(2, shape=(30, 20, 1))).shape == (2, 16)
    for name in ("h1", "code"):
        named = tf_bigan.ModuleLayer(path, name)
        expected = module.encode(X) if name == "code" else module.layers[name](X)
        np.testing.assert_array_equal(named(X), expected)
        assert named(keras.Input((8, 8, 1))).shape == (None, *expected.shape[1:])
    assert [each.path for each in layer.weights][:2] == [
        f"{layer.name}/h1_linear_kernel",
        f"{layer.name}/h2_norm_kernel",
    ]
    assert len(layer.trainable_weights) == len(module.trainable_variables) == 3 and not layer.non_trainable_weights
    assert len(tf_bigan.ModuleLayer(path, "h1").weights) == 1


OPTIMIZERS = [keras.optimizers.Adam, keras.optimizers.AdamW, keras.optimizers.SGD]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_optimizer_trains_it(path, optimizer):
    layer = tf_bigan.ModuleLayer(path)
    before = layer.get_weights()
    losses = fit(classifier(layer, optimizer=optimizer(0.1 if optimizer is keras.optimizers.SGD else 1e-3)), epochs=4)
    assert losses[-1] < losses[0]
    assert all(np.any(one != two) for one, two in zip(layer.get_weights(), before, strict=True))


def test_a_frozen_layer_keeps_its_weights(path):
    layer = tf_bigan.ModuleLayer(path, trainable=False)
    before, model = layer.get_weights(), classifier(layer, optimizer="adam")
    assert len(model.trainable_weights) == 2
    fit(model)
    np.testing.assert_equal(layer.get_weights(), before)
    layer.trainable = True
    assert len(model.trainable_weights) == 5


def test_a_model_with_it_is_saved_and_trains_on_without_the_module(path, tmp_path):
    place = shutil.copytree(path, tmp_path / "module")
    model = classifier(tf_bigan.ModuleLayer(place, name="features"), optimizer="adam")
    fit(model)
    model.save(tmp_path / "model.keras")
    shutil.rmtree(place)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert fit(loaded, 2) == fit(model, 2)
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), loaded.predict(X, verbose=0))
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_equal(again.get_weights(), model.get_weights())
    with pytest.raises(InputError, match=f"^{place} cannot be loaded: there is no such folder$"):
        keras.models.clone_model(model)


def test_checkpoints_of_tensorflow_hold_its_weights(path, tmp_path):
    model = classifier(tf_bigan.ModuleLayer(path), optimizer="sgd")
    before = model.get_weights()
    place = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    model.set_weights([0 * each for each in before])
    tf.train.Checkpoint(model=model).restore(place)
    np.testing.assert_equal(model.get_weights(), before)


def test_a_copy_begins_with_the_modules_weights(path):
    layer = tf_bigan.ModuleLayer(path, "h1")
    model = keras.Sequential([keras.Input((8, 8, 1)), layer])
    np.testing.assert_array_equal(keras.models.clone_model(model)(X), layer(X))


def test_mixed_precision_computes_in_float32_and_gives_half_precision(path):
    layer = tf_bigan.ModuleLayer(path, dtype="mixed_bfloat16")
    exact = tf_bigan.ModuleLayer(path)(X)
    assert layer(X).dtype == tf.bfloat16 and all(each.dtype == "float32" for each in layer.weights)
    np.testing.assert_array_equal(layer(X), tf.cast(exact, tf.bfloat16))
    losses = fit(classifier(layer, optimizer=keras.optimizers.Adam(1e-3)), 4)
    assert losses[-1] < losses[0]


def test_two_replicas_train_it(path, mirrored):
    with mirrored.scope():
        model = classifier(tf_bigan.ModuleLayer(path), optimizer=keras.optimizers.SGD(1e-3))
    alone = classifier(tf_bigan.ModuleLayer(path), optimizer=keras.optimizers.SGD(1e-3))
    alone.set_weights(model.get_weights())
    np.testing.assert_allclose(fit(model, 2), fit(alone, 2), rtol=1e-4)


def test_a_generator_of_attributes_takes_a_dictionary(tmp_path, monkeypatch):
    without_checks(monkeypatch)
    z, attributes = keras.Input((4,), name="z"), keras.Input((3,), name="attributes")
    pixels = keras.layers.Dense(64, "sigmoid")(keras.layers.Concatenate()([z, attributes]))
    generator = keras.Model([z, attributes], keras.layers.Reshape((8, 8, 1))(pixels), name="generator")
    game = tf_bigan.BiGAN({**tiny_game().networks, "generator": generator}, tiny_game().prior)
    layer = tf_bigan.ModuleLayer(export(game, tmp_path / "module", role="generator"))
    given = {"z": game.noise(3, 0).numpy(), "attributes": np.eye(3)}
    np.testing.assert_allclose(layer(given), game.generate(z=given["z"], attributes=np.eye(3)), atol=1e-5)
    with pytest.raises(InputError, match="takes a dictionary of attributes and z$"):
        layer(given["z"])
    with pytest.raises(InputError, match=r"^attributes must have shape \[N, 3\], got \[3, 4\]$"):
        layer({**given, "attributes": np.zeros((3, 4))})


REFUSED = [
    (X[0], "images must have shape [N, any, any, 1], got [8, 8, 1]"),
    (np.repeat(X, 3, -1), "images must have shape [N, any, any, 1], got [12, 8, 8, 3]"),
    ((X * 255).astype(np.uint8), "images must be float in [0, 1], got uint8; scale uint8 with keras.layers.Rescaling("),
    (np.ones((2, 8, 8, 1), int), "images must be float in [0, 1], got int64; scale uint8 with keras.layers.Rescaling("),
    ("photo.png", "images must be an array of numbers, found str"),
    (None, "images must be an array of numbers, found NoneType"),
]


def test_what_it_does_not_take_is_said_in_a_line(path):
    layer = tf_bigan.ModuleLayer(path)
    for given, message in REFUSED:
        with pytest.raises(InputError) as caught:
            layer(given)
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    model = classifier(layer, optimizer="sgd")
    with pytest.raises(InputError, match="^images must have shape [^\n]*$"):
        keras.Sequential([keras.Input((8, 8, 3)), layer])
    with pytest.raises(InputError, match="^images must be float [^\n]*$"):
        layer(keras.Input((8, 8, 1), dtype="uint8"))
    np.testing.assert_array_equal(layer(X.astype(np.float64)), layer(X))
    assert model.predict(X, verbose=0).shape == (12, 2)


def test_places_and_layers_that_are_not_there(path, tmp_path):
    with pytest.raises(InputError, match="is no module: it has no saved_model.pb"):
        tf_bigan.ModuleLayer(tmp_path)
    with pytest.raises(InputError, match="has no layer 'h6'. Did you mean 'h"):
        tf_bigan.ModuleLayer(path, "h6")
    damaged = shutil.copytree(path, tmp_path / "damaged")
    file = damaged / "variables" / "variables.data-00000-of-00001"
    file.write_bytes(b"\0" + file.read_bytes()[1:])
    with pytest.raises(InputError, match=f"{file} is damaged"):
        tf_bigan.ModuleLayer(damaged)


class Reads(tf.Module):
    """A module that reads a file."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def __call__(self, x):
        return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def test_in_safe_mode_a_graph_may_only_compute(tmp_path):
    tf.saved_model.save(Reads(), str(tmp_path / "reads"))
    layer = tf_bigan.ModuleLayer(tmp_path / "reads")
    file = tmp_path / "model.keras"
    keras.Sequential([keras.Input((2,)), layer]).save(file)
    with pytest.raises(
        InputError, match="has ReadFile, which may do more than compute; load the file with safe_mode=F"
    ):
        keras.models.load_model(file)
    loaded = keras.models.load_model(file, safe_mode=False)
    np.testing.assert_array_equal(loaded(np.ones((1, 2), np.float32)), layer(np.ones((1, 2), np.float32)))


def test_a_damaged_graph_in_a_keras_file_is_said_in_a_line(path, tmp_path):
    file = tmp_path / "model.keras"
    keras.Sequential([keras.Input((8, 8, 1)), tf_bigan.ModuleLayer(path)]).save(file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for graph in ("x", "", "!!", 7):
        config["config"]["layers"][1]["config"]["graph"] = graph
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in {**parts, "config.json": json.dumps(config).encode()}.items():
                archive.writestr(name, content)
        with pytest.raises(InputError, match="is damaged"):
            keras.models.load_model(file)
