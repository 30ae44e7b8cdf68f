"""The config of a game, by which Keras saves it in a `.keras` file and loads it."""

import pathlib

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.files import replacing
from tf_bigan.games import objectives
from tf_bigan.preparation import Preparation
from tf_bigan.saving import Configured, deserialized, serialized, takes

# Objectives by the names of their constants.
_OBJECTIVES = {name: each for name, each in vars(objectives).items() if isinstance(each, objectives.Objective)}

# The arguments that every game has; a subclass may lack some of them.
_SHARED = ("networks", "prior", "terms", "posterior", "objective", "seed", "name", "average_decay")


class SavedGame(Configured):
    """A game that is saved as its networks, prior, posterior, terms, objective, seed and what else it was made with.

    `game.save("game.keras")` also saves weights, with their averages if the game keeps any, the number of steps done,
    and, if the game is compiled, its optimizer.
    So `fit` goes on with a game that `keras.models.load_model` gives as it would with the one that was saved. Networks
    may be any that Keras can save. Before loading, `tf_bigan.games` is imported, which tells Keras of these classes.
    """

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves the game as `keras.Model.save` does, but leaves an earlier file as it is if that fails.

        Raises:
          InputError: the file cannot be written, or as in `get_config`.
        """
        if not overwrite and pathlib.Path(filepath).exists():
            return super().save(filepath, overwrite, **kwargs)  # Keras asks
        with replacing(filepath) as temporary:
            return super().save(temporary, **kwargs)

    def get_config(self):
        """The arguments of the constructor as Keras writes them.

        Raises:
          InputError: the game has something that Keras cannot write, such as a prior of a class without a config.
        """
        brought = {role for term in self.terms for role in term.networks}
        shared = {
            "networks": {role: network for role, network in self.networks.items() if role not in brought},
            "prior": self.prior,
            "terms": list(self.terms),
            "posterior": self.posterior,
            "objective": self._objective_name(),
            "seed": self.seed,
            "name": self.name,
            "average_decay": self.average_decay,
        }
        own = {name: value for name, value in self.arguments().items() if name not in _SHARED}
        shared = {name: value for name, value in shared.items() if takes(type(self).__init__, name)}
        config = serialized({**own, **shared}, self.name)
        penultimate = {
            role: network.penultimate for role, network in self.networks.items() if hasattr(network, "penultimate")
        }
        preparation = None if self.preparation is None else self.preparation.to_json()
        return {**config, "attributes": {"penultimate": penultimate, "preparation": preparation}}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        attributes = config.pop("attributes")
        arguments = deserialized(config)
        if "objective" in arguments:
            arguments["objective"] = _OBJECTIVES.get(arguments["objective"])
        game = cls(**arguments)
        for role, layer in attributes["penultimate"].items():
            game.networks[role].penultimate = layer
        preparation = attributes["preparation"]
        game.preparation = None if preparation is None else Preparation.from_json(preparation)
        return game

    def save_own_variables(self, store):
        for name, variable in {**self.counters(), **self.average_variables()}.items():
            store[name] = variable.numpy()

    def load_own_variables(self, store):
        """Reads the counters and averages by name.

        Earlier files number the counters, and have fewer; others keep their values. If there are no averages in the
        file, they begin anew.
        """
        names = set(store.keys())
        for index, (name, variable) in enumerate(self.counters().items()):
            if found := names & {name, str(index)}:
                variable.assign(store[found.pop()])
        averages = self.average_variables()
        for name, variable in averages.items():
            variable.assign(store[name] if averages.keys() <= names else np.zeros(variable.shape, variable.dtype))

    def _objective_name(self):
        """The name of the objective's constant; None if it is the system's own."""
        if self.objective == type(self).objective:
            return None
        for name, each in _OBJECTIVES.items():
            if each == self.objective:
                return name
        raise InputError(
            f"{self.name} cannot be saved, because its objective is none of tf_bigan.games.objectives; make it the "
            "attribute `objective` of a registered subclass"
        )
