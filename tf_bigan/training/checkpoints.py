"""Checkpoints for exact resume. Each is a folder with checksums that is either complete or absent."""

import json
import math
import pathlib
import shutil

import tensorflow as tf

from tf_bigan.errors import InputError, reason
from tf_bigan.files import remove_leftovers, replacing, verify_checksums, write_checksums
from tf_bigan.reading import parsed, read_text

_SUMS = "losses.json"

_STEP = "step/.ATTRIBUTES/VARIABLE_VALUE"  # the name of the step in a checkpoint


class Checkpoints:
    """The checkpoints of a game, in `folder`/step-000000123/.

    They hold everything that decides the rest of the run: networks, averages of their weights, optimizer and loss
    scale, and the step, from which data order and noise follow. For the run's log, they also hold the log so far and,
    within an epoch, the sums of the losses since its beginning.

    Args:
      folder: the folder of all checkpoints.
      game: a compiled `Game`.
      max_to_keep: number of checkpoints that are kept; older ones are deleted.
      chief: whether this process writes checkpoints; other processes only read them.
      log: the path of the run's log; None = it is not kept.

    Attributes:
      restored_log: the path of the log in the checkpoint that was restored; None if there is none.
      restored_sums: {loss: (sum, number of steps)} of the epoch within which the restored checkpoint was saved; {} if
        it was saved at the end of an epoch, or by an earlier version.
    """

    def __init__(self, folder, game, max_to_keep=2, chief=True, log=None):
        self._folder = pathlib.Path(folder)
        self._game = game
        self._max_to_keep = max_to_keep
        self._chief = chief
        self._log = None if log is None else pathlib.Path(log)
        self.restored_log, self.restored_sums = None, {}
        # The game itself is left out: reading its metrics sums them over the workers, and only the chief saves.
        averages = {name: variable.value for name, variable in game.average_variables().items()}
        self._checkpoint = tf.train.Checkpoint(
            **{"step": game.step.value, "optimizer": game.optimizer, **game.networks},
            **({"averages": averages} if averages else {}),
        )

    def save(self, sums=None):
        """Writes the current state, and deletes the oldest checkpoints beyond `max_to_keep`.

        Args:
          sums: as `restored_sums`; None = {}.

        Raises:
          InputError: the folder cannot be written.
        """
        if not self._chief:
            return
        path = self._folder / _name(self._game.steps_done)
        with replacing(path) as temporary:
            temporary.mkdir()
            try:
                self._checkpoint.write(str(temporary / "state"))
            except tf.errors.OpError as error:
                raise InputError(f"cannot write {path}: {reason(error.message)}") from None
            if self._log is not None and self._log.exists():
                shutil.copyfile(self._log, temporary / self._log.name)
            if sums:
                (temporary / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
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
            remove_leftovers(self._folder, sole_writer=True)
        changed = False  # whether a checkpoint that turned out to be damaged may have changed some of the game's state
        for path in reversed(self._paths()):
            damage = _damage(path)
            if not damage:
                damage = self._restore(path)
                changed = True
            if not damage:
                return True
            say(f"skipping checkpoint {path.name}: {damage}")
            if self._chief:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)  # the same step may have been damaged before
                path.rename(aside)
        if changed:
            raise InputError(f"no checkpoint in {self._folder} can be restored; give another --workdir")
        return False

    def _restore(self, path) -> str:
        """Restores the checkpoint at `path`. Returns "", or what is wrong with it if it is damaged."""
        try:
            sums = _read_sums(path / _SUMS)
        except InputError as error:
            return str(error)
        try:
            self._checkpoint.read(str(path / "state")).assert_consumed()
        except (AssertionError, ValueError):  # for missing and superfluous values, and for other shapes
            # Otherwise TensorFlow lists every value that was not restored, when the checkpoint's objects are freed.
            tf.get_logger().setLevel("ERROR")
            raise InputError(
                f"{path} is of other networks; another version of tf_bigan wrote it.\n"
                "Resume with that version, or give another --workdir"
            ) from None
        except Exception as error:  # TensorFlow's own, and those of the encoding of its graph of objects
            return _first_line(error)
        log = None if self._log is None else path / self._log.name
        self.restored_log, self.restored_sums = log if log and log.exists() else None, sums
        return ""

    def _paths(self):
        return sorted(self._folder.glob("step-*"))


def _read_sums(path):
    if not path.exists():
        return {}
    try:
        found = parsed(read_text(path))
        return {str(name): (float(total), float(steps)) for name, (total, steps) in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged") from None


def _damage(path) -> str:
    """What is wrong with the checkpoint at `path`, without restoring it; "" = every value in it can be read.

    Its checksums are not enough: they may be those of files that are damaged. Restoring such a checkpoint would leave
    the game with some of its values.
    """
    try:
        verify_checksums(path)
        held = sum(file.stat().st_size for file in path.iterdir())
        reader = tf.train.load_checkpoint(str(path / "state"))
        types, step = reader.get_variable_to_dtype_map(), None
        for name, shape in reader.get_variable_to_shape_map().items():
            if types[name] != tf.string and types[name].size * math.prod(shape) > held:
                return f"{name} is larger than its files"
            value = reader.get_tensor(name)
            step = int(value) if name == _STEP else step
        return "" if path.name == _name(step) else f"it is of step {step}"
    except Exception as error:  # an InputError of the checksums, or what TensorFlow raises for damaged files
        return _first_line(error)


def _name(step):
    return f"step-{step:09d}" if step is not None else ""


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
