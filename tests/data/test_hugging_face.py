"""A data set of Hugging Face's is read as the files that it would be saved in."""

import numpy as np
import pytest
from PIL import Image

import kantor
from kantor.core.errors import DataError
from kantor.core.objects import at_hand
from kantor.data.hugging_face import is_hugging_face, written

datasets = pytest.importorskip("datasets", reason="needs datasets: pip install 'kantor[datasets]'")


@pytest.fixture
def pictures():
    images = [Image.fromarray(np.full((4, 4, 3), [k, 2 * k, 0], np.uint8)) for k in range(20)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])})
    return datasets.Dataset.from_dict({"image": images, "label": [k % 2 for k in range(20)]}, features=features)


@pytest.mark.filterwarnings("ignore")
def test_images_classes_and_parts_are_there(pictures):
    both = datasets.DatasetDict({"train": pictures, "test": pictures.select(range(6))})
    assert is_hugging_face(pictures) and is_hugging_face(both) and not is_hugging_face({"train": [1]})
    with at_hand({"object:a": both}):
        data = kantor.open_data("object:a", validation=0)
    assert data.classes == ["no", "yes"] and len(data.part("test")) == 6
    pixels = data.train.read(np.arange(20))["student"]
    np.testing.assert_allclose(pixels[:, 1].mean((1, 2)).numpy(), 2 * np.arange(20) / 255, atol=1e-6)
    assert written(both) == written(both)


@pytest.mark.filterwarnings("ignore")
def test_rows_that_pass_through_a_function_are_read_row_by_row(pictures):
    seen = pictures.with_transform(
        lambda rows: {"x": [np.asarray(i)[..., 0] for i in rows["image"]], "label": rows["label"]}
    )
    assert not is_hugging_face(seen)
    with at_hand({"object:a": seen}):
        data = kantor.open_data("object:a", validation=0)
    assert data.classes == ["no", "yes"] and data.train.input_shapes["student"] == (1, 4, 4)


def test_a_part_without_rows_is_refused(pictures):
    with pytest.raises(DataError, match="a part without rows"):
        written({"train": pictures, "test": pictures.select([])})
