"""The data of an evaluation: a gallery to learn from, and queries to be judged on."""

import collections.abc
import contextlib
import dataclasses
import functools

from tf_bigan.data import default_query_split, open_data
from tf_bigan.errors import InputError, NoData


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """A gallery and queries, of one preparation and the same classes.

    Attributes:
      dataset: name of the gallery's data set.
      query_dataset: name of the queries'.
      gallery, queries: `Data`.
      max_labels: number of classes that both are of; 0 = all.
      reopen: function of a `Preparation` that gives the same examples, prepared so; None = they cannot be.
    """

    dataset: str
    query_dataset: str
    gallery: object
    queries: object
    max_labels: int = 0
    reopen: collections.abc.Callable | None = None

    @functools.cached_property
    def overlap(self) -> bool:
        """Whether a query is in the gallery, as where both are one folder."""
        return self.gallery.overlaps(self.queries)

    @contextlib.contextmanager
    def naming_damage(self):
        """Turns TensorFlow's error at an image damaged since the check into an InputError that names it."""
        with self.gallery.naming_damage(), self.queries.naming_damage():
            yield

    def check_labels(self, name):
        """Raises InputError unless both parts are labelled with the same classes and have no example in common.

        Args:
          name: of the measure that needs it, for the message.
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
    """Opens the data to evaluate an experiment on, prepared as its networks take it.

    Args:
      experiment: of the model.
      dataset: of gallery and queries; None = the experiment's, of whose classes those trained on are taken.
      query_dataset: of the queries, if another (as a second folder).
      gallery_split: TFDS split of the gallery.
      query_split: of the queries; None = "test" or, where that is missing or has no labels, "validation".
      data_dir: the TFDS directory.
      bad_images: as `open_data` takes it; None = the experiment's.
      say: called with a line of news for data with images left out.

    Raises:
      InputError: as `open_data`.
    """
    asked, dataset = dataset, dataset or experiment.dataset
    query_dataset = query_dataset or dataset
    max_labels = experiment.max_labels_of(dataset)
    if news := experiment.classes_news(dataset):
        say(news)
    options = {"max_labels": max_labels, "data_dir": data_dir, "bad_images": bad_images or experiment.bad_images}

    def open_both(preparation):
        try:
            gallery = open_data(dataset, gallery_split, like=preparation, say=say, **options)
        except NoData as error:
            if asked:
                raise
            raise not_here(experiment) from error
        split = query_split or default_query_split(query_dataset, data_dir)
        queries = open_data(query_dataset, split, like=preparation, say=say, **options)
        return EvaluationData(dataset, query_dataset, gallery, queries, max_labels, open_both)

    return open_both(experiment.preparation)


def open_transfer_data(experiment, data, edge=0) -> EvaluationData:
    """The images of `data` as classifiers of `edge` pixels take them: with room for crops that are not the centre's.

    Args:
      experiment: of the model.
      data: an `EvaluationData`.
      edge: of the classifiers' images in pixels; 0 = the encoder's.

    Returns:
      `data` itself where the encoder's preparation is of that edge and leaves room, or where it cannot be opened again.
      Otherwise shorter edges are resized to 256 / 227 of `edge`, as in AlexNet's preparation.
    """
    size = experiment.crop_size
    edge = edge or size
    if data.reopen is None or (edge == size and experiment.shorter_edge > size):
        return data
    return data.reopen(
        dataclasses.replace(experiment.preparation, image_size=edge, shorter_edge=round(edge * 256 / 227))
    )


def not_here(experiment) -> NoData:
    """The error for a model's training data that is not found where no other data was asked for."""
    return NoData(
        f"the data that the model was trained on, {experiment.dataset}, is not found from here.\n"
        "--dataset names other data, or the same folder; --data_dir or TFDS_DATA_DIR, where TFDS has it"
    )


def _list(names):
    return ", ".join(names[:5]) + (f" ... ({len(names)})" if len(names) > 5 else "")
