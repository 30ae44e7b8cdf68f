"""Tells in a few lines what a model is. Imports no TensorFlow by itself."""

import dataclasses

from tf_bigan.evaluation.classifier_files import read_about
from tf_bigan.evaluation.measure import Headline
from tf_bigan.experiment.setting import line
from tf_bigan.zoo.classifiers import classifier_path
from tf_bigan.zoo.finding import zoo_path
from tf_bigan.zoo.index import MODEL, entries_of
from tf_bigan.zoo.model_facts import Facts, facts, facts_of

_CHANGES = ("objective", "unary_scores", "discriminator_norm")  # settings that change the game and add no term to it
_SELF_SUPERVISED = ("rotation_encoder", "rotation_discriminator")
_BASELINES = {"untrained": "the same network before training", "pixels": "raw pixels"}
_NETWORKS = {"encoder": "E", "generator": "G", "discriminator": "D"}


def describe(name):
    """Prints what a model is: its data, terms, size, numbers and layers.

    Args:
      name: a name from `list_models`, a classifier of the zoo, or the path of a run directory. A published model is
        described without TensorFlow; a remote one is fetched.

    Raises:
      InputError: an unknown name, or a damaged file.
    """
    if folder := classifier_path(name):
        rows = [*classifier_rows(folder), ("use", f'tf_bigan.zoo.find_classifier("{name}").model'), ("folder", folder)]
    else:
        found = facts(name)
        use = f'tf_bigan.load("{name}")' if found.bytes else f'tf_bigan.load("{name}", weights=None): fresh weights'
        rows = [*fact_rows(found), ("use", use), ("folder", found.path)]
    width = max(len(head) for head, _ in rows)
    print("\n".join([str(name), *(f"  {head:<{width}}  {text}" for head, text in rows)]))


def classifier_rows(folder) -> list[tuple[str, str]]:
    """Rows (name, text) of a table of what a classifier is. Raises InputError if its folder is damaged."""
    about = read_about(folder)
    return [
        ("classifier", f"{about['settings']['architecture']}, for {len(about['class_names'])} classes"),
        ("data", f"{about['dataset']} ({about['split']}), {'x'.join(map(str, about['image_shape']))}"),
        ("accuracy on test images, %", f"{about['accuracy']:.2f}"),
    ]


def fact_rows(found: Facts) -> list[tuple[str, str]]:
    """Rows (name, text) of a table of facts."""
    experiment = found.experiment
    parameters = ", ".join(f"{_NETWORKS.get(role, role)} {count:,}" for role, count in found.parameters.items())
    rows = [
        ("system", f"{experiment.system}, networks {experiment.networks}"),
        ("data", data_of(found)),
        ("training", training_of(found)),
        ("parameters", parameters),
        ("weights", size_of(found)),
        ("codes", f"{experiment.latent_dim} dimensions, prior {experiment.prior}"),
        ("layers", ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in _main_layers(found))),
        *((headline.title, beside(headline)) for headline in found.headlines.values()),
    ]
    if added := _additions_of(experiment):
        rows.insert(1, ("added to the game", added))
    if experiment.average_decay:
        rows.append(("averages", _averages_of(experiment)))
    if above := _unbeaten(found):
        number, of = _first(found).title.partition(",")[0], " and of ".join(_BASELINES[name] for name in above)
        rows.append(("for study only", f"the {number} is no better than that of {of}"))
    if found.reproduces:
        rows.append(("reproduces", found.reproduces))
    if found.terms:
        rows.append(("terms", f"Apache-2.0; training data: {found.terms}"))
    return rows


def _first(found):
    return next(iter(found.headlines.values()))


def _unbeaten(found):
    """The names of the baselines of features that a model's first number does not beat."""
    missed = _first(found).not_better_than() if found.headlines else []
    return [name for name in missed if name in _BASELINES]


