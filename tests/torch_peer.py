"""Trains a few steps in PyTorch on given images and codes, for test_torch_trainer.py.

Run as `python tests/torch_peer.py FOLDER`. FOLDER/input has the weights, "x" [steps, N, H, W, C], "z" [steps, N,
latent_dim] and the flags. The script writes to FOLDER/output the weights and statistics, codes and images in inference
mode, and the losses of every step.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch_games import make_game  # noqa: E402
from torch_settings import experiment_from_text  # noqa: E402
from torch_steps import Stepper  # noqa: E402

from tf_bigan.pieces import read_pieces, write_pieces  # noqa: E402


def main(folder):
    """Trains, estimates statistics from the first steps' images and codes, and writes."""
    torch.set_num_threads(1)
    arrays, told = read_pieces(folder / "input")
    experiment = experiment_from_text(told["flags"]).sized()
    game = make_game(experiment)
    for network in game.networks.values():
        network.fill(arrays)
    stepper = Stepper(game, None, None, torch.device("cpu"))
    stepper.optimizer.rate.fill_(experiment.learning_rate)
    game.prior = lambda z: z  # the codes come as they are
    x, z = (torch.from_numpy(arrays[name].copy()) for name in ("x", "z"))
    x = x.permute(0, 1, 4, 2, 3)
    smaller = torch.from_numpy(arrays["reduced"].copy()).permute(0, 1, 4, 2, 3) if "reduced" in arrays else x
    losses = [stepper.step(*batch[:2], {"z": batch[2]}).numpy() for batch in zip(x, smaller, z, strict=True)]
    for norm in game.norms():
        norm.estimating = True
    with torch.no_grad():
        for i in range(told["statistics_steps"]):
            game.run_for_statistics(x[i], smaller[i], {"z": z[i]})
        found = {"losses": np.array(losses)}
        for role, network in game.networks.items():
            found |= network.arrays()
            network.eval()
            if role == "encoder":
                found["codes"] = game.code(network(x[0])).numpy()
            if role == "generator":
                found["generated"] = network(z[0]).permute(0, 2, 3, 1).contiguous().numpy()
    write_pieces(folder / "output", found, {})


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
