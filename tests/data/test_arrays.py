import pathlib

import numpy as np
import pytest

from tf_bigan.data import ArraySource, open_data, open_images
from tf_bigan.domains import Images, Points
from tf_bigan.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 6, 6, 3), np.uint8)
POINTS = RNG.normal(size=(9, 2))
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, -1])
ATTRIBUTES = RNG.normal(size=(9, 4)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("load", [True, False])
def test_images_are_those_that_were_given(dtype, load):
    x = PIXELS if dtype == np.uint8 else (PIXELS / 255.0).astype(dtype)
    data = open_images(ArraySource(x, LABELS, ["a", "b", "c"], ATTRIBUTES, name="mine"))
    assert data.domain == Images((6, 6, 3)) and data.image_shape == (6, 6, 3) and data.count == 9
    assert (data.name, data.origin, data.split, data.class_names) == ("mine", "mine", "", ["a", "b", "c"])
    assert not data.labelled() and data.attribute_names == ["0", "1", "2", "3"]
    record = (data.load() if load else data).records(limit=8)
    np.testing.assert_allclose(record["x"], PIXELS[:8] / 255.0, atol=1e-7)
    np.testing.assert_array_equal(record["label"], LABELS[:8])
    np.testing.assert_array_equal(record["attributes"], ATTRIBUTES[:8])


def test_images_are_prepared_as_those_of_files_are(tmp_path):
    from PIL import Image

    for i, image in enumerate(PIXELS):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    for options in ({"channels": 1}, {"image_size": 4}, {"image_size": 4, "shorter_edge": 6}):
        files, arrays = open_images(str(tmp_path), **options), open_images(ArraySource(PIXELS), **options)
        np.testing.assert_array_equal(arrays.arrays()[0], files.arrays()[0])
    random = [
        [record["x"].numpy() for record in data.training_batches(4, 1, crop="random", flip=True).take(3)]
        for data in (files, arrays)
    ]
    np.testing.assert_array_equal(*random)


def test_points_are_those_that_were_given():
    data = open_data(ArraySource(POINTS, LABELS[:8].tolist() + [1], attributes=ATTRIBUTES > 0, attribute_names="abcd"))
    assert data.domain == Points((2,)) and (data.name, data.count) == ("arrays", 9)
    assert data.class_names == ["0", "1", "2"] and data.labelled() and data.attribute_names == list("abcd")
    record = data.records()
    assert {name: column.dtype for name, column in record.items()} == {
        "x": np.float32,
        "label": np.int64,
        "attributes": np.float32,
    }
    np.testing.assert_array_equal(record["x"], POINTS.astype(np.float32))
    np.testing.assert_array_equal(record["attributes"], ATTRIBUTES > 0)
    assert [len(x) for x, _ in data.batches(4)] == [4, 4, 1]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in data.batches(4, first=3)]), record["x"][3:])
    np.testing.assert_array_equal(data.read([8, 0])[1], [1, 0])
    assert data.arrays(limit=0)[0].shape == (0, 2)
    with pytest.raises(InputError, match="^arrays has 9 points, fewer than a batch of 10; lower --batch_size$"):
        data.training_batches(10, 0)


def test_arrays_need_no_labels():
    data = open_data(ArraySource(POINTS))
    assert data.class_names == [] and not data.labelled() and data.arrays()[1].tolist() == [-1] * 9
    assert list(data.records()) == ["x", "label"]


@pytest.mark.parametrize("labels", [np.arange(9) % 2 == 0, (np.arange(9) % 2 == 0).astype(np.float64)])
def test_truth_values_and_whole_floats_are_labels(labels):
    data = open_data(ArraySource(POINTS, labels))
    assert data.class_names == ["0", "1"]
    found = data.arrays()[1]
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"dataset": POINTS},
            r"^a data set is a name, a folder or a source, found ndarray; write open_data\(ArraySource",
        ),
        ({"dataset": None}, "^a data set is a name, a folder or a source, found NoneType"),
        ({"dataset": {"x": POINTS}}, "found dict; write"),
        ({"dataset": "mixture", "split": 1}, "^split must be a string such as 'train' or 'train\\[:50%\\]', found 1$"),
        ({"image_size": "8"}, "^image_size must be a whole number, found '8'$"),
        ({"channels": -1}, "^channels must be at least 0, found -1$"),
        ({"shorter_edge": 2.5}, "^shorter_edge must be a whole number, found 2.5$"),
        ({"max_labels": None}, "^max_labels must be a whole number, found None$"),
        ({"bad_images": 1}, "^unknown bad_images 1. Known: refuse, skip.$"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_a_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        open_data(**{"dataset": ArraySource(PIXELS), **arguments})
    assert "\n" not in str(caught.value)


def test_a_folder_may_be_given_as_a_path(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "mine").mkdir()
    Image.fromarray(PIXELS[0]).save(tmp_path / "mine" / "a.png")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "mine", pathlib.Path("mine")):
        np.testing.assert_allclose(open_images(path).arrays()[0], PIXELS[:1] / 255.0, atol=1e-7)


def test_the_first_classes_keep_their_attributes():
    data = open_data(ArraySource(POINTS, LABELS, attributes=ATTRIBUTES), max_labels=2)
    kept = np.flatnonzero((LABELS >= 0) & (LABELS < 2))
    record = data.records()
    np.testing.assert_array_equal(record["attributes"], ATTRIBUTES[kept])
    np.testing.assert_array_equal(record["label"], LABELS[kept])


def test_classes_of_no_example_are_said():
    for x in (POINTS, PIXELS):
        source = ArraySource(x, np.full(9, 3), name="mine")
        assert open_data(source, max_labels=4).count == 9
        with pytest.raises(InputError, match="^mine has no example of its first 3 classes$"):
            open_data(source, max_labels=3)


