"""Thumbnails of the samples that plans were recorded on."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kantor.core.errors import DataError
from kantor.report.pictures import COLUMNS, pictures
from kantor.report.run import read_run


def opened(url: str) -> np.ndarray:
    form, _, data = url.partition(",")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert form in ("data:image/png;base64", "data:image/jpeg;base64")
    return image


@pytest.fixture
def run(made):
    return read_run(made(exciting=True))


def rewrite(run, **changes) -> None:
    with np.load(run.folder / "plan-samples.npz") as kept:
        arrays = {**kept, **changes}
    np.savez_compressed(run.folder / "plan-samples.npz", **{name: x for name, x in arrays.items() if x is not None})


def test_every_sample_has_its_tile_and_its_name(run):
    (found,) = pictures([run], 10**9)
    assert found is not None
    with np.load(run.folder / "plan-samples.npz") as kept:
        images = kept["student"]
    sheet = opened(found.sheets["student"])
    assert sheet.shape == (2 * 8, COLUMNS * 8)
    for k in (0, 31, 32, 39):
        row, column = divmod(k, COLUMNS)
        np.testing.assert_array_equal(sheet[8 * row : 8 * row + 8, 8 * column : 8 * column + 8], images[k, ..., 0])
    assert found.index["names"][:2] == [[100, "cat"], [101, "dog"]]
    assert found.index["sheets"] == {"student": [8, 8]} and found.index["of"] == {"student": "student"}


def test_teachers_that_see_the_same_share_a_sheet(run):
    other = np.zeros((40, 8, 8, 1), np.uint8)
    rewrite(run, **{"teacher/mri": other, "teacher/ct": other})
    (found,) = pictures([run], 10**9)
    assert found is not None and len(found.sheets) == 2
    assert found.index["of"]["mri"] == found.index["of"]["ct"] != "student"
    assert all("/" not in key for key in found.sheets), "keys are classes of the page"


def test_without_pictures_names_stay(run):
    rewrite(run, student=None)
    (found,) = pictures([run], 10**9)
    assert found is not None and found.sheets == {} and len(found.index["names"]) == 40


def test_a_page_too_large_goes_without_any(run):
    (found,) = pictures([run], 10)
    assert found is not None and found.sheets == {} and found.index["of"] == {}
    assert len(found.index["names"]) == 40


def test_none_was_recorded(made):
    assert pictures([read_run(made())], 10**9) == [None]


def test_damage_is_said(run):
    (run.folder / "plan-samples.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="plans are shown without the samples"):
        pictures([run], 10**9)
