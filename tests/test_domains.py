import subprocess
import sys

import numpy as np
import pytest

from tf_bigan.domains import DOMAINS, Images, Points, checked_attributes, checked_labels, domain_of
from tf_bigan.errors import InputError, whole_number


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def test_the_shape_tells_the_domain():
    assert domain_of((8, 8, 1)) == Images((8, 8, 1)) and domain_of([2]) == Points((2,))
    assert domain_of((28, 28, 3)).name == "images" and domain_of((2,)).name == "points"
    assert domain_of((8, 8, 1)).shape == (8, 8, 1) and domain_of(np.array([2])).shape == (2,)
    assert {"images": Images, "points": Points} == DOMAINS
    assert Points((2,)) != Points((3,)) and len({Points((2,)), Points((2,)), Images((2, 2, 2))}) == 2


@pytest.mark.parametrize(
    "shape, message",
    [
        ((28, 28), r"examples of shape \(28, 28\) are neither images \(height, width, channels\) nor points \(d,\)"),
        ((), r"examples of shape \(\)"),
        ((1, 2, 3, 4), r"\(1, 2, 3, 4\)"),
        ((None, None, 3), r"images cannot have shape \(None, None, 3\)"),
        ((None,), r"points cannot have shape \(None,\)"),
        ((0,), r"points cannot have shape \(0,\)"),
        ((8, 8.0, 1), r"images cannot have shape \(8, 8.0, 1\)"),
    ],
)
def test_other_shapes_are_refused(shape, message):
    with pytest.raises(InputError, match=message) as caught:
        domain_of(shape)
    assert "\n" not in str(caught.value)


def test_what_belongs_to_a_domain_passes():
    images, points = Images((8, 8, 1)), Points((2,))
    for dtype in (np.float16, np.float32, np.float64):
        images.check(zeros(3, 8, 8, 1, dtype=dtype))
        points.check(zeros(3, 2, dtype=dtype))
    images.check(np.ones((1, 8, 8, 1), np.float32))
    points.check([[1e30, -1e30]])
    images.check(zeros(0, 8, 8, 1))
    points.check(zeros(0, 2))


@pytest.mark.parametrize(
    "x, message",
    [
        (zeros(5, 8, 9, 1), r"images must have shape [N, 8, 8, 1], got [5, 8, 9, 1]"),
        (zeros(8, 8, 1), "images must have shape [N, 8, 8, 1], got [8, 8, 1]; a single one is given as x[None]"),
        (zeros(16, 2), r"images must have shape [N, 8, 8, 1], got [16, 2]; these look like points"),
        (zeros(16, 64), r"images must have shape [N, 8, 8, 1], got [16, 64]"),  # images made flat
        (zeros(1, 8, 8, 1, dtype=np.uint8), "images must be float in [0, 1], got uint8; divide uint8 by 255"),
        (np.full((1, 8, 8, 1), np.nan), "images contain NaN or infinite pixels"),
        (np.full((1, 8, 8, 1), np.inf), "images contain NaN or infinite pixels"),
        (np.full((1, 8, 8, 1), 1.5), "image values must lie in [0, 1], got [1.5, 1.5]"),
        (np.full((1, 8, 8, 1), -0.25), "image values must lie in [0, 1], got [-0.25, -0.25]"),
    ],
)
def test_what_is_no_image_of_the_shape_is_refused(x, message):
    with pytest.raises(InputError) as caught:
        Images((8, 8, 1)).check(x)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "x, message",
    [
        (zeros(5, 3), "points must have shape [N, 2], got [5, 3]"),
        (zeros(2), "points must have shape [N, 2], got [2]; a single one is given as x[None]"),
        (zeros(16, 8, 8, 1), "points must have shape [N, 2], got [16, 8, 8, 1]; these look like images"),
        (zeros(5, 2, dtype=np.int64), "points must be float, got int64"),
        ([[0.0, np.nan]], "points contain NaN or infinite values"),
        ([[-np.inf, 0.0]], "points contain NaN or infinite values"),
        ([[0.0], [0.0, 1.0]], "points must be an array of numbers, found list"),
        ([["a", "b"]], "points must be an array of numbers, found list of strings"),
        (None, "points must be an array of numbers, found NoneType"),
    ],
)
def test_what_is_no_point_of_the_space_is_refused(x, message):
    with pytest.raises(InputError) as caught:
        Points((2,)).check(x)
    assert str(caught.value) == message


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_labels_are_whole_numbers_of_any_type(dtype):
    labels = checked_labels(np.array([[0], [1]], dtype), least=0)
    assert labels.dtype == np.int64 and labels.tolist() == [[0], [1]]
    assert checked_labels([]).tolist() == [] and checked_labels([-1, 3], least=-1).tolist() == [-1, 3]


@pytest.mark.parametrize(
    "labels, least, message",
    [
        (["a"], None, "labels must be an array of numbers, found list of strings"),
        (np.array([b"a"]), None, "labels must be an array of numbers, found ndarray of strings"),
        ([0.0, 0.5], None, "labels must be whole numbers, found 0.5"),
        ([0.0, np.inf], None, "labels must be whole numbers, found inf"),
        ([0, -1], 0, "labels must be at least 0, found -1"),
        ([0.0, -2.0], -1, "labels must be at least 0 or -1 (none), found -2"),
        ([1e20], None, "labels must be less than 2^63, found 100000000000000000000"),
    ],
)
def test_what_is_no_label_is_refused(labels, least, message):
    with pytest.raises(InputError) as caught:
        checked_labels(labels, least=least)
    assert str(caught.value) == message


def test_attributes_are_finite_numbers():
    attributes = checked_attributes([[True, False]])
    assert attributes.dtype == np.float32 and attributes.tolist() == [[1.0, 0.0]]
    for values in ([[np.nan]], [[1e300]]):  # more than float32 holds
        with pytest.raises(InputError, match="^attributes contain NaN or infinite values$"):
            checked_attributes(values)


def test_whole_numbers():
    assert [whole_number(value, "n") for value in (3, np.int8(-3), np.array(3))] == [3, -3, 3]
    for value in (3.0, "3", True, None, [3]):
        with pytest.raises(InputError, match="^n must be a whole number, found "):
            whole_number(value, "n")
    with pytest.raises(InputError, match="^n must be at least 1, found 0$"):
        whole_number(0, "n", 1)


def test_domains_do_not_import_tensorflow():
    code = "import sys, tf_bigan.domains; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
