"""Publishes a finished and evaluated run as a zoo entry: flags, weights, checksums, metrics and a model card.

python tools/publish.py --run=/tmp/bigan_mnist --name=bigan_mnist --terms="MNIST: CC BY-SA 3.0."
python tools/publish.py --add=/tmp/more.json --name=bigan_mnist
python tools/publish.py --draw --name=bigan_mnist
python tools/publish.py --run=/tmp/classifier_cifar10 --name=classifier_cifar10 --terms="CIFAR-10: no licence named."

The second command adds results to an existing entry: those of tools/evaluate.py --model=bigan_mnist
--json=/tmp/more.json. The third draws the pictures of an entry anew. The last publishes a classifier that
tools/train_classifier.py trained.
"""

import pathlib

import common
from absl import flags

_RUN = flags.DEFINE_string("run", None, "the run directory, or the folder of a classifier; required without --add")
_ADD = flags.DEFINE_string("add", None, "an evaluation of the entry, to add to its metrics and its card")
_NAME = flags.DEFINE_string("name", None, "the zoo entry's name; an existing one is replaced; required")
_TERMS = flags.DEFINE_string("terms", None, "the terms of the training data, for the card; required with --run")
_WEIGHTS = flags.DEFINE_bool("weights", True, "publish the weights too; --noweights: only flags, metrics and card")
_NOTES = flags.DEFINE_string("notes", None, "a Markdown file with what else the card should say")
_INTERIM = flags.DEFINE_bool("interim", False, "publish an unfinished run, with the weights that it wrote last")
_REPRODUCES = flags.DEFINE_string(
    "reproduces",
    "yes",
    'whether training from the flags gives these weights again, up to rounding: yes, or "no, because"',
)
_ZOO = flags.DEFINE_string(
    "zoo", None, "the zoo's folder, such as one that TF_BIGAN_ZOO names; default: this project's"
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_DRAW = flags.DEFINE_bool("draw", False, "draw the pictures of an existing entry anew")


def main():
    """Publishes the run, and draws pictures with the result, which also shows that it loads."""
    from tf_bigan.errors import InputError

    name = common.require(_NAME)
    of_entry = "--add" if _ADD.value else "--draw" if _DRAW.value else ""
    if of_entry and any(flag.present for flag in (_RUN, _TERMS, _INTERIM, _WEIGHTS, _REPRODUCES)):
        raise InputError(f"{of_entry} takes an entry as it is: --run and what describes a run do not go with it")
    if _ADD.value and _DRAW.value:
        raise InputError("give --add or --draw, not both")
    run, terms = (None, None) if of_entry else (common.require(_RUN), common.require(_TERMS))
    common.import_tensorflow()
    from tf_bigan import zoo

    folder = pathlib.Path(_ZOO.value) if _ZOO.value else None
    classifier = run and zoo.classifier_path(run)
    if classifier and (_INTERIM.value or not _WEIGHTS.value):
        raise InputError("a classifier is published whole: --interim and --noweights do not go with it")
    if classifier:
        path = zoo.publish_classifier(classifier, name, terms, folder, _notes() or "")
    elif _ADD.value:
        path = zoo.publish_metrics(_ADD.value, name, folder, _notes())
    elif _DRAW.value:
        path = zoo.publish_pictures(name, folder, _DATA_DIR.value, common.note)
    else:
        path = zoo.publish(run, name, terms, _WEIGHTS.value, folder, _notes() or "", _INTERIM.value, _REPRODUCES.value)
        if _WEIGHTS.value:
            zoo.publish_pictures(name, folder, _DATA_DIR.value, common.note)
    print(f"published {path}")


def _notes():
    from tf_bigan.reading import read_text

    return read_text(_NOTES.value).strip() if _NOTES.value else None


if __name__ == "__main__":
    common.run(main, __doc__)
