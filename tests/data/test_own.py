"""Readers of the user's own, by ``package.module:open_it``."""

import sys

import numpy as np
import pytest

import kantor
from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.data.own import codes_of, is_reader, short_name

READERS = """
import numpy as np
import torch

def vectors(samples: int = 40, width: int = 3, name: str = "a"):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, width)).astype(np.float32)
    return {"x": x, "label": np.arange(samples) % 4, "class_names": ["a", "b", "c", "d"]}

def views():
    found = vectors()
    return {"left": torch.from_numpy(found["x"]), "right": found["x"] + 1, "label": found["label"].tolist()}

def parts():
    return {"x_train": np.ones((8, 2)), "y_train": np.arange(8) % 2, "x_test": np.ones((4, 2)), "y_test": [0, 1, 0, 1]}

def numbers():
    return {"x": np.ones((20, 2)), "y": np.arange(20.0)}

def nothing():
    return None

def empty():
    return {}

def a_list():
    return [1, 2]

def objects():
    return {"x": [object()], "label": [0]}

def ragged():
    return {"x": [[1], [1, 2]], "label": [0, 1]}

def unpaired():
    return {"x": np.ones((4, 2)), "label": [0, 1, 0]}

three = 3
"""


@pytest.fixture
def readers(write_module):
    return write_module("readers_of_mine", READERS)


def test_its_arrays_are_read_as_those_of_an_npz_are(readers, tmp_path):
    sys.modules.pop(readers, None)
    data = kantor.open_data(f"{readers}:vectors@samples=60@width=5")
    arrays = sys.modules[readers].vectors(60, 5)
    np.savez(tmp_path / "same.npz", **arrays)
    same = kantor.open_data(tmp_path / "same.npz")
    assert data.classes == ["a", "b", "c", "d"]
    assert data.train.fingerprint == same.train.fingerprint
    assert data.train.input_shapes["student"] == (5,)
    assert data.name == f"{readers}:vectors@samples=60@width=5"
    assert len(kantor.open_data(f"{readers}:parts").part("test")) == 4
    assert kantor.open_data(f"{readers}:numbers", kind="numbers").facts()["labels"].startswith("a number")


def test_roles_choose_among_its_arrays(readers):
    data = kantor.open_data(f"{readers}:views", views={"student": "left", "teacher": "right"})
    batch = data.train.read(np.arange(3))
    np.testing.assert_allclose(batch["teacher"].numpy(), batch["student"].numpy() + 1)
    with pytest.raises(ConfigError, match=r"has several views: left \[3\], right \[3\]"):
        kantor.open_data(f"{readers}:views")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "returned nothing, and arrays by name are needed"),
        ("empty", "returned an empty mapping"),
        ("a_list", "returned a list, and arrays by name"),
        ("objects", "array 'x' is a list of type object; give numbers"),
        ("ragged", "array 'x' is a list, of which numpy makes no array"),
        ("unpaired", "readers_of_mine:unpaired: array 'x' has 4 rows for train and the labels have 3"),
        ("vectors@sampels=3", "has no option 'sampels'. Close to it: samples"),
        ("vectors@samples=few", "the value must be int"),
        ("vectors@samples", "is no option"),
        ("three", "is 3, which cannot be called. Name a function that returns arrays"),
        ("vektors", "has no reader 'vektors'. Close to it: vectors"),
    ],
)
def test_what_is_none_is_refused_by_its_name(readers, name, message):
    with pytest.raises((ConfigError, DataError), match=message):
        kantor.open_data(f"{readers}:{name}")


def test_a_file_of_that_name_is_a_file_and_a_missing_one_is_said_with_readers(readers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos:old").mkdir()
    assert is_reader("photos:new") and not is_reader("photos:old") and not is_reader("digits")
    with pytest.raises(DataError, match=r"A reader of your own is written package.module:open_it"):
        kantor.open_data("photoz")


def test_a_name_in_a_file_is_not_imported_and_text_among_its_settings_belongs_to_it(readers, tmp_path):
    assert codes_of(f"{readers}:vectors@samples=3@name=b") == [f"{readers}:vectors@name=b"]
    trust.found(codes_of(f"{readers}:vectors"), tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="names code to be imported"):
        kantor.open_data(f"{readers}:vectors", trusted=False)
    assert readers not in sys.modules
    kantor.open_data(f"{readers}:vectors")
    assert kantor.open_data(f"{readers}:vectors@samples=44", trusted=False).train.samples == 44
    with pytest.raises(ConfigError, match="@name=b is code that you did not write"):
        kantor.open_data(f"{readers}:vectors@name=b", trusted=False)


def test_a_run_is_called_by_the_reader(readers):
    assert short_name(f"{readers}:vectors@samples=3") == "vectors"
    assert short_name("folder/photos.zip") == "photos"
