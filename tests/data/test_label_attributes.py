"""Labels as attributes: one-hot vectors, of images and of points."""

import numpy as np
import pytest
from helpers import images, tiny

from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError
from tf_bigan.preparation import Preparation

LABELS = np.array([2, 0, 1, 2, 0, 1, 1])
SOURCE = ArraySource(images(7), LABELS, class_names="abc", attributes=np.full((7, 2), 9.0), name="mine")
POINTS = ArraySource(np.arange(14.0).reshape(7, 2), LABELS, name="points")


def test_labels_become_one_hot_attributes():
    data = open_data(SOURCE, attributes_from="label")
    record = data.records()
    np.testing.assert_array_equal(record["attributes"], np.eye(3)[LABELS])
    assert record["attributes"].dtype == np.float32 and data.attribute_names == ["a", "b", "c"]
    np.testing.assert_array_equal(record["label"], LABELS)
    np.testing.assert_array_equal(open_data(SOURCE).records()["attributes"], np.full((7, 2), 9.0))


def test_batches_have_them_too():
    for source in (SOURCE, POINTS):
        batch = next(iter(open_data(source, attributes_from="label").training_batches(5, seed=0)))
        np.testing.assert_array_equal(batch["attributes"], np.eye(3)[batch["label"]])


def test_the_first_classes_have_as_many_attributes():
    data = open_data(SOURCE, attributes_from="label", max_labels=2)
    np.testing.assert_array_equal(data.records()["attributes"], np.eye(2)[[0, 1, 0, 1, 1]])


def test_data_like_a_model_has_its_attributes():
    preparation = tiny(attributes_from="label").preparation
    assert preparation == Preparation(8, 1, attributes_from="label")
    data = open_data(SOURCE, like=preparation)
    assert data.attribute_names == ["a", "b", "c"] and data.preparation.attributes_from == "label"
    assert Preparation.from_json(preparation.to_json()) == preparation
    assert Preparation.from_json('{"image_size": 8}') == Preparation(8)  # as older modules have it


def test_data_without_labels_is_refused():
    for labels in (None, [0, 1, -1, 0, 0, 0, 0]):
        with pytest.raises(
            InputError, match="^mine has examples without a label, of which attributes_from=label makes"
        ):
            open_data(ArraySource(images(7), labels, name="mine"), attributes_from="label")
    with pytest.raises(InputError, match="^unknown attributes_from 'labels'. Did you mean 'label'"):
        open_data(SOURCE, attributes_from="labels")
    with pytest.raises(InputError, match="^attributes_from does not go with like, which has its own$"):
        open_data(SOURCE, like=Preparation(8), attributes_from="label")
