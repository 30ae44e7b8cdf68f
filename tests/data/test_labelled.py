"""Training with the labels of a few examples: which they are, and the batches made of them."""

import numpy as np
import pytest

from tf_bigan.data import ArraySource, open_data
from tf_bigan.data.labelled import choose
from tf_bigan.errors import InputError

COUNT = 60


def source(kind, labels=None):
    """Examples whose first value is their number."""
    x = np.zeros((COUNT, 4, 4, 1), np.uint8) if kind == "images" else np.zeros((COUNT, 2), np.float32)
    x.reshape(COUNT, -1)[:, 0] = np.arange(COUNT)
    return ArraySource(x, np.arange(COUNT) % 3 if labels is None else labels, name="numbers")


def numbers(x):
    x = x.numpy().reshape(len(x), -1)[:, 0]
    return np.round(x * (255 if x.max() <= 1 else 1)).astype(int)


def batches(data, count, first_step=0, **options):
    return list(data.training_batches(8, 5, first_step, **options).take(count))


@pytest.mark.parametrize("kind", ["images", "points"])
def test_each_record_has_a_second_batch_of_labelled_examples_and_the_first_shows_no_other_label(kind):
    plain = open_data(source(kind))
    chosen = choose(plain, 12, seed=5)
    assert np.bincount(chosen % 3).tolist() == [4, 4, 4]
    seen = []
    for few, all_ in zip(batches(plain.with_labels_of(chosen), 6), batches(plain, 6), strict=True):
        np.testing.assert_array_equal(few["x"], all_["x"])
        known = np.isin(numbers(few["x"]), chosen)
        np.testing.assert_array_equal(few["label"], np.where(known, all_["label"], -1))
        second = numbers(few["labelled_x"])
        assert np.isin(second, chosen).all() and len(second) == 8
        np.testing.assert_array_equal(few["labelled_label"], second % 3)
        seen.extend(second)
    # 6 batches of 8 are 4 epochs of the 12 labelled examples.
    assert np.bincount(seen, minlength=COUNT)[chosen].tolist() == [4] * 12
    assert "labelled_x" not in batches(plain, 1)[0]


@pytest.mark.parametrize("kind", ["images", "points"])
def test_the_batches_of_a_step_follow_from_the_step(kind):
    data = open_data(source(kind))
    data = data.with_labels_of(choose(data, 6, seed=5))  # fewer than a batch
    whole = batches(data, 5)
    for late, expected in zip(batches(data, 2, first_step=3), whole[3:], strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(late[name], value)
    assert not np.array_equal(whole[0]["labelled_x"], whole[1]["labelled_x"])


def test_labelled_images_are_cropped_and_mirrored_like_others():
    x = np.random.RandomState(0).randint(0, 256, (COUNT, 6, 6, 1)).astype(np.uint8)
    data = open_data(ArraySource(x, np.arange(COUNT) % 3), image_size=4, shorter_edge=6)
    data = data.with_labels_of(choose(data, 30, seed=5))
    record = batches(data, 1, crop="random", flip=True)[0]
    assert record["labelled_x"].shape == (8, 4, 4, 1)
    centred = batches(data, 1)[0]
    np.testing.assert_array_equal(record["labelled_label"], centred["labelled_label"])
    assert not np.array_equal(record["labelled_x"], centred["labelled_x"])


def test_the_choice_is_drawn_by_the_seed_and_a_larger_one_holds_a_smaller():
    data = open_data(source("images"))
    few, more, others = (choose(data, count, seed) for count, seed in ((6, 5), (30, 5), (6, 6)))
    assert set(few) <= set(more) and set(few) != set(others) and len(set(more)) == 30
    np.testing.assert_array_equal(few, choose(data, 6, 5))


def test_examples_without_a_label_are_never_chosen():
    labels = np.where(np.arange(COUNT) < 30, np.arange(COUNT) % 3, -1)
    data = open_data(source("images", labels))
    assert choose(data, 30, 5).max() < 30
    np.testing.assert_array_equal(choose(data, 0, 5), np.arange(30))


def test_what_cannot_be_chosen_is_refused():
    data = open_data(source("images"))
    with pytest.raises(InputError, match="labelled=10 labels cannot be equally many of each of 3 classes"):
        choose(data, 10, 5)
    with pytest.raises(InputError, match="labelled=63 takes 21 labels of each class, and numbers has 20 of class '0'"):
        choose(data, 63, 5)
    with pytest.raises(InputError, match="no example of numbers has a label"):
        choose(open_data(source("images", np.full(COUNT, -1))), 3, 5)
