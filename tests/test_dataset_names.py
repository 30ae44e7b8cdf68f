import os
import pathlib

import pytest

from tf_bigan import Experiment
from tf_bigan.data import default_query_split, open_images
from tf_bigan.dataset_names import folder_of, same_dataset
from tf_bigan.errors import InputError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder x/my:photos below the current directory."""
    (tmp_path / "x" / "my:photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "x" / "my:photos"


@pytest.mark.parametrize("name", ["./photos", "../photos", ".", "~/photos", "/nowhere/photos", "/nowhere/my:photos"])
def test_names_written_as_paths_are_folders_even_where_there_is_none(name):
    assert folder_of(name) == pathlib.Path(os.path.expanduser(name))


@pytest.mark.parametrize("name", ["mnist", "mnist:3.0.1", "voc/2007", "imagenet_resized/64x64:0.1.0", "photos:2"])
def test_all_others_are_tfds_names(name, photos):
    assert folder_of(name) is None


@pytest.mark.parametrize("name", ["x/my:photos", "./x/my:photos", "{}", "x/../x/my:photos"])
def test_a_colon_may_be_part_of_a_folders_name(name, photos):
    name = name.format(photos)
    assert folder_of(name).resolve() == photos
    assert same_dataset(name, str(photos))
    assert default_query_split(name, None) == ""
    with pytest.raises(InputError, match=f"no images under .*{photos.name}"):
        open_images(name)
    assert Experiment(dataset=name, max_labels=3).max_labels_of(str(photos)) == 3


def test_a_home_that_is_nobodys_is_a_folder_that_is_missing():
    with pytest.raises(InputError, match="there is no folder ~nobody_of_this_name/photos"):
        open_images("~nobody_of_this_name/photos")


def test_versions_of_a_tfds_name_are_the_same_data_set(photos):
    assert same_dataset("mnist:3.0.1", "mnist") and same_dataset("voc/2007", "voc/2007:4.0.0")
    assert not same_dataset("voc/2007", "voc/2012") and not same_dataset("x/my:photos", "x/my")


def test_a_folder_whose_name_is_too_long_is_refused():
    with pytest.raises(InputError, match="is too long for the name of a file"):
        folder_of("./" + "x" * 300)