def test_equal_examples_are_found_in_other_arrays():
    first, last, middle = (open_data(ArraySource(POINTS[part])) for part in (slice(5), slice(5, 9), slice(3, 7)))
    assert not first.overlaps(last) and first.overlaps(middle) and middle.overlaps(last)
    assert not first.overlaps(open_data(ArraySource(POINTS.astype(np.float32)[:5, :1])))


def bad_points():
    points = POINTS.copy()
    points[2, 1], points[6, 0] = np.nan, np.inf
    return ArraySource(points, LABELS, attributes=ATTRIBUTES, name="mine")


def test_points_that_are_not_finite_are_named():
    data = open_data(bad_points())
    for look in (data.check, data.load, data.arrays, lambda: data.training_batches(4, 0), lambda: data.read([0])):
        with pytest.raises(InputError) as caught:
            look()
        assert str(caught.value) == (
            "2 of 9 points of mine cannot be used: coordinates that are NaN or infinite.\n"
            "The first is example 2 of mine; --bad_images=skip leaves out what cannot be used"
        )
    with pytest.raises(InputError, match="none is left"):
        open_data(ArraySource(np.full((3, 2), np.nan))).checked()


def test_points_that_are_not_finite_can_be_left_out():
    said = []
    data = open_data(bad_points(), bad_images="skip", say=said.append)
    assert said == [
        "2 of 9 points of mine cannot be used and are left out: example 2 of mine, example 6 of mine",
    ]
    good = [0, 1, 3, 4, 5, 7, 8]
    assert (data.count, data.stored) == (7, 9)
    for found in (data.records(), open_data(bad_points()).without([2, 6]).records()):
        np.testing.assert_array_equal(found["x"], POINTS[good].astype(np.float32))
        np.testing.assert_array_equal(found["label"], LABELS[good])
        np.testing.assert_array_equal(found["attributes"], ATTRIBUTES[good])


def test_images_out_of_range_are_named():
    images = PIXELS / 255.0
    images[4] = 2.0
    with pytest.raises(InputError, match=r"(?s)1 of 9 images of arrays cannot be used.*It is example 4 of arrays"):
        open_data(ArraySource(images)).load()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": np.zeros((0, 2))}, r"mine is empty: x has shape \[0, 2\]"),
        ({"x": []}, r"mine is empty: x has shape \[0\]"),
        ({"x": np.zeros((4, 0))}, r"mine is empty"),
        ({"x": np.zeros((4, 8, 8))}, r"examples of shape \(8, 8\) are neither images .* nor points"),
        ({"x": np.zeros(4)}, r"examples of shape \(\) are neither"),
        ({"x": np.zeros((4, 2), int)}, "mine has points of int64; they must be float"),
        ({"x": np.zeros((4, 8, 8, 1), int)}, "mine has images of int64; they must be uint8 or float"),
        ({"x": [["a"]]}, "the x of mine must be an array of numbers, found list"),
        ({"x": [[1.0], [1.0, 2.0]]}, "the x of mine must be an array of numbers, found list"),
        ({"labels": [0] * 8}, r"mine has 9 examples, but labels of shape \[8\]"),
        ({"labels": np.zeros((9, 1), int)}, r"mine has 9 examples, but labels of shape \[9, 1\]"),
        ({"labels": np.full(9, 0.5)}, "the labels of mine must be whole numbers, found 0.5"),
        ({"labels": [np.nan] + [0] * 8}, "the labels of mine must be whole numbers, found nan"),
        ({"labels": ["cat"] * 9}, "the labels of mine must be an array of numbers, found list of strings"),
        (
            {"labels": np.full(9, 2**63, np.uint64)},
            "the labels of mine must be less than 2\\^63, found 9223372036854775808",
        ),
        ({"labels": [0] * 9, "class_names": 3}, "class_names of mine must be a list of names, found 3"),
        ({"labels": [-2] + [0] * 8}, r"must lie between -1 \(none\) and 0, found -2 to 0"),
        ({"labels": LABELS + 10**12}, "the labels of mine go up to 1000000000002; number its classes from 0 on"),
        ({"labels": LABELS.astype(np.uint64)}, rf"the labels of mine must be less than 2\^63, found {2**64 - 1}"),
        ({"labels": [-(2**63)] + [0] * 8}, rf"must lie between -1 \(none\) and 0, found -{2**63} to 0"),
        ({"labels": LABELS, "class_names": ["a", "b"]}, r"between -1 \(none\) and 1, found -1 to 2"),
        ({"attributes": np.zeros(9)}, r"the attributes of mine must have shape \[9, k\], got \[9\]"),
        ({"attributes": np.zeros((8, 2))}, r"the attributes of mine must have shape \[9, k\], got \[8, 2\]"),
        ({"attributes": np.zeros((9, 2, 2))}, r"got \[9, 2, 2\]"),
        ({"attributes": np.full((9, 2), np.nan)}, "the attributes of mine contain NaN or infinite values"),
        ({"attributes": np.zeros((9, 2)), "attribute_names": ["a"]}, "mine has 2 attributes, but 1 attribute_names"),
        ({"attribute_names": ["a"]}, "mine has attribute_names, but no attributes"),
    ],
)
def test_what_cannot_be_data_is_refused_in_a_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        ArraySource(**{"x": POINTS, "name": "mine", **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_images_of_two_channels_are_refused(channels):
    source = ArraySource(np.zeros((4, 8, 8, 2), np.uint8), name="pairs")
    with pytest.raises(InputError, match="^pairs has images of 2 channels, which are neither grey nor colours$"):
        open_data(source, channels=channels)
