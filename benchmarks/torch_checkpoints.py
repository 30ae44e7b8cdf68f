"""Checkpoints of a PyTorch training: one file each, whole or absent, read without running code."""

import pathlib
import pickle

import torch

from tf_bigan.files import replacing


class Checkpoints:
    """The checkpoints in a folder, `step-00001234.pt` and so on.

    Args:
      folder: made with the first.
      max_to_keep: how many are kept, the latest.
    """

    def __init__(self, folder, max_to_keep):
        self.folder, self.max_to_keep = pathlib.Path(folder), max_to_keep

    def paths(self):
        """Those there are, the latest last."""
        return sorted(self.folder.glob("step-*.pt"))

    def save(self, state):
        """Writes tensors, numbers and texts by name; "step" among them."""
        with replacing(self.folder / f"step-{state['step']:08d}.pt") as temporary:
            torch.save(state, temporary)
        for path in self.paths()[: -self.max_to_keep]:
            path.unlink(missing_ok=True)

    def load(self, say=print):
        """What the latest that can be read holds, on the CPU; None if none can."""
        for path in reversed(self.paths()):
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
                say(f"{path} is damaged and left out")
        return None
