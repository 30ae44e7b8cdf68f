"""The labels that a run learns: how many classes there are, and which examples' labels are used."""

from tf_bigan import registry
from tf_bigan.data.labelled import choose
from tf_bigan.errors import InputError


def learner(experiment) -> str:
    """The setting that makes a run learn labels, as text; "" if it learns none."""
    if experiment.label_weight and "label_weight" not in registry.UNUSED.get(experiment.system, ()):
        return f"label_weight={experiment.label_weight:g}"
    return f"system={experiment.system}" if registry.find(registry.SYSTEMS[experiment.system]).supervised else ""


def class_settings(experiment, data) -> dict:
    """The setting "classes", taken from the data, if the run learns labels; else {}.

    Raises:
      InputError: the data has no labels or a single class, or `experiment` names another number of classes.
    """
    if not (why := learner(experiment)):
        return {}
    if len(data.class_names) < 2:
        found = "one class" if data.class_names else "no labels"
        raise InputError(f"{data.name} has {found}, and {why} learns to tell classes apart")
    if experiment.classes not in (0, len(data.class_names)):
        raise InputError(
            f"classes={experiment.classes}, but {data.name} has {len(data.class_names)} classes; leave classes at 0, "
            "or limit the data with max_labels"
        )
    return {"classes": len(data.class_names)}


def with_used_labels(experiment, data):
    """The data with the labels that the run uses; `data` itself if it learns none or all.

    Raises:
      InputError: no example has a label, or there are fewer than `labelled` of a class; see `labelled.choose`.
    """
    if not learner(experiment) or (not experiment.labelled and data.labelled()):
        return data
    return data.with_labels_of(choose(data, experiment.labelled, experiment.seed))
