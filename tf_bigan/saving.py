"""Objects that Keras saves in `.keras` files as the arguments of their constructors."""

import inspect

import keras
import numpy as np

from tf_bigan.errors import InputError

PACKAGE = "tf_bigan"  # under which Keras knows this package's classes


class Configured:
    """A class whose config is the arguments of its constructor, so that Keras can save its objects and load them.

    Subclasses in this package are registered with Keras. A class elsewhere is registered by
    `keras.saving.register_keras_serializable()`, or is named in `custom_objects` where a file is loaded.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(f"{PACKAGE}."):
            keras.saving.register_keras_serializable(PACKAGE)(cls)

    def __new__(cls, *args, **kwargs):
        made = super().__new__(cls)
        # Keras would track an attribute that is set as usual, and save the networks that it holds a second time.
        object.__setattr__(made, "_arguments", _Arguments(cls, args, kwargs))
        return made

    def arguments(self) -> dict:
        """The arguments that this object was made with, by name. Defaults are left out."""
        return dict(self._arguments.named)

    def get_config(self) -> dict:
        return serialized(self.arguments(), type(self).__name__)

    @classmethod
    def from_config(cls, config):
        return cls(**deserialized(config))


class _Arguments:
    """Named arguments of a constructor. No container, as Keras saves the networks that it finds in containers."""

    def __init__(self, cls, args, kwargs):
        self.named = {}
        try:
            given = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
        except TypeError:
            return  # the constructor itself will say so
        kinds = {name: each.kind for name, each in given.signature.parameters.items()}
        for name, value in list(given.arguments.items())[1:]:
            if kinds[name] is inspect.Parameter.VAR_KEYWORD:
                self.named.update(value)
            else:
                self.named[name] = value


def takes(function, name) -> bool:
    """Whether a function can be called with an argument of this name."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def serialized(values, owner) -> dict:
    """Arguments as Keras writes them to JSON.

    Args:
      values: name -> value.
      owner: whose arguments these are; for messages.

    Raises:
      InputError: a value is of a class without a config.
    """
    found = {}
    for name, value in values.items():
        try:
            found[name] = keras.saving.serialize_keras_object(value.item() if isinstance(value, np.generic) else value)
        except (NotImplementedError, TypeError, ValueError):
            raise InputError(
                f"{owner} cannot be saved, because its {name} has no config: give {type(value).__name__} a get_config, "
                "and register it with keras.saving.register_keras_serializable"
            ) from None
    return found


def deserialized(config) -> dict:
    """The inverse of `serialized`."""
    return {name: keras.saving.deserialize_keras_object(value) for name, value in config.items()}
