"""Checkpoints for exact resume: a folder each, whole or absent, with checksums."""

import pathlib
import shutil

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.files import replacing, verify_checksums, write_checksums


class Checkpoints:
    """The checkpoints of a game, in `folder`/step-000000123/.

    They hold everything that decides the rest of the run: networks, optimizer and loss scale, and the step,
    from which data order and noise follow.

    Args:
      folder: where they lie.
      game: a compiled `Game`.
      max_to_keep: checkpoints; older ones are deleted.
      chief: whether this process writes; others only read.
    """

    def __init__(self, folder, game, max_to_keep=2, chief=True):
        self._folder = pathlib.Path(folder)
        self._game = game
        self._max_to_keep = max_to_keep
        self._chief = chief
        # Not the game itself: its metrics are summed over workers when read, which only all can do together.
        self._checkpoint = tf.train.Checkpoint(step=game.step.value, optimizer=game.optimizer, **game.networks)

    def save(self):
        """Writes the state as it is now and drops the oldest beyond `max_to_keep`.

        Raises:
          InputError: the folder cannot be written.
        """
        if not self._chief:
            return
        path = self._folder / f"step-{self._game.steps_done:09d}"
        with replacing(path) as temporary:
            temporary.mkdir()
            try:
                self._checkpoint.write(str(temporary / "state"))
            except tf.errors.OpError as error:
                raise InputError(f"cannot write {path}: {error.message}") from None
            write_checksums(temporary, [file.name for file in temporary.iterdir()])
        for old in self._paths()[: -self._max_to_keep]:
            shutil.rmtree(old, ignore_errors=True)  # as a file that another machine still has open

    def restore_latest(self, say=print) -> bool:
        """Restores the newest undamaged checkpoint.

        Damaged ones after it are renamed to damaged-step-..., or they would count as the newest; what a killed
        writer left is removed.

        Args:
          say: called with a line for every damaged one.

        Returns:
          Whether there was one.

        Raises:
          InputError: an undamaged one does not fit the game.
        """
        if self._chief:
            for left in self._folder.glob(".????????.step-*"):
                shutil.rmtree(left)
        for path in reversed(self._paths()):
            damage = self._restore(path)
            if not damage:
                return True
            say(f"skipping checkpoint {path.name}: {damage}")
            if self._chief:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)  # of an earlier time
                path.rename(aside)
        return False

    def _restore(self, path) -> str:
        """Restores what `path` holds; returns what is wrong with it if it is damaged, else ""."""
        try:
            verify_checksums(path)
            self._checkpoint.read(str(path / "state")).assert_consumed()
        except (InputError, tf.errors.OpError) as error:
            return str(error).splitlines()[0]
        except (AssertionError, ValueError):  # missing and superfluous values; other shapes
            # Or it would list every value that it has not restored, when it lets go of them.
            tf.get_logger().setLevel("ERROR")
            raise InputError(
                f"{path} is of other networks; another version of tf_bigan wrote it.\n"
                "Resume with that one, or give another --workdir"
            ) from None
        return ""

    def _paths(self):
        return sorted(self._folder.glob("step-*"))
