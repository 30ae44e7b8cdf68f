import resource

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, tiny_game

import tf_bigan
from tf_bigan import exporting
from tf_bigan.errors import InputError
from tf_bigan.exporting import export
from tf_bigan.games import BiGAN
from tf_bigan.priors import Uniform

HERE = pytest.mark.usefixtures("modules_checked_here")


def trained(system="bigan", dtype="float32"):
    game = tiny_game(system, dtype)
    game.compile()
    game.fit(images(256), batch_size=64, epochs=2, verbose=0, statistics_steps=2)
    return game


@pytest.fixture(scope="module")
def game():
    return trained()


@pytest.fixture(scope="module")
def path(game, tmp_path_factory):
    return export(game, tmp_path_factory.mktemp("export") / "module")


def test_hub_load_gives_the_model_s_features_and_codes(game, path):
    import tensorflow_hub as hub

    x = images(5)
    np.testing.assert_allclose(hub.load(path)(x), game.features(x), atol=1e-5)
    module = hub.load(path)
    np.testing.assert_allclose(module.encode(x), game.encode(x), atol=1e-5)
    np.testing.assert_allclose(module(x, training=True), module(x, training=False))


def test_other_sizes_are_resized_and_cropped_in_the_graph(game, path):
    module = tf.saved_model.load(path)
    x = images(3, shape=(24, 12, 1))
    resized = np.clip(tf.image.resize(x, (16, 8), "lanczos3", antialias=True), 0, 1)
    np.testing.assert_allclose(module(x), game.features(resized[:, 4:12]), atol=1e-5)


def test_serving_signatures(game, path):
    signatures = tf.saved_model.load(path).signatures
    x = images(4)
    (served,) = signatures["serving_default"](images=tf.constant(x)).values()
    np.testing.assert_allclose(served, game.features(x), atol=1e-5)
    (codes,) = signatures["encode"](images=tf.constant(x)).values()
    np.testing.assert_allclose(codes, game.encode(x), atol=1e-5)


