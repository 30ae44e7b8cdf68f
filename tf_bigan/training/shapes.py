"""The settings that follow from the shape of a run's data."""

from tf_bigan import registry
from tf_bigan.errors import InputError
from tf_bigan.training.labels import class_settings


def shape_settings(experiment, data) -> dict:
    """The settings that describe the shape of examples, the classes to learn and the attributes, taken from `data`.

    Raises:
      InputError: the system needs attributes, and the data has none or another number of them than the experiment says;
        or for the reasons of `class_settings`.
    """
    others = {**_attributes(experiment, data), **class_settings(experiment, data)}
    if data.domain.name == "points":
        return {"dimensions": data.example_shape[0], **others}
    size, _, channels = data.example_shape
    return {"image_size": experiment.image_size or size, "channels": channels, **others}


def _attributes(experiment, data):
    if not registry.find(registry.SYSTEMS[experiment.system]).conditional:
        return {}
    found = len(data.attribute_names)
    if not found:
        remedy = "; --attributes_from=label makes one-hot vectors of its labels" if data.class_names else ""
        raise InputError(f"{experiment.system} needs attributes, and {data.name} has none{remedy}")
    if experiment.attributes not in (0, found):
        raise InputError(f"{data.name} has {found} attributes, not the {experiment.attributes} of --attributes")
    return {"attributes": found}
