"""Features of a whole data set, kept on disk so that memory holds those of one layer at a time."""

import tempfile

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.memory import machine_memory
from tf_bigan.progress import counted

_BATCH = 512  # examples at a time


class FeatureStore:
    """The features that one pass over a gallery and queries gives, by name, in temporary files.

    The files lie where Python's `tempfile` puts them, so the environment variable TMPDIR names another folder. They
    have no names, so they vanish with the object, or with the process.

    Args:
      data: an `EvaluationData`.
      names: of the features, as many as `function` gives.
      function: function of a batch of examples that gives a list of features [n, ...].

    Raises:
      InputError: features that do not fit in this machine's memory or on the disk.
    """

    def __init__(self, data, names, function):
        self._widths, self._labels, self._files = {}, {}, {}
        for role, part in (("gallery", data.gallery), ("query", data.queries)):
            try:
                self._files[role] = {name: tempfile.TemporaryFile() for name in names}  # noqa: SIM115 - they live as long as this
                self._labels[role] = self._write(role, part, function)
            except OSError as error:
                raise InputError(
                    f"the features of {part.count} {part.domain.name} cannot be kept in a temporary file: "
                    f"{error.strerror or error}.\nThe environment variable TMPDIR names a folder with more room"
                ) from None

    def load(self, name) -> list:
        """Reads the features of a name.

        Returns:
          [gallery features float32 [N, D], gallery labels int64 [N], query features float32 [Q, D], query labels
          int64 [Q]]. The arrays are the caller's own.
        """
        loaded = []
        for role, files in self._files.items():
            files[name].seek(0)
            features = np.fromfile(files[name], np.float32).reshape(-1, self._widths[name])
            loaded += [features, self._labels[role].copy()]
        return loaded

    def __contains__(self, name):
        return name in self._widths

    def _write(self, role, part, function):
        """Writes the features of a part of the data, and returns its labels."""
        files, labels = self._files[role], []
        batches = counted(
            part.batches(_BATCH),
            f"pass over the {role}",
            part.count,
            part.domain.name,
            lambda batch: len(batch[1]),
        )
        for examples, of_batch in batches:
            for (name, file), features in zip(files.items(), function(examples), strict=True):
                flat = np.reshape(features, (len(examples), -1)).astype(np.float32, copy=False)
                if not labels:
                    self._widths[name] = flat.shape[1]
                    check_memory(role, part, flat.shape[1])
                file.write(np.ascontiguousarray(flat).data)
            labels.append(np.array(of_batch, np.int64))
        for file in files.values():
            file.flush()
        return np.concatenate(labels)


def check_memory(role, part, width):
    """Raises InputError if `width` float32 features of all examples do not fit in memory, before it is full.

    Args:
      role: "gallery" or "query", for the message.
      part: `Data`.
      width: number of features of an example.
    """
    memory = machine_memory()
    needed = 4 * width * part.count
    if needed > memory:
        fewer = f"--{role}_split={part.split.partition('[')[0]}[:{memory // (8 * width)}]"
        hint = f"{fewer if part.split else 'Fewer images'} and --pool take less"
        raise InputError(
            f"{width} features of each of {part.count} {part.domain.name} take {needed / 1e9:.0f} GB, more than "
            f"this machine's {memory / 1e9:.0f} GB of memory.\n{hint}"
        )
