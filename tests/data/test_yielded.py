"""Whatever yields samples becomes named arrays: the same samples, each once, in the data set's own order."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, SubsetRandomSampler, TensorDataset
from torch.utils.data import WeightedRandomSampler as Weighted

import kantor
from kantor.core.errors import DataError
from kantor.core.objects import at_hand
from kantor.data import Batch
from kantor.data.yielded import arrays_of, yields

X = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
PAIRS = TensorDataset(X, Y)


class Pictures(Dataset):
    """Pillow's images of several sizes, some of them grey."""

    classes = ("ant", "bee", "cat")

    def __len__(self) -> int:
        return 9

    def __getitem__(self, i: int):
        pixels = np.random.default_rng(i).integers(0, 255, (6 + i % 2, 6, 3)).astype(np.uint8)
        return Image.fromarray(pixels).convert("L" if i % 4 == 0 else "RGB"), i % 3


class Stream(IterableDataset):
    def __iter__(self):
        yield from ({"image": x, "label": int(y), "__key__": "a"} for x, y in zip(X, Y, strict=True))


def batches():
    return ((X[i : i + 7], Y[i : i + 7]) for i in range(0, 30, 7))


@pytest.mark.parametrize(
    "given",
    [
        PAIRS,
        DataLoader(PAIRS, batch_size=7, shuffle=True, drop_last=True),
        DataLoader(PAIRS, batch_size=None),
        [(x, int(y)) for x, y in zip(X, Y, strict=True)],
        batches(),
        ({"x": x, "label": y} for x, y in batches()),
        (Batch({"student": x, "teacher": x}, y) for x, y in batches()),
        Stream(),
        DataLoader(Stream(), batch_size=4),
    ],
    ids=["dataset", "loader", "unbatched", "list", "batches", "mappings", "kantor", "stream", "stream-loader"],
)
def test_every_source_gives_the_same_samples_in_their_own_order(given):
    assert yields(given)
    found = arrays_of(given, "mine")
    np.testing.assert_array_equal(found.get("x", found.get("image")), X.numpy())
    np.testing.assert_array_equal(found["label"], Y.numpy())
    assert len(found) == 2


def test_parts_keep_to_themselves_and_subsets_leave_out_what_they_leave_out():
    sampler = SubsetRandomSampler([5, 3, 1])
    found = arrays_of(
        {"train": DataLoader(PAIRS, sampler=sampler), "val": Subset(PAIRS, [0, 2]), "test": PAIRS}, "mine"
    )
    np.testing.assert_array_equal(found["label_train"], Y[[1, 3, 5]].numpy())
    np.testing.assert_array_equal(found["x_validation"], X[[0, 2]].numpy())
    assert len(found["x_test"]) == 30
    same = arrays_of({"train": {"x": X, "label": Y}, "test": PAIRS, "classes": ["a", "b", "c"]}, "mine")
    assert same["class_names_train"].tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(same["x_train"], X.numpy())


def test_images_of_pillow_and_in_bytes_are_pixels_of_one_size():
    found = arrays_of(Pictures(), "mine", image_size=5)
    assert found["x"].shape == (9, 3, 5, 5) and found["x"].dtype == np.uint8
    assert found["class_names"].tolist() == ["ant", "bee", "cat"]
    assert (found["x"][4] == found["x"][4][:1]).all()  # a grey one, in three channels
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 7, np.uint8)).save(buffer, "png")
    tar = (
        {"__key__": str(k), "__url__": "a.tar", "png": buffer.getvalue(), "cls": str(k % 2).encode()} for k in (1, 2)
    )
    found = arrays_of(tar, "mine")
    assert found["label"].tolist() == [1, 0] and (found["image"] == 7).all()


def test_token_lists_are_filled_and_masked():
    found = arrays_of([{"input_ids": list(range(1, n)), "labels": n % 2} for n in (3, 5)], "mine")
    assert found["input_ids"].tolist() == [[1, 2, 0, 0], [1, 2, 3, 4]]
    assert found["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Pictures(), r"samples have other shapes: \[.* to what side they are resized: image_size"),
        (iter([]), "list_iterator\\) yields no sample. It was read before"),
        (DataLoader(PAIRS, sampler=Weighted([1.0] * 30, 30)), "draws by a WeightedRandomSampler.* Give the data set"),
        ([(X[0], 1), (X[0],)], "sample 1 holds x, and those before it x, label"),
        ([(X[0], 1, 2)], "yields a tuple of 3. A sample or a batch is"),
        ([({"a": object()}, 1)], "'a' is a object; give a tensor"),
        ([(torch.ones(3), 0), (torch.ones(4), 1)], r"other shapes: \[3\], \[4\]"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(given, message):
    with pytest.raises(DataError, match=message):
        arrays_of(given, "mine")


def test_arrays_are_no_samples():
    assert not yields({"x": X, "label": Y}) and not yields({"train": np.arange(3), "test": np.arange(2)})
    assert not yields("digits") and not yields([1, 2]) and not yields(None) and not yields(X)


def test_a_loader_is_opened_as_its_arrays_are_and_normalised_pixels_are_shown_as_they_are():
    with at_hand({"object:a": DataLoader(PAIRS, batch_size=4, shuffle=True), "object:b": {"x": X, "label": Y}}):
        assert kantor.open_data("object:a").train.fingerprint == kantor.open_data("object:b").train.fingerprint
    with at_hand({"object:a": TensorDataset(4 * X - 2, Y)}):
        data = kantor.open_data("object:a")
    assert data.facts()["pixels"].startswith("from -2 to 2: normalised already")
    torch.testing.assert_close(data.train.read(np.arange(2))["student"], 4 * X[data.train.ids[:2]] - 2)
