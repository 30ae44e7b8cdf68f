"""Publishes a run as an entry of a zoo, and adds measurements and pictures to an entry."""

import dataclasses
import re
import shutil

from tf_bigan.errors import InputError
from tf_bigan.evaluation.classifier_files import is_classifier
from tf_bigan.evaluation.report_files import read_report, write_report
from tf_bigan.experiment import Experiment
from tf_bigan.files import CHECKSUMS, replacing, write_checksums, write_text
from tf_bigan.reading import read_text
from tf_bigan.training.run_directory import FLAGFILE, INITIAL, WEIGHTS, RunDirectory
from tf_bigan.zoo.card import card, notes_of
from tf_bigan.zoo.finding import CARD, REPORT, place_of, write_index_of
from tf_bigan.zoo.loading import load
from tf_bigan.zoo.model_facts import network_facts, write_card_facts


def publish(run, name, terms, weights=True, zoo=None, notes="", interim=False, reproduces="yes"):
    """Publishes a run: its directory without the optimizer state, and with a card.

    An entry of that name is replaced; its flagfiles beside train.flags, of other recipes, are kept.
    Flags that belong to the machine (strategy, logical CPUs, precision, xla, threads) are set to their defaults.

    Args:
      run: a run directory with weights and an evaluation report, which tools/evaluate.py writes.
      name: name of the zoo entry, which is replaced if it exists.
      terms: the terms of use of the training data, for the card.
      weights: whether the weights are published, or only the flags, the report and the card.
      zoo: the zoo's folder, whose index is written anew; None = the project's.
      notes: further text for the card, in Markdown.
      interim: whether a run that is still going on is accepted, with the weights that it wrote last. The card then says
        which epoch they are from.
      reproduces: whether training from the flags gives these weights again, up to rounding: "yes", or "no, because
        ...".

    Returns:
      The entry's path.

    Raises:
      InputError: a run that is unfinished, damaged or not evaluated, or a name with other characters than lower-case
        letters, digits and _.
    """
    run = RunDirectory(run)
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(f"a model's name has lower-case letters, digits and _ only, found {name!r}")
    folder, reference = place_of(zoo, name)
    if is_classifier(folder):
        raise InputError(f"{name} is a classifier of the zoo; give another name")
    experiment = run.experiment()
    if not run.has_weights():
        raise InputError(f"{run.path} has no weights; train it to the end first")
    state = run.weights_state()
    if not run.is_finished() and not interim:
        raise InputError(
            f"{run.path} has weights of epoch {state['epochs']} of {experiment.epochs}; finish it, or publish it as "
            "interim"
        )
    if not (run.path / REPORT).exists():
        raise InputError(f"{run.path} has no {REPORT}; run tools/evaluate.py --model={run.path} first")
    report = read_report(run.path / REPORT)
    if report.get("weights") != run.weights_digest():
        raise InputError(f"{run.path / REPORT} is of other weights; run tools/evaluate.py --model={run.path} again")
    lineage = run.initial()
    log = [record for record in run.read_log() if record["epoch"] <= state["epochs"]]
    if not log:
        raise InputError(f"{run.log} is missing or damaged")

    names = ("strategy", "logical_cpus", "precision", "xla", "inter_op_threads", "intra_op_threads")
    machine = {name: Experiment.default(name) for name in names}
    with replacing(folder) as entry:
        entry.mkdir()
        published = RunDirectory(entry)
        published.write_experiment(dataclasses.replace(experiment, **machine))
        initial = [INITIAL] if lineage else []
        for file in [REPORT, *initial, *([*(file.name for file in run.weight_files()), WEIGHTS] if weights else [])]:
            shutil.copyfile(run.path / file, entry / file)
        for file in folder.glob("*.flags"):  # other recipes that the entry had, such as a paper's
            if file.name != FLAGFILE:
                shutil.copyfile(file, entry / file.name)
        told = {"terms": terms, "reproduces": reproduces, "losses": log[-1], "state": state}
        write_card_facts(entry, {**told, **network_facts(experiment)})
        _write_sums(entry)
        if weights and published.weights_digest() != report["weights"]:
            raise InputError(f"{run.path} wrote new weights meanwhile; evaluate and publish those")
        write_text(entry / CARD, card(entry, reference, notes))
    write_index_of(zoo)
    return folder


def publish_metrics(report, name, zoo=None, notes=None):
    """Adds an evaluation to a published entry, and rewrites the numbers of its card.

    Args:
      report: path of the report that tools/evaluate.py --model=NAME --json=PATH wrote.
      name: name of the zoo entry, whose weights and flags stay as they are.
      zoo: the zoo's folder; None = the project's.
      notes: further text for the card, in Markdown; None = the card's present notes.

    Returns:
      The entry's path.

    Raises:
      InputError: no such entry, or a report that is damaged or on other weights or data.
    """
    path, reference = place_of(zoo, name)
    if not (path / REPORT).exists():
        raise InputError(f"{path} is no published entry: it has no {REPORT}")
    published, added = read_report(path / REPORT), read_report(report)
    of = [key for key in published if key not in ("protocols", "commands", "results")]
    if other := [key for key in of if added.get(key) != published[key]]:
        raise InputError(f"{report} is of other {', '.join(other)} than {path / REPORT}")
    notes = _notes_of(path) if notes is None else notes
    with replacing(path) as entry:
        shutil.copytree(path, entry, ignore=shutil.ignore_patterns(".*"))
        write_report(entry / REPORT, added)
        _write_sums(entry)
        write_text(entry / CARD, card(entry, reference, notes))
    write_index_of(zoo)
    return path


def publish_pictures(name, zoo=None, data_dir=None, say=print):
    """Draws the pictures of an entry's card anew: samples, and unseen examples with their reconstructions.

    Args:
      name: name of an entry with weights.
      zoo: the zoo's folder; None = the project's.
      data_dir: the TFDS directory.
      say: function that is called with a line of text if a picture is left out because its data is not here.

    Returns:
      The entry's path.

    Raises:
      InputError: no such entry, or one without weights.
    """
    from tf_bigan.zoo.pictures import draw_pictures  # imports TensorFlow

    path, reference = place_of(zoo, name)
    model, notes = load(path), _notes_of(path)
    with replacing(path) as entry:
        shutil.copytree(path, entry, ignore=shutil.ignore_patterns(".*"))
        draw_pictures(model, RunDirectory(path).experiment(), entry, data_dir, say)
        _write_sums(entry)
        write_text(entry / CARD, card(entry, reference, notes))
    write_index_of(zoo)
    return path


def _notes_of(path):
    """The notes on an entry's card. Raises InputError if it cannot be read."""
    text = read_text(path / CARD)
    try:
        return notes_of(text)
    except ValueError as error:
        raise InputError(f"{path / CARD} is damaged: {error}") from None


def _write_sums(entry):
    """Writes the checksums of all files of an entry except its card, in which people may mend words."""
    names = [file.name for file in entry.iterdir() if file.name not in (CARD, CHECKSUMS)]
    write_checksums(entry, names)
