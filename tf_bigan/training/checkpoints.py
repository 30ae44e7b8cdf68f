"""Checkpoints for exact resume. Each is a folder with checksums that is either complete or absent."""

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
      folder: the folder of all checkpoints.
      game: a compiled `Game`.
      max_to_keep: number of checkpoints that are kept; older ones are deleted.
      chief: whether this process writes checkpoints; other processes only read them.
    """

    def __init__(self, folder, game, max_to_keep=2, chief=True):
        self._folder = pathlib.Path(folder)
        self._game = game
        self._max_to_keep = max_to_keep
        self._chief = chief
        # The game itself is left out: reading its metrics sums them over the workers, and only the chief saves.
        self._checkpoint = tf.train.Checkpoint(step=game.step.value, optimizer=game.optimizer, **game.networks)

    def save(self):
        """Writes the current state, and deletes the oldest checkpoints beyond `max_to_keep`.

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
            shutil.rmtree(old, ignore_errors=True)  # another machine may still have one of its files open

    def restore_latest(self, say=print) -> bool:
        """Restores the newest undamaged checkpoint.

        Damaged checkpoints that are newer are renamed to damaged-step-..., so that they no longer count as the newest.
        Unfinished files of a process that was killed are removed.

        Args:
          say: called with a message for every damaged checkpoint.

        Returns:
          Whether a checkpoint was restored.

        Raises:
          InputError: an undamaged checkpoint does not fit the game.
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
                shutil.rmtree(aside, ignore_errors=True)  # the same step may have been damaged before
                path.rename(aside)
        return False

    def _restore(self, path) -> str:
        """Restores the checkpoint at `path`. Returns "", or what is wrong with it if it is damaged."""
        try:
            verify_checksums(path)
            self._checkpoint.read(str(path / "state")).assert_consumed()
        except (InputError, tf.errors.OpError) as error:
            return str(error).splitlines()[0]
        except (AssertionError, ValueError):  # for missing and superfluous values, and for other shapes
            # Otherwise TensorFlow lists every value that was not restored, when the checkpoint's objects are freed.
            tf.get_logger().setLevel("ERROR")
            raise InputError(
                f"{path} is of other networks; another version of tf_bigan wrote it.\n"
                "Resume with that version, or give another --workdir"
            ) from None
        return ""

    def _paths(self):
        return sorted(self._folder.glob("step-*"))
