"""Reads exported modules. What is damaged, or is no module, ends in an InputError of a line."""

import os
import pathlib

import tensorflow as tf

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.files import CHECKSUMS, verify_checksums
from tf_bigan.games.inspection import base_layer, read_out
from tf_bigan.preparation import Preparation
from tf_bigan.reading import check_files

GRAPH, INDEX = "saved_model.pb", "variables/variables.index"


class Module:
    """A SavedModel. The files of one with SHA256SUMS, as `tf_bigan.export` writes it, are verified before it is read.

    Args:
      path: its folder, or an address of TF-Hub.
      weights: whether to read its weights; else they have no values, and there need be no files of them.

    Attributes:
      path: as given.
      folder: the folder that it is in.
      loaded: what `tf.saved_model.load` returns.

    Raises:
      InputError: there is none, or it is damaged; a file that differs from its checksum is named.
    """

    def __init__(self, path, weights=True):
        self.path, self.folder = path, pathlib.Path(path).expanduser()
        if not self.folder.exists() and "://" in os.fspath(path):
            self.folder = _resolved(path)
        if not self.folder.exists():
            raise InputError(f"{path} cannot be loaded: there is no such folder")
        if not (self.folder / GRAPH).is_file():
            raise InputError(f"{path} is no module: it has no {GRAPH}")
        check_files(self.folder)
        verify_module(self.folder)
        options = tf.saved_model.LoadOptions(experimental_skip_checkpoint=not weights)
        try:
            self.loaded = tf.saved_model.load(str(self.folder), options=options)
        except Exception as error:  # TensorFlow checks little as it reads, so damage may surface as any error
            raise InputError(f"{path} cannot be loaded, as it is damaged: {first_line(error)}") from None

    def preparation(self) -> Preparation | None:
        """How examples are to be prepared for an exported encoder; None if its version of tf_bigan did not say.

        Raises:
          InputError: the module is no exported encoder.
        """
        if hasattr(self.loaded, "preparation"):
            return Preparation.from_json(self._run(self.loaded.preparation).numpy().decode())
        if not hasattr(self.loaded, "input_channels"):
            raise InputError(f"{self.path} is no exported encoder: it does not say how images are to be prepared")
        return None

    def channels(self) -> int:
        """The channels of the images that an encoder without a `preparation` takes."""
        return int(self._run(self.loaded.input_channels))

    def function(self, layer=None):
        """The function from examples to the module's features or, with `layer`, to a layer's outputs or the "code".

        A layer's name may be that of a read-out, such as "crelu(conv5_norm)".

        It takes float32 [N, ...] and gives float32 [N, ...]. If TensorFlow cannot run it, it raises InputError.

        Raises:
          InputError: the module has no such layer.
        """
        if not layer:
            return lambda examples: self._run(self.loaded, examples)
        name = base_layer(layer)
        self.check_layer(name)
        function = named_functions(self.loaded)[name]
        return lambda examples: read_out(layer, self._run(function, examples))

    def check_layer(self, layer):
        """Raises InputError unless the module has a layer of this name; None stands for its features."""
        found = named_functions(self.loaded)
        if layer and layer not in found:
            raise InputError(f"{self.path} has no layer {layer!r}.{did_you_mean(layer, found)}")

    def _run(self, function, *inputs):
        try:
            return function(*inputs)
        except tf.errors.ResourceExhaustedError:
            raise  # memory, of which tools tell
        except Exception as error:
            raise InputError(f"{self.path} is damaged, or takes something else: {first_line(error)}") from None


def named_functions(loaded) -> dict:
    """The functions of a SavedModel that `tf_bigan.export` wrote, by the names of their layers; "code" is E's code."""
    # SavedModels from elsewhere have neither `layers` nor `encode`.
    code = {"code": loaded.encode} if hasattr(loaded, "encode") else {}
    return {**getattr(loaded, "layers", {}), **code}


def verify_module(folder):
    """Raises InputError, naming the file, if a file of a module differs from its checksum.

    Modules of earlier versions, and those from elsewhere, have no checksums and are not verified.
    """
    folder = pathlib.Path(folder)
    if (folder / CHECKSUMS).exists():
        verify_checksums(folder)
        verify_checksums(folder, [GRAPH, INDEX])  # which it must list


def first_line(error) -> str:
    """The line of TensorFlow's text that tells what happened, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = [line for line in lines if not line.startswith(("Graph execution error", "Detected at node", "<stack"))]
    return (told or lines)[0][:200]


def _resolved(path):
    import tensorflow_hub as hub

    try:
        return pathlib.Path(hub.resolve(os.fspath(path)))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(f"{path} cannot be loaded: {first_line(error)}") from None