def test_keras_layer_fine_tunes_in_tf_keras(path):
    import tensorflow_hub as hub
    import tf_keras

    layer = hub.KerasLayer(path, trainable=True)
    model = tf_keras.Sequential([tf_keras.layers.InputLayer((8, 8, 1)), layer, tf_keras.layers.Dense(3)])
    assert len(layer.trainable_weights) == 3  # two kernels, and the bias that the second's batch norm became
    before = [weight.numpy() for weight in layer.trainable_weights]
    model.compile("adam", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(images(30), np.arange(30) % 3, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.abs(w.numpy() - b).max() > 0 for w, b in zip(layer.trainable_weights, before, strict=True))


def test_tfsm_layer_in_keras_3(game, path):
    layer = keras.layers.TFSMLayer(path, call_endpoint="__call__")
    x = images(4)
    np.testing.assert_allclose(layer(x), game.features(x), atol=1e-5)
    assert len(layer.trainable_weights) == 3


def test_any_number_of_images_is_taken_in_a_graph_too(game, path):
    import tensorflow_hub as hub

    module, x = hub.load(path), images(20)
    batches = tf.data.Dataset.from_tensor_slices(x).batch(8).map(module)
    np.testing.assert_allclose(np.concatenate(list(batches)), game.features(x), atol=1e-5)
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.TFSMLayer(path, call_endpoint="__call__")(inputs)
    assert outputs.shape == (None, 16)
    np.testing.assert_allclose(keras.Model(inputs, outputs).predict(x, verbose=0), game.features(x), atol=1e-5)


def test_layers_by_name(game, path):
    module, x = tf.saved_model.load(path), images(4)
    assert list(module.layers) == ["h1_linear", "h1", "h2_norm", "h2", "outputs"]
    for name, layer in module.layers.items():
        np.testing.assert_allclose(layer(x), game.features(x, name), atol=1e-5)
        (served,) = module.signatures[name](images=tf.constant(x)).values()
        np.testing.assert_allclose(served, layer(x), atol=1e-6)
    assert module.layers["h1"](images(2, shape=(20, 12, 1))).shape == (2, 16)


@HERE
def test_the_convolutional_encoder_fine_tunes(tmp_path):
    game = tiny_game(networks="conv", width=4, image_size=32, channels=3)
    game.estimate_statistics(tf.data.Dataset.from_tensors(images(8, shape=(32, 32, 3))), 2)
    layer = tf_bigan.ModuleLayer(export(game, tmp_path / "m", layer="conv3"))
    assert len(layer.trainable_weights) == 5  # of conv1, which has no bias, conv2 and conv3, with the norms'
    before = [np.array(weight) for weight in layer.trainable_weights]
    head = keras.layers.Dense(2, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((32, 32, 3)), layer, head])
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = images(20, shape=(32, 32, 3)) * np.linspace(0.2, 1.0, 20)[:, None, None, None].astype(np.float32)
    losses = model.fit(x, np.arange(20) // 10, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.any(np.array(w) != b) for w, b in zip(layer.trainable_weights, before, strict=True))


def test_the_convolutional_encoder_offers_its_layers_as_maps(tmp_path):
    game = tiny_game(networks="conv", width=4, image_size=32, channels=3)
    game.estimate_statistics(tf.data.Dataset.from_tensors(images(8, shape=(32, 32, 3))), 2)
    path, x = export(game, tmp_path / "m"), images(3, shape=(40, 40, 3))
    module = tf.saved_model.load(path)
    resized = np.clip(tf.image.resize(x, (32, 32), "lanczos3", antialias=True), 0, 1)
    for n, shape in enumerate([(8, 8, 6), (4, 4, 16), (2, 2, 24), (2, 2, 24), (2, 2, 16)], start=1):
        before = "conv1_linear" if n == 1 else f"conv{n}_norm"
        for name in (f"conv{n}", before):
            found = module.layers[name](x)
            assert found.shape == (3, *shape)
            np.testing.assert_allclose(found, game.features(resized, name), atol=1e-5)
    np.testing.assert_allclose(module.encode(x), game.encode(resized), atol=1e-5)


@HERE
def test_unfolded(game, tmp_path):
    x = images(4)
    unfolded = tf.saved_model.load(export(game, tmp_path / "unfolded", fold=False))
    assert list(unfolded.layers) == ["h1_linear", "h1", "h2_linear", "h2_norm", "h2", "outputs"]
    np.testing.assert_allclose(unfolded(x), game.features(x), atol=1e-5)
    # Folding would leave nothing of this layer.
    linear = tf.saved_model.load(export(game, tmp_path / "linear", layer="h2_linear"))
    np.testing.assert_allclose(linear(x), game.features(x, "h2_linear"), atol=1e-5)


@HERE
def test_mixed_precision_models_are_exported_in_float32(tmp_path):
    game = trained(dtype="mixed_bfloat16")
    module = tf.saved_model.load(export(game, tmp_path / "m"))
    twin = tiny_game()
    for role, network in twin.networks.items():
        network.set_weights(game.networks[role].get_weights())
    np.testing.assert_allclose(module(images(4)), twin.features(images(4)), atol=1e-5)
    assert all(v.dtype == tf.float32 for v in module.variables)


@HERE
def test_mixed_precision_networks_of_ones_own_are_exported_in_float32(tmp_path):
    x = keras.Input((8, 8, 1))
    h = keras.layers.Flatten()(x)
    for units, name in ((5, "h"), (4, "a")):
        h = keras.layers.Dense(units, name=name, dtype="mixed_bfloat16")(h)
    encoder = keras.Model(x, h)
    model = tiny_game()
    own = BiGAN({**model.networks, "encoder": encoder}, model.prior)
    module = tf.saved_model.load(export(own, tmp_path / "m"))
    weights = encoder.get_weights()
    expected = images(4).reshape(4, 64) @ weights[0] + weights[1]
    np.testing.assert_allclose(module(images(4)), expected, atol=1e-5)


def test_code_layer_and_generator(game, tmp_path):
    x = images(4)
    codes = tf.saved_model.load(export(game, tmp_path / "code", layer="code"))(x)
    np.testing.assert_allclose(codes, game.encode(x), atol=1e-5)
    decoded = tf.saved_model.load(export(game, tmp_path / "g", role="generator"))(codes)
    np.testing.assert_allclose(decoded, game.reconstruct(x), atol=1e-5)


@HERE
def test_a_gan_exports_its_discriminator_s_features(tmp_path):
    game = trained("gan")
    module = tf.saved_model.load(export(game, tmp_path / "m"))
    np.testing.assert_allclose(module(images(4)), game.features(images(4)), atol=1e-5)
    assert not hasattr(module, "encode")
    with pytest.raises(InputError, match="gan has no encoder, so it has no code"):
        export(game, tmp_path / "m", layer="code")


def test_a_module_that_disagrees_is_removed(game, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_RELOAD", exporting._RELOAD + "np.save(outputs, np.ones((8, 16)) * 7)")
    with pytest.raises(InputError, match="differs from the model by"):
        export(game, tmp_path / "m")
    monkeypatch.setattr(exporting, "_RELOAD", "raise SystemExit('no such op')")
    with pytest.raises(InputError, match="does not load in a fresh process: no such op"):
        export(game, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@HERE
def test_a_place_that_takes_no_more(game, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # larger files fail, as on a full disk
    try:
        with pytest.raises(InputError, match="cannot write .*m: "):
            export(game, tmp_path / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_unusable_arguments(game, tmp_path):
    with pytest.raises(InputError, match="Did you mean 'encoder'"):
        export(game, tmp_path / "m", role="encode")
    with pytest.raises(InputError, match="unknown layer 'h3'"):
        export(game, tmp_path / "m", layer="h3")
    with pytest.raises(InputError, match="layer='code' is of an encoder; a generator's module gives images"):
        export(game, tmp_path / "m", role="generator", layer="code")
    with pytest.raises(InputError, match="export takes a model as tf_bigan.load returns it, found str"):
        export("bigan_digits", tmp_path / "m")
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="is no SavedModel"):
        export(game, tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write|is no SavedModel"):
        export(game, tmp_path / "file" / "m")


@HERE
def test_the_noise_of_a_network_is_0_in_its_module(tmp_path):
    x, noise = keras.Input((8, 8, 1), name="images"), keras.Input((3,), name="noise")
    h = keras.layers.Concatenate(name="both")([keras.layers.Flatten()(x), noise])
    encoder = keras.Model([x, noise], keras.layers.Dense(4)(keras.layers.Dense(6, name="h")(h)), name="encoder")
    z, noise = keras.Input((4,), name="z"), keras.Input((5,), name="noise")
    pixels = keras.layers.Dense(64, "sigmoid")(keras.layers.Concatenate()([z, noise]))
    generator = keras.Model([z, noise], keras.layers.Reshape((8, 8, 1))(pixels), name="generator")
    networks = {"encoder": encoder, "generator": generator, "discriminator": tiny_game().discriminator}
    game, x = BiGAN(networks, Uniform(4)), images(3)
    module = tf.saved_model.load(export(game, tmp_path / "encoder"))
    np.testing.assert_allclose(module(x), game.features(x), atol=1e-5)
    np.testing.assert_allclose(module.encode(x), game.encode(x), atol=1e-5)
    codes = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    module = tf.saved_model.load(export(game, tmp_path / "generator", role="generator"))
    np.testing.assert_allclose(module(codes), generator([codes, np.zeros((3, 5))]), atol=1e-5)
