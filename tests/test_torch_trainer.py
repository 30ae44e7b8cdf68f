"""Compares the PyTorch trainer with this project's, and imports its weights into a run directory.

PyTorch runs in a separate process, so TensorFlow and PyTorch need not be installed for the same interpreter.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import ROOT, run_tool, tiny
from tf_bigan.errors import InputError
from tf_bigan.games import Adam, make_game
from tf_bigan.pieces import read_pieces, write_pieces
from tf_bigan.training.foreign import arrays_of, fill, import_run
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import load

PYTHON = os.environ.get("TF_BIGAN_TORCH_PYTHON", sys.executable)
BATCH, STATISTICS_STEPS = 16, 5


def in_torch(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([PYTHON, *map(str, arguments)], env=environment, cwd=ROOT, capture_output=True, text=True)


needs_torch = pytest.mark.skipif(
    bool(in_torch("-c", "import torch, PIL, absl").returncode),
    reason="PyTorch cannot be imported; TF_BIGAN_TORCH_PYTHON may name an interpreter that has it",
)

MLP = {"networks": "mlp", "image_size": 8, "channels": 1, "width": 16}
CONV = {"networks": "conv", "image_size": 32, "channels": 3, "width": 8, "learning_rate": 2e-6}
# Name -> (settings, training steps).
PEERS = {
    "bigan mlp": ({"system": "bigan", **MLP}, 200),
    "bigan conv": ({"system": "bigan", **CONV}, 200),
    "bigan conv of two sizes": ({"system": "bigan", **CONV, "encoder_size": 48}, 30),
    "gan mlp": ({"system": "gan", **MLP, "learning_rate": 2e-5}, 200),
    "gan conv": ({"system": "gan", **CONV}, 200),
    "latent regressor": ({"system": "latent_regressor", **MLP}, 50),
    "joint latent regressor": ({"system": "joint_latent_regressor", **MLP, "prior": "normal"}, 50),
    "autoencoder l1": ({"system": "autoencoder_l1", **MLP}, 50),
    "autoencoder l2": ({"system": "autoencoder_l2", **MLP, "generator_skip": False}, 50),
}


def trained_here(game, experiment, x, z):
    """Trains on x and z, then estimates statistics from the first of them: float32 [steps, players], the losses."""
    optimizer = Adam(experiment.learning_rate, experiment.beta_1, experiment.beta_2, experiment.epsilon, experiment.l2)
    game.compile(optimizer, run_eagerly=False)
    signature = [tf.TensorSpec(x.shape[1:], tf.float32), tf.TensorSpec(z.shape[1:], tf.float32)]

    @tf.function(input_signature=signature)
    def step(x, z):
        with tf.GradientTape(persistent=True) as tape:
            losses = game.play(x, z)
        updates = []
        for player, loss in losses.items():
            variables = game.player_variables(player)
            updates += zip(tape.gradient(loss, variables), variables, strict=True)
        optimizer.apply(*map(list, zip(*updates, strict=True)))
        return tf.stack(list(losses.values()))

    losses = np.array([step(*batch).numpy() for batch in zip(x, z, strict=True)])
    codes = tf.constant(z)
    game.prior.sample = lambda count, seed: codes[seed[1] // 3]  # of the step; see `Draws.codes`
    game.estimate_statistics(tf.data.Dataset.from_tensor_slices(x), STATISTICS_STEPS)
    return losses


@needs_torch
@pytest.mark.parametrize("name", PEERS)
def test_both_trainers_agree_to_rounding(tmp_path, name):
    # The game amplifies any difference between the trainers. Adam also turns gradients that are little more than
    # rounding, as many are at first, into full steps. Larger weights and a larger epsilon keep rounding errors small.
    settings, steps = PEERS[name]
    experiment = tiny(**settings, latent_dim=6, batch_size=BATCH, epsilon=1e-3)
    game = make_game(experiment)
    rng = np.random.default_rng(0)
    for network in game.networks.values():
        for variable in network.trainable_variables:
            if len(variable.shape) > 1:
                variable.assign(rng.normal(0.0, 1.0 / np.sqrt(np.prod(variable.shape[:-1])), variable.shape))
    edge, channels = experiment.crop_size, experiment.channels
    x = rng.uniform(size=(steps, BATCH, edge, edge, channels)).astype(np.float32)
    z = rng.uniform(-1, 1, size=(steps, BATCH, 6)).astype(np.float32)
    reduced = {"reduced": np.array([game.reduced(batch) for batch in x])} if game.encoder_is_larger else {}
    told = {"flags": experiment.to_flagfile(), "statistics_steps": STATISTICS_STEPS}
    write_pieces(tmp_path / "input", {**arrays_of(game.networks), "x": x, "z": z, **reduced}, told)
    peer = in_torch(ROOT / "tests" / "torch_peer.py", tmp_path)
    assert peer.returncode == 0, peer.stderr

    losses = trained_here(game, experiment, x, z)

    found, _ = read_pieces(tmp_path / "output")
    np.testing.assert_allclose(found.pop("losses"), losses, rtol=1e-4, atol=1e-4)
    codes, images = found.pop("codes", None), found.pop("generated")
    expected = arrays_of(game.networks)
    assert found.keys() == expected.keys()
    for path, array in expected.items():
        largest = max(np.abs(array).max(), 0.1)
        np.testing.assert_allclose(found[path], array, atol=1e-3 * largest, err_msg=path)
    fill(game.networks, found)
    np.testing.assert_allclose(images, game.generate(z=z[0]), atol=1e-5)
    if codes is not None:
        np.testing.assert_allclose(codes, game.encode(x[0]), atol=1e-5)


@pytest.fixture
def pack(tmp_path):
    """Examples as tools/pack_examples.py writes them, of random 8x8 digits."""
    rng = np.random.default_rng(0)
    arrays = {
        "labels": rng.integers(0, 10, 300),
        "images": rng.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8),
    }
    told = {"dataset": "digits", "split": "train", "max_labels": 0, "count": 300, "image_size": 8, "channels": 1}
    write_pieces(tmp_path / "pack", arrays, told, compress=True)
    return tmp_path / "pack"


def train(pack, workdir, *flags, **settings):
    given = tiny(**settings).to_flagfile().splitlines()
    script = ROOT / "benchmarks" / "torch_train.py"
    return in_torch(script, *given, f"--examples={pack}", f"--workdir={workdir}", "--threads=1", "--device=cpu", *flags)


@needs_torch
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, pack):
    whole = train(pack, tmp_path / "whole")
    first = train(pack, tmp_path / "parts", "--time_limit=0.000001")
    second = train(pack, tmp_path / "parts")

    assert [run.returncode for run in (whole, first, second)] == [0, 0, 0], first.stderr + second.stderr
    assert "interrupted: 1 of 6 steps" in first.stdout and "resuming after step 1 of 6" in second.stdout
    (expected, told), (found, _) = (read_pieces(tmp_path / name / "weights") for name in ("whole", "parts"))
    assert found.keys() == expected.keys()
    for path in expected:
        np.testing.assert_array_equal(found[path], expected[path], err_msg=path)
    assert told["trainer"]["epochs"] == 2 and [record["step"] for record in told["log"]] == [3, 6]


@needs_torch
def test_a_trained_model_is_imported_whole(tmp_path, pack):
    assert train(pack, tmp_path / "run").returncode == 0
    status, stdout, stderr = run_tool(
        "import_run.py", f"--pieces={tmp_path}/run/weights", f"--workdir={tmp_path}/imported"
    )

    assert status == 0, stderr
    assert "imported 2 epochs, 6 steps, of PyTorch" in stdout
    run = RunDirectory(tmp_path / "imported")
    assert run.is_finished() and run.weights_state()["trainer"]["device"] == "CPU"
    assert [record["epoch"] for record in run.read_log()] == [1, 2]
    expected, _ = read_pieces(tmp_path / "run" / "weights")
    found = arrays_of(load(tmp_path / "imported").networks)
    for path in expected:
        np.testing.assert_array_equal(found[path], expected[path], err_msg=path)


@pytest.fixture
def pieces(tmp_path):
    """Weights as the trainer writes them."""
    told = {"flags": tiny().to_flagfile(), "statistics_steps": 3, "log": []}
    names = ("version", "device", "precision", "command", "examples", "initial", "trainer")
    numbers = {"steps": 6, "epochs": 2, "steps_per_epoch": 3, "seconds": 1.0, "images_per_second": 768.0}
    told["trainer"] = {**dict.fromkeys(names, ""), **numbers}
    write_pieces(tmp_path / "weights", arrays_of(make_game(tiny()).networks), told, piece_bytes=10_000)
    return tmp_path / "weights"


def _flip_a_byte(folder):
    piece = folder / "piece-00001.bin"
    piece.write_bytes(bytes([piece.read_bytes()[0] ^ 1]) + piece.read_bytes()[1:])


def _other_shape(folder):
    arrays, told = read_pieces(folder)
    write_pieces(folder, arrays, {**told, "flags": tiny(width=8).to_flagfile()})


@needs_torch
@pytest.mark.parametrize(
    "flag, message",
    [
        (
            "--average_decay=0.9",
            "the PyTorch trainer keeps no averages of weights; give --average_decay=0",
        ),
        ("--r1_penalty=1", "the PyTorch trainer has only the papers' objectives, without terms"),
        ("--augmentation=1", "the PyTorch trainer has only the papers' objectives, without terms"),
        ("--discriminator_norm=false", "the PyTorch trainer has only the papers' Ds, with batch norms and one score"),
        ("--unary_scores=true", "the PyTorch trainer has only the papers' Ds, with batch norms and one score"),
    ],
)
def test_settings_that_the_trainer_lacks_are_refused(flag, message):
    code = (
        "import sys; sys.path.insert(0, 'benchmarks')\n"
        "from torch_games import make_game\nfrom torch_settings import experiment_from_text\n"
        "make_game(experiment_from_text(sys.argv[1]))"
    )
    result = in_torch("-c", code, flag)
    assert result.returncode and f"InputError: {message}" in result.stderr.splitlines()[-1]


def _without_a_weight(folder):
    arrays, told = read_pieces(folder)
    write_pieces(folder, {name: array for name, array in arrays.items() if name != "encoder/h1_linear/kernel"}, told)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_flip_a_byte, "piece-00001.bin is damaged"),
        (lambda folder: (folder / "piece-00001.bin").unlink(), "piece-00001.bin is missing"),
        (lambda folder: (folder / "index.json").unlink(), "index.json is missing"),
        (lambda folder: (folder / "index.json").write_text("{}"), "index.json is damaged"),
        (_other_shape, "of shape"),
        (_without_a_weight, "lack encoder/h1_linear/kernel"),
    ],
)
def test_pieces_that_cannot_be_trusted_are_refused(tmp_path, pieces, harm, message):
    harm(pieces)

    with pytest.raises(InputError, match=message):
        import_run(pieces, tmp_path / "imported")
    assert not RunDirectory(tmp_path / "imported").has_weights()


def test_whole_pieces_are_imported(tmp_path, pieces):
    run, _ = import_run(pieces, tmp_path / "imported")

    assert run.is_finished()
    with pytest.raises(InputError, match="holds a run"):
        import_run(pieces, tmp_path / "imported")
