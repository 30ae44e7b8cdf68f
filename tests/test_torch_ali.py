"""ALI with the networks for CIFAR-10, trained in PyTorch and used in TensorFlow."""

import json
import os

import numpy as np
import pytest

from tests.helpers import ROOT, run_tool
from tests.test_torch_trainer import in_torch, needs_torch
from tf_bigan.pieces import write_pieces
from tf_bigan.zoo import load

# Computes the outputs of the PyTorch networks with the trained weights in inference mode.
PEER = """
import json, sys
sys.path[:0] = [".", "benchmarks"]
import numpy as np, torch
from torch_games import make_game
from torch_settings import experiment_from_text
from tf_bigan.pieces import read_pieces
arrays, told = read_pieces(sys.argv[1])
game = make_game(experiment_from_text(told["flags"]).sized())
x, z = (torch.from_numpy(np.load(sys.argv[2])[name]) for name in ("x", "z"))
with torch.no_grad():
    for network in game.networks.values():
        network.fill(arrays)
        network.eval()
    outputs = game.networks["encoder"](x.permute(0, 3, 1, 2)).numpy()
    images = game.networks["generator"](z).permute(0, 2, 3, 1).contiguous().numpy()
    logits = game.networks["discriminator"](x.permute(0, 3, 1, 2), z).numpy()
np.savez(sys.argv[3], outputs=outputs, images=images, logits=logits)
"""


@pytest.fixture
def pack(tmp_path):
    """80 images of 32x32 pixels, packed."""
    images = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 3), dtype=np.uint8)
    told = {"dataset": "cifar10", "split": "train[:45000]", "max_labels": 0, "count": 80, "image_size": 32}
    arrays = {"images": images, "labels": np.zeros(80, np.int64)}
    write_pieces(tmp_path / "pack", arrays, {**told, "channels": 3}, compress=True)
    return tmp_path / "pack"


@needs_torch
def test_ali_trained_in_pytorch_is_imported_and_gives_the_same(tmp_path, pack):
    flags = [f"--flagfile={ROOT / 'zoo' / 'ali_cifar10' / 'train.flags'}", "--batch_size=16", "--constant_epochs=1"]
    script = ROOT / "benchmarks" / "torch_train.py"
    places = [f"--examples={pack}", f"--workdir={tmp_path / 'run'}"]
    trained = in_torch(script, *flags, *places, "--threads=1", "--device=cpu")
    assert trained.returncode == 0, trained.stderr
    pieces = tmp_path / "run" / "weights"
    status, _, stderr = run_tool("import_run.py", f"--pieces={pieces}", f"--workdir={tmp_path / 'imported'}")
    assert status == 0, stderr
    assert str(tmp_path) not in json.loads((tmp_path / "imported" / "weights.json").read_text())["trainer"]["command"]

    model = load(tmp_path / "imported")
    rng = np.random.default_rng(1)
    x, z = rng.uniform(size=(4, 32, 32, 3)).astype(np.float32), rng.normal(size=(4, 64)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", x=x, z=z)
    told = in_torch("-c", PEER, pieces, tmp_path / "inputs.npz", tmp_path / "outputs.npz")
    assert told.returncode == 0, told.stderr
    expected = np.load(tmp_path / "outputs.npz")
    np.testing.assert_allclose(model.encode(x), expected["outputs"][:, :64], atol=1e-5)
    np.testing.assert_allclose(model.generate(z=z), expected["images"], atol=1e-5)
    np.testing.assert_allclose(model.discriminator([x, z]), expected["logits"], atol=1e-5)


@needs_torch
def test_what_the_pytorch_trainer_has_not_is_refused(tmp_path, pack):
    script = ROOT / "benchmarks" / "torch_train.py"
    flags = [f"--flagfile={ROOT / 'zoo' / 'ali_cifar10' / 'train.flags'}", f"--examples={pack}"]
    refused = in_torch(script, *flags, f"--workdir={tmp_path / 'run'}", "--r1_penalty=1", "--batch_size=16")
    assert refused.returncode == 2 and "without terms" in refused.stderr and "Traceback" not in refused.stderr
    assert not os.path.exists(tmp_path / "run" / "weights")
