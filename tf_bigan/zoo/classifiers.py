"""Finds and publishes classifiers of images."""

import os
import pathlib
import re
import shutil

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.classifier_files import ABOUT, NETWORK, is_classifier
from tf_bigan.evaluation.settings import Classifier
from tf_bigan.files import replacing, write_checksums, write_text
from tf_bigan.training.run_directory import FLAGFILE
from tf_bigan.zoo.finding import CARD, entry_path, list_classifiers, list_models, place_of, write_index_of
from tf_bigan.zoo.index import CLASSIFIER
from tf_bigan.zoo.loading import load_with_digest


def classifier_path(name) -> pathlib.Path | None:
    """The folder of a classifier of the zoos, or `name` itself if it is the folder of one; None if it is neither."""
    if found := entry_path(name, CLASSIFIER):
        return found
    path = os.path.expanduser(name)
    return pathlib.Path(path) if is_classifier(path) else None


def find_classifier(name) -> Classifier:
    """Opens what judges samples.

    Args:
      name: a classifier of the zoo, the folder of one that `tools/train_classifier.py` wrote, or a zoo model's name or
        a run directory whose D was trained to classify.

    Raises:
      InputError: it is none of these.
    """
    from tf_bigan.evaluation.classifiers import ImageClassifier

    if path := classifier_path(name):
        found = ImageClassifier.load(path)
        return Classifier(str(name), found.digest, found)
    try:
        model, digest = load_with_digest(name)
    except InputError as error:
        if str(name) in list_models() or os.path.isfile(os.path.join(os.path.expanduser(name), FLAGFILE)):
            raise
        hint = did_you_mean(str(name), [*list_models(), *list_classifiers()])
        raise InputError(f"unknown classifier {str(name)!r}.{hint} The folder of a classifier works too") from error
    return Classifier(str(name), digest, model)


def publish_classifier(folder, name, terms, zoo=None, notes="") -> pathlib.Path:
    """Publishes a classifier as an entry of the zoo, with a card.

    Args:
      folder: the folder that `tools/train_classifier.py` wrote.
      name: name of the entry, which is replaced if it exists.
      terms: the terms of use of the training data, for the card.
      zoo: the zoo's folder, whose index is written anew; None = the project's.
      notes: further text for the card, in Markdown.

    Returns:
      The entry's path.

    Raises:
      InputError: a folder without a classifier, or a name with other characters than lower-case letters, digits and _.
    """
    from tf_bigan.evaluation.classifiers import ImageClassifier

    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(f"a classifier's name has lower-case letters, digits and _ only, found {name!r}")
    classifier = ImageClassifier.load(folder)
    place, reference = place_of(zoo, name)
    if (place / FLAGFILE).exists():
        raise InputError(f"{place} is an entry of a model; give another name")
    with replacing(place) as entry:
        entry.mkdir()
        for file in (NETWORK, ABOUT):
            shutil.copyfile(pathlib.Path(folder) / file, entry / file)
        write_checksums(entry, [NETWORK, ABOUT])
        write_text(entry / CARD, _card(reference, classifier, terms, notes))
    write_index_of(zoo)
    return place


def _card(reference, classifier, terms, notes):
    from tf_bigan.evaluation.classifier_training import ClassifierSettings

    about, settings = classifier.about, classifier.about["settings"]
    height, width, channels = classifier.example_shape
    size = settings["input_size"]
    fields = ClassifierSettings.__dataclass_fields__
    changed = {name: value for name, value in settings.items() if name in fields and value != fields[name].default}
    names = ("dataset", "split", "test_dataset", "test_split")
    told = {**{name: about[name] for name in names if about[name]}, "image_size": height, **changed}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in told.items()}
    flags = " ".join(f"--{name}={text}" for name, text in texts.items())
    resized = f", which it resizes to {size}x{size}" if size else ""
    return f"""# {pathlib.Path(reference).name}

A classifier that judges samples: {settings["architecture"]} of `keras.applications`, trained from fresh weights on
{about["examples"]:,} images of {about["dataset"]} {about["split"]}. It has {classifier.network.count_params():,}
parameters and takes images of {height}x{width}x{channels}{resized}. One run, seed {settings["seed"]},
{settings["epochs"]} epochs.

After the last epoch it classifies **{about["accuracy"]:.2f} %** of the {about["queries"]:,} images of
{about["test_dataset"]} {about["test_split"]} rightly.

    python tools/train_classifier.py {flags} --workdir=DIR
    python tools/evaluate.py --model=MODEL --metrics=fid,kid,precision_recall,class_score --feature_network={reference}
    python tools/evaluate.py --model=MODEL --metrics=agreement --classifier={reference}

```python
from tf_bigan import zoo
classifier = zoo.find_classifier("{reference}").model
classifier.class_probabilities(images)      # float32 [N, {len(classifier.class_names)}]
classifier.features(images)                 # float32 [N, d], of the layer before the output
```
{f"{chr(10)}{notes}{chr(10)}" if notes else ""}
## Terms

Code: Apache-2.0. {terms}
"""
