"""Converts files in the authors' layout, and compares with a plain numpy forward pass of the stored arrays."""

import numpy as np
import pytest
import stored_networks as stored
from helpers import run_tool

import tf_bigan
from tf_bigan.conversion.joblib_files import read_arrays
from tf_bigan.conversion.original_weights import convert, convert_run
from tf_bigan.errors import InputError
from tf_bigan.games.inspection import feature_model

FILES = {
    "encoder": "100_encode_params.jl",
    "generator": "100_gen_params.jl",
    "discriminator": "100_joint_discrim_params.jl",
}


def converted(role, folder, layout="B", **settings):
    arrays = stored.parameters(role, seed=3, **settings)
    path = stored.write(folder / FILES[role], arrays, layout)
    return [a.astype(np.float64) for a in arrays], *convert(role, path)


def images(size, count=2):
    return np.random.default_rng(1).uniform(size=(count, size, size, 3)).astype(np.float32)


def codes(count=2):
    return np.random.default_rng(2).uniform(-1.0, 1.0, (count, 200)).astype(np.float32)


def channels_first(x):
    """Images in [0, 1] as the authors' networks take them."""
    return (2.0 * x.astype(np.float64) - 1.0).transpose(0, 3, 1, 2)


def assert_close(ours, reference):
    """Equal to within 1e-5 of the largest value, as float32 is compared with float64."""
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-5 * max(1.0, np.abs(reference).max()))


# -- the reference itself


def test_the_numpy_convolution_is_the_textbook_sum():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 6, 7)), rng.normal(size=(3, 2, 3, 3))
    y = stored.convolution(x, w, 2, 1)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for o, i, j in np.ndindex(3, 3, 4):
        terms = (padded[0, c, 2 * i + 2 - a, 2 * j + 2 - b] * w[o, c, a, b] for c, a, b in np.ndindex(2, 3, 3))
        assert y[0, o, i, j] == pytest.approx(sum(terms), abs=1e-12)
    grouped = stored.convolution(x, w[:2, :1], 1, 1)
    np.testing.assert_allclose(grouped[:, 1:], stored.convolution(x[:, 1:], w[1:2, :1], 1, 1))


def test_the_numpy_deconvolution_is_the_convolution_s_adjoint():
    rng = np.random.default_rng(0)
    u, h = rng.normal(size=(1, 3, 8, 8)), rng.normal(size=(1, 2, 4, 4))
    w = rng.normal(size=(2, 3, 5, 5))
    forward, back = np.vdot(stored.convolution(u, w, 2, 2), h), np.vdot(u, stored.deconvolution(h, w))
    assert forward == pytest.approx(back, rel=1e-12)


# -- parity


@pytest.mark.parametrize("layout", ["A", "B"])
def test_files_are_written_and_read_to_the_bit(layout, tmp_path):
    arrays = stored.parameters("discriminator", seed=0)
    for a, b in zip(arrays, read_arrays(stored.write(tmp_path / "d.jl", arrays, layout)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype and a.shape == b.shape


@pytest.mark.parametrize("size, flat", [(64, 4096), (112, 12544)])
def test_encoder(size, flat, tmp_path):
    arrays, network, count = converted("encoder", tmp_path, flat=flat)
    assert network.input_shape == (None, size, size, 3) and count == 1000
    x = images(size)
    conv5, logits = stored.encoder(arrays, channels_first(x))
    assert_close(network(x), logits)
    assert_close(feature_model(network, "conv5")(x), conv5.transpose(0, 2, 3, 1))


def test_generator(tmp_path):
    arrays, network, count = converted("generator", tmp_path, counts=(7,))
    assert count == 7
    u = stored.generator(arrays, codes().astype(np.float64))
    # The authors' images are 2 sigmoid(u) - 1 in [-1, 1]; ours are the same images scaled to [0, 1].
    assert_close(network(codes()), (1.0 / (1.0 + np.exp(-u))).transpose(0, 2, 3, 1))


def test_discriminator(tmp_path):
    arrays, network, _ = converted("discriminator", tmp_path, layout="A")
    reference = stored.discriminator(arrays, channels_first(images(64)), codes().astype(np.float64))
    assert_close(network([images(64), codes()]), reference)


# -- refusals


def test_files_of_the_wrong_network_are_refused(tmp_path):
    path = stored.write(tmp_path / "a.jl", stored.parameters("encoder", 0))
    with pytest.raises(InputError, match="has 26 arrays, not the 28 of the generator"):
        convert("generator", path)
    with pytest.raises(
        InputError,
        match=r"array 25 has shape \[1024, 200\]; outputs weight of the encoder has \['4096 or 12544', 200\]",
    ):
        convert("encoder", stored.write(tmp_path / "b.jl", stored.parameters("encoder", 0, flat=1024)))


@pytest.mark.parametrize(
    "index, value, message",
    [
        (2, np.array(0, np.int64), r"counts \[0, 1000\]; one positive count is needed"),
        (2, np.array(999, np.int64), r"counts \[999, 1000\]; one positive count is needed"),
        (3, np.full(256, np.nan, np.float32), "array 3, conv2 means, has values that are not finite"),
        (4, np.full(256, -1.0, np.float32), "array 4, conv2 variances, has negative values"),
        (5, np.ones(255, np.float32), r"array 5 has shape \[255\]; conv2 gain of the encoder has \[256\]"),
    ],
)
def test_impossible_values_are_refused(index, value, message, tmp_path):
    arrays = stored.parameters("encoder", 0)
    arrays[index] = value
    with pytest.raises(InputError, match=message):
        convert("encoder", stored.write(tmp_path / "a.jl", arrays))


# -- the command line


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The three files of a run with the larger encoder."""
    folder = tmp_path_factory.mktemp("files")
    for role, name in FILES.items():
        stored.write(folder / name, stored.parameters(role, 3, flat=12544), "B")
    return [f"--{role}={folder / name}" for role, name in FILES.items()]


def test_the_tool_writes_a_run_that_loads(files, tmp_path):
    status, stdout, stderr = run_tool("convert_original_weights.py", *files, f"--output={tmp_path / 'run'}")
    assert status == 0, stderr
    assert "E takes 112x112, G gives 64x64" in stdout
    model = tf_bigan.load(tmp_path / "run")
    x = images(112)
    conv5, logits = stored.encoder(stored.parameters("encoder", 3, flat=12544), channels_first(x))
    assert_close(model.features(x, "outputs"), logits)
    assert_close(model.features(x), conv5.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(model.encode(x), np.tanh(logits / 2), atol=1e-5)
    assert model.reconstruct(x).shape == (2, 64, 64, 3)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "66.49 against 81.08" in card and "Terms" in card


def test_the_tool_refuses_in_one_line(files):
    arguments = [*files[:2], "--discriminator=/nowhere.jl", "--output=x"]
    status, _, stderr = run_tool("convert_original_weights.py", *arguments)
    assert status == 2 and stderr == "error: /nowhere.jl is missing\n", stderr


def test_files_of_different_runs_and_taken_places_are_refused(files, tmp_path):
    paths = [flag.split("=")[1] for flag in files]
    with pytest.raises(InputError, match="exists; give a folder that does not exist yet"):
        convert_run(*paths, tmp_path)
    other = stored.write(tmp_path / "other.jl", stored.parameters("generator", 3, counts=(7,)))
    with pytest.raises(InputError, match="the files are not of one run: their statistics are of .*'generator': 7"):
        convert_run(paths[0], other, paths[2], tmp_path / "run")
    assert not (tmp_path / "run").exists()
