"""The 25 Gaussians have the defined means, standard deviation and weights, and splits without a common point."""

import numpy as np
import pytest

from tf_bigan.data import PointData, default_query_split, open_data, open_images
from tf_bigan.data.mixture import SIGMA, means
from tf_bigan.data.order import Order
from tf_bigan.domains import Points
from tf_bigan.errors import InputError
from tf_bigan.preparation import Preparation


@pytest.fixture(scope="module")
def train():
    return open_data("mixture")


@pytest.fixture(scope="module")
def test():
    return open_data("mixture", default_query_split("mixture", None))


def test_the_means_are_a_grid_sorted_by_the_first_coordinate():
    assert means().shape == (25, 2) and means().dtype == np.float32
    assert means()[[0, 1, 4, 5, 12, 24]].tolist() == [[-4, -4], [-4, -2], [-4, 4], [-2, -4], [0, 0], [4, 4]]
    assert {tuple(mean) for mean in means().tolist()} == {(a, b) for a in range(-4, 5, 2) for b in range(-4, 5, 2)}


def test_the_splits_are_data_like_any_other(train, test):
    assert isinstance(train, PointData) and train.domain == Points((2,)) and train.example_shape == (2,)
    assert (train.count, test.count) == (100_000, 10_000)
    assert (train.split, test.split, train.origin) == ("train", "test", "mixture train")
    assert len(train.class_names) == 25 and train.class_names[1] == "(-4, -2)" and train.labelled()
    assert train.attribute_names == []


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_points_are_those_of_the_definition(name, train, test):
    data = {"train": train, "test": test}[name]
    x, labels = data.arrays()
    assert x.dtype == np.float32 and labels.dtype == np.int64
    data.domain.check(x)
    count = data.count
    shares = np.bincount(labels, minlength=25) / count
    # Estimates are within five of their standard deviations.
    assert len(shares) == 25 and np.abs(shares - 0.04).max() < 5 * np.sqrt(0.04 * 0.96 / count)
    noise = x - means()[labels]
    assert SIGMA == 0.05
    assert np.abs(noise.std(axis=0) - 0.05).max() < 5 * 0.05 / np.sqrt(2 * count)
    assert np.abs(noise.mean(axis=0)).max() < 5 * 0.05 / np.sqrt(count)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 5 / np.sqrt(count)
    # The label is the index of the nearest mean, as other means are 20 standard deviations away.
    nearest = np.argmin(((x[:2000, None] - means()) ** 2).sum(-1), axis=1)
    np.testing.assert_array_equal(nearest, labels[:2000])


def test_the_points_are_the_same_everywhere(train, test):
    # Recorded values: if they changed, runs could no longer be compared.
    np.testing.assert_allclose(train.arrays(2)[0], [[-2.0203438, -3.9945438], [-0.0406128, -1.9401535]], atol=1e-6)
    np.testing.assert_allclose(test.arrays(2)[0], [[-1.9740155, 2.0140150], [2.0277672, -4.0551152]], atol=1e-6)


def test_no_point_of_one_split_is_in_the_other(train, test):
    ours, theirs = ({tuple(point) for point in data.arrays()[0].tolist()} for data in (train, test))
    assert not ours & theirs and len(ours) > 99_900
    assert not train.overlaps(test) and train.overlaps(open_data("mixture", "train[:10]"))
    assert not open_data("mixture", "train[:10]").overlaps(open_data("mixture", "train[10:20]"))


@pytest.mark.parametrize(
    "split, part",
    [
        ("train[:5000]", slice(5000)),
        ("train[100:150]", slice(100, 150)),
        ("train[-37:]", slice(-37, None)),
        ("train[:50%]", slice(50_000)),
        ("train[99%:]", slice(99_000, None)),
        ("train[-1%:]", slice(99_000, None)),
        ("train[:]", slice(None)),
        ("train[5:999999]", slice(5, None)),
    ],
)
def test_splits_can_be_sliced(split, part, train):
    for found, whole in zip(open_data("mixture", split).arrays(), train.arrays(), strict=True):
        np.testing.assert_array_equal(found, whole[part])


@pytest.mark.parametrize(
    "split, message",
    [
        ("tran", "^mixture has no split 'tran'. Did you mean 'train'.* Known: test, train.$"),
        ("validation[:5]", r"^mixture has no split 'validation\[:5\]'. Known: test, train.$"),
        ("", "^mixture has no split ''. Known: test, train.$"),
        ("train[5]", r"^mixture has no split 'train\[5\]'. Parts are written as 'train\[:5000\]' or 'train\[:50%\]'.$"),
        ("train[:10", "Parts are written as"),
        ("train[:0]", r"^mixture split 'train\[:0\]' is empty$"),
        ("test[20000:]", "is empty"),
    ],
)
def test_other_splits_are_refused(split, message):
    with pytest.raises(InputError, match=message) as caught:
        open_data("mixture", split)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["image_size", "channels", "shorter_edge"])
def test_what_is_for_images_is_refused(option, train):
    with pytest.raises(InputError, match=f"^mixture has points; --{option} is for images$"):
        open_data("mixture", **{option: 3})
    with pytest.raises(InputError, match="^mixture has points; --crop is for images$"):
        train.training_batches(10, 0, crop="random")
    with pytest.raises(InputError, match="^mixture has points; --flip is for images$"):
        train.training_batches(10, 0, flip=True)
    with pytest.raises(InputError, match="^mixture has points, not images$"):
        open_images("mixture")
    with pytest.raises(InputError, match="no places to crop at"):
        train.read([0], np.zeros((1, 2), np.float32))


def test_some_components_alone_can_be_opened(train):
    data = open_data("mixture", max_labels=3)
    x, labels = train.arrays()
    np.testing.assert_array_equal(data.arrays()[0], x[labels < 3])
    assert data.class_names == train.class_names[:3] and data.labelled() and data.origin == "mixture train, 3 classes"
    with pytest.raises(InputError, match="mixture has 25 classes, fewer than max_labels 26"):
        open_data("mixture", max_labels=26)


def test_components_without_a_point_are_said(train):
    first = int(train.arrays(1)[1][0])
    assert open_data("mixture", "train[:1]", max_labels=first + 1).count == 1
    with pytest.raises(InputError, match=rf"^mixture split 'train\[:1\]' has no example of its first {first} classes$"):
        open_data("mixture", "train[:1]", max_labels=first)


def test_points_have_the_dimensions_that_are_asked_for(digits_dir):
    assert open_data("mixture", dimensions=2).example_shape == (2,)
    with pytest.raises(InputError, match="^mixture has points of 2 coordinates, not of 3$"):
        open_data("mixture", dimensions=3)
    with pytest.raises(InputError, match="^digits has images; --dimensions is for points$"):
        open_data("digits", data_dir=digits_dir, dimensions=2)
    with pytest.raises(InputError, match="^digits has images, not points$"):
        open_data("digits", data_dir=digits_dir, like=Preparation(dimensions=2))


@pytest.mark.parametrize("split, first", [("train", 0), ("train", 998), ("test[:130]", 5)])
def test_batches_are_functions_of_seed_and_step(split, first):
    """Batches are those that `Order` gives for each step, also across epochs and from any first step."""
    data = open_data("mixture", split)
    x, labels = data.arrays()
    order = Order(data.count, 100, seed=7)
    for step, record in enumerate(data.training_batches(100, 7, first_step=first).take(40), first):
        assert list(record) == ["x", "label"] and record["x"].shape == (100, 2)
        np.testing.assert_array_equal(record["x"], x[order.batch(step)])
        np.testing.assert_array_equal(record["label"], labels[order.batch(step)])
