"""The data of an evaluation: a gallery that classifiers learn from, and queries that they are judged on."""

import collections.abc
import contextlib
import dataclasses
import functools

from tf_bigan.data import default_query_split, open_data
from tf_bigan.errors import InputError, NoData


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """A gallery and queries, which are prepared in the same way and have the same classes.

    Attributes:
      dataset: name of the gallery's data set.
      query_dataset: name of the queries' data set.
      gallery, queries: `Data`.
      max_labels: number of classes, the data sets' first ones, that gallery and queries are limited to; 0 = all.
      reopen: function of a `Preparation` that returns an `EvaluationData` with the same examples, prepared in that way;
        None = the data cannot be opened again.
    """

    dataset: str
    query_dataset: str
    gallery: object
    queries: object
    max_labels: int = 0
    reopen: collections.abc.Callable | None = None

    @functools.cached_property
    def overlap(self) -> bool:
        """Whether any query is in the gallery, as when both are the same folder."""
        return self.gallery.overlaps(self.queries)

    @functools.cached_property
    def same(self) -> bool:
        """Whether gallery and queries are the same examples with the same numbers, as if both are a folder."""
        return self.gallery.origin == self.queries.origin and self.gallery.names() == self.queries.names()

    @contextlib.contextmanager
    def naming_damage(self):
        """Turns TensorFlow's error about an image that was damaged after the check into an InputError that names it."""
        with self.gallery.naming_damage(), self.queries.naming_damage():
            yield

    def check_labels(self, name):
        """Raises InputError unless both parts are labelled with the same classes and have no example in common.

        Args:
          name: name of the measure that needs the labels, for the message.
        """
        if not self.gallery.class_names:
            raise InputError(f"{self.dataset} has no labels, which {name} needs")
        for part in (self.gallery, self.queries):
            if not part.labelled():
                kind = part.domain.name
                why = "" if part.split or kind == "points" else "; an image's class is the folder that it lies in"
                raise InputError(f"{kind} of {part.origin} have no labels, which {name} needs{why}")
        if self.gallery.class_names != self.queries.class_names:
            raise InputError(
                f"the gallery's classes are {_list(self.gallery.class_names)}, the queries' "
                f"{_list(self.queries.class_names)}; they must be the same"
            )
        if self.overlap:
            kind = self.gallery.domain.name[:-1]
            others = (
                "--query_dataset, --query_split or --gallery_split"
                if self.gallery.split
                else "--query_dataset: a folder of other images of the same classes"
            )
            raise InputError(
                f"queries, {self.queries.origin}, are in the gallery, {self.gallery.origin}: every {kind} would be its "
                f"own nearest neighbour.\nGive another {others}"
            )


def open_evaluation_data(
    experiment,
    dataset=None,
    query_dataset=None,
    gallery_split="train",
    query_split=None,
    data_dir=None,
    bad_images=None,
    say=print,
) -> EvaluationData:
    """Opens the data to evaluate an experiment on, prepared as the experiment's networks take it.

    Args:
      experiment: the model's Experiment.
      dataset: data set of gallery and queries; None = the experiment's, limited to the classes that it was trained on.
      query_dataset: data set of the queries if it is another one, such as a second folder.
      gallery_split: TFDS split of the gallery.
      query_split: TFDS split of the queries; None = "test", or "validation" if "test" is missing or has no labels.
      data_dir: the TFDS directory.
      bad_images: as in `open_data`; None = the experiment's setting.
      say: function that is called with a line of text if images are left out, or if there are other classes than the
        model was trained on.

    Raises:
      InputError: as in `open_data`.
    """
    asked, dataset = dataset, dataset or experiment.dataset
    query_dataset = query_dataset or dataset
    options = _options(experiment, dataset, data_dir, bad_images, _once(say))

    def open_both(preparation):
        with _told_if_not_here(experiment, asked):
            gallery = open_data(dataset, gallery_split, like=preparation, **options)
        split = query_split or default_query_split(query_dataset, data_dir)
        queries = open_data(query_dataset, split, like=preparation, **options)
        return EvaluationData(dataset, query_dataset, gallery, queries, options["max_labels"], open_both)

    return open_both(experiment.preparation)


def open_queries(
    experiment, dataset=None, query_dataset=None, query_split=None, data_dir=None, bad_images=None, say=print
):
    """The queries of `open_evaluation_data`, without the gallery. Arguments and errors are as there."""
    asked = query_dataset or dataset
    options = _options(experiment, dataset or experiment.dataset, data_dir, bad_images, say)
    with _told_if_not_here(experiment, asked):
        name = asked or experiment.dataset
        split = query_split or default_query_split(name, data_dir)
        return open_data(name, split, like=experiment.preparation, **options)


def _options(experiment, dataset, data_dir, bad_images, say):
    """Arguments of `open_data`, for examples like those that a model was trained on."""
    if news := experiment.classes_news(dataset):
        say(news)
    return {
        "max_labels": experiment.max_labels_of(dataset),
        "data_dir": data_dir,
        "bad_images": bad_images or experiment.bad_images,
        "say": say,
    }


@contextlib.contextmanager
def _told_if_not_here(experiment, asked):
    """Within this context, a user who named no data is told which data is missing, and how to name other data."""
    try:
        yield
    except NoData as error:
        if asked:
            raise
        raise not_here(experiment) from error


def open_transfer_data(experiment, data, edge=0) -> EvaluationData:
    """The images of `data` for classifiers whose input has `edge` pixels, with a margin for crops off the centre.

    Args:
      experiment: the model's Experiment.
      data: an `EvaluationData`.
      edge: edge of the classifiers' input images in pixels; 0 = the encoder's.

    Returns:
      `data` itself if the encoder's preparation already has this edge and a margin, or if the data cannot be opened
      again. Otherwise the same images with their shorter edge resized to 256 / 227 of `edge`, as in AlexNet's
      preparation.
    """
    size = experiment.crop_size
    edge = edge or size
    if data.reopen is None or (edge == size and experiment.shorter_edge > size):
        return data
    return data.reopen(
        dataclasses.replace(experiment.preparation, image_size=edge, shorter_edge=round(edge * 256 / 227))
    )


def not_here(experiment) -> NoData:
    """The error to raise if the model's training data is not found and the user named no other data."""
    return NoData(
        f"the data that the model was trained on, {experiment.dataset}, was not found.\n"
        "Use --dataset to name other data or the folder's path; --data_dir or TFDS_DATA_DIR to name the TFDS directory"
    )


def _once(say):
    """A function that calls `say` with each line once: gallery and queries may be one folder."""
    said = set()

    def say_once(line):
        if line not in said:
            said.add(line)
            say(line)

    return say_once


def _list(names):
    return ", ".join(names[:5]) + (f" ... ({len(names)})" if len(names) > 5 else "")
