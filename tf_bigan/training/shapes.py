"""The settings that follow from the shape of a run's data."""

from tf_bigan import registry
from tf_bigan.errors import InputError


def shape_settings(experiment, data) -> dict:
    """The settings that describe the shape of the examples and the number of attributes, taken from `data`.

    Raises:
      InputError: the system needs attributes, and the data has none or another number of them than the experiment says.
    """
    attributes = _attributes(experiment, data)
    if data.domain.name == "points":
        return {"dimensions": data.example_shape[0], **attributes}
    size, _, channels = data.example_shape
    return {"image_size": experiment.image_size or size, "channels": channels, **attributes}


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