def _additions_of(experiment):
    """The terms that a run adds to its system's game and its other changes of the game, as text."""
    told = []
    for field in dataclasses.fields(experiment):
        value = getattr(experiment, field.name)
        if value == field.default or not (field.metadata["term"] or field.name in _CHANGES):
            continue
        remarks = [field.metadata["source"]] * bool(field.metadata["source"])
        if field.name in _SELF_SUPERVISED:
            remarks.insert(0, "a self-supervised task")
        text = line(field.name, value).removeprefix("--").rstrip()
        told.append(text + f" ({'; '.join(remarks)})" * bool(remarks))
    return ", ".join(told)


def _averages_of(experiment):
    return f"the weights are running averages of those in training, decay {experiment.average_decay:g}"


def _main_layers(found):
    """The layers after their norms and rectifiers, with their shapes."""
    return [(name, shape) for name, shape in found.layers.items() if not name.endswith(("_linear", "_norm"))]


def data_of(found: Facts) -> str:
    """What a model was trained on, as text."""
    experiment = found.experiment
    if experiment.dimensions:
        shape = f"points of {experiment.dimensions} coordinates"
    elif experiment.image_size and experiment.channels:
        shape = "x".join(map(str, experiment.encoder_shape))
    else:
        shape = "images as they are stored"
    classes = f", first {experiment.max_labels} classes" if experiment.max_labels else ""
    return f"{experiment.dataset} ({experiment.split}{classes}), {shape}"


def training_of(found: Facts) -> str:
    """How far a model was trained, as text."""
    of = found.experiment.epochs
    if found.epochs is None:
        return "none yet; flags only"
    total = " + ".join(map(str, [*found.initial_epochs, found.epochs]))
    return f"{total} epochs" if found.epochs == of else f"{total} of {of} epochs (interim weights)"


def size_of(found: Facts) -> str:
    """The size of a model's weight files, as text."""
    if not found.bytes:
        return "not published"
    encoder = found.bytes.get("encoder.weights.h5")
    total = f"{sum(found.bytes.values()) / 1e6:.1f} MB"
    return f"{total}, of which the encoder takes {encoder / 1e6:.1f} MB" if encoder else total


def beside(headline: Headline) -> str:
    """A number with its layer and baselines, as text: "29.05 (conv2); untrained 25.35, pixels 11.15"."""
    digits = headline.digits
    layer = f" ({headline.layer})" if headline.layer else ""
    others = baselines_text(headline)
    return f"{headline.value:.{digits}f}{layer}{'; ' + others if others else ''}"


def baselines_text(headline: Headline) -> str:
    """What a number is compared with, as text: "untrained 25.4, pixels 11.2"; empty without baselines."""
    return ", ".join(f"{name} {value:.{headline.digits}f}" for name, value in headline.baselines.items())


def models_table(better: bool) -> str:
    """A Markdown table of the project's models with weights, as the README shows it.

    Args:
      better: True = the models whose first number is better than those of the same network before training and of raw
        pixels, as far as these were measured; False = the others.
    """
    heads = ("model", "data", "encoder, MB", "all, MB", "number", "best layer", "untrained", "pixels")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, kind in entries_of(zoo_path()).items():
        found = facts_of(zoo_path() / name, name) if kind == MODEL else None
        if found is None or not found.bytes or better == bool(_unbeaten(found)):
            continue
        encoder = found.bytes.get("encoder.weights.h5")
        headline = _first(found)
        baselines = [headline.baselines.get(of) for of in ("untrained", "pixels")]
        cells = [
            f"[`{name}`](zoo/{name}/README.md)",
            f"{data_of(found)}; {training_of(found)}",
            f"{encoder / 1e6:.1f}" if encoder else "",
            f"{sum(found.bytes.values()) / 1e6:.1f}",
            headline.title,
            f"{headline.value:.{headline.digits}f}" + (f" ({headline.layer})" if headline.layer else ""),
            *("" if value is None else f"{value:.{headline.digits}f}" for value in baselines),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
