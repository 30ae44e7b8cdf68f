"""Checkpoints of a PyTorch training run. Each is one file, whole or absent; reading it executes no code."""

import pathlib
import pickle

import torch

from tf_bigan.files import replacing


class Checkpoints:
    """The checkpoints in a folder, `step-00001234.pt` and so on.

    Args:
      folder: created with the first checkpoint.
      max_to_keep: number of checkpoints that are kept; older ones are deleted.
    """

    def __init__(self, folder, max_to_keep):
        self.folder, self.max_to_keep = pathlib.Path(folder), max_to_keep

    def paths(self):
        """The paths of the checkpoints, the latest last."""
        return sorted(self.folder.glob("step-*.pt"))

    def save(self, state):
        """Writes `state`: tensors, numbers and strings by name, including "step"."""
        with replacing(self.folder / f"step-{state['step']:08d}.pt") as temporary:
            torch.save(state, temporary)
        for path in self.paths()[: -self.max_to_keep]:
            path.unlink(missing_ok=True)

    def load(self, say=print):
        """The state in the latest checkpoint that can be read, on the CPU; None if there is none."""
        for path in reversed(self.paths()):
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
                say(f"{path} is damaged and left out")
        return None
