import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.data import on_demand
from kantor.data.checks import GOOD, Checks
from kantor.data.decoding import Form
from kantor.data.folders import Files
from kantor.data.images import load_images
from kantor.data.on_demand import OnDemand

COLOUR = Form(3, 5, 6, False, "the first")


@pytest.fixture
def files(tmp_path, image_bytes) -> Files:
    for k in range(9):
        (tmp_path / f"{k}.png").write_bytes(image_bytes(k))
    return Files(tmp_path, [f"{k}.png" for k in range(9)])


@pytest.mark.parametrize("keep", [False, True])
def test_pixels_are_those_of_a_part_that_is_decoded_at_once(files, keep):
    at_once = load_images({"train": files}, None, skip_corrupt=False).stores["train"]
    store = OnDemand(files, COLOUR, keep=keep)
    for rows in (np.array([4, 0, 8]), np.array([0, 0, 1]), np.arange(9)):
        assert torch.equal(store.read(rows), at_once.read(rows))


def test_what_is_kept_is_decoded_once(files):
    store = OnDemand(files, COLOUR, keep=True)
    before = store.read(np.arange(9))
    (files.root / "3.png").unlink()
    assert torch.equal(store.read(np.array([3])), before[3:4])


def test_what_is_read_without_fault_is_remembered(files):
    store = OnDemand(files, COLOUR)
    store.read(np.arange(8))
    assert not Checks(files).flags.any()
    store.read(np.array([8]))
    assert (Checks(files).flags == GOOD).all()


def test_a_damaged_image_names_the_file_and_the_remedy(files):
    (files.root / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3\.png .*kantor check DATA.*--skip-corrupt"):
        OnDemand(files, COLOUR).read(np.array([0, 3]))


def test_another_size_and_an_image_in_colour_among_grey_ones_are_refused(files, image_bytes):
    (files.root / "3.png").write_bytes(image_bytes(3, (7, 5)))
    with pytest.raises(DataError, match=r"the first is 6 x 5, .*3\.png is 7 x 5.*--image-size"):
        OnDemand(files, COLOUR).read(np.array([3]))
    with pytest.raises(DataError, match=r"0\.png shows colour.*kantor check DATA"):
        OnDemand(files, Form(1, 5, 6, False, "the first")).read(np.array([0]))


def test_a_file_that_changed_since_it_was_listed_is_refused(files, image_bytes):
    files.identities()
    (files.root / "3.png").write_bytes(image_bytes(3, kind="bmp"))
    with pytest.raises(DataError, match=r"3\.png had [0-9,]+ bytes when the data was listed"):
        OnDemand(files, COLOUR).read(np.array([3]))


@pytest.mark.parametrize("large", [False, True])
def test_the_digest_is_of_what_is_asked_for(files, image_bytes, monkeypatch, large):
    if large:
        monkeypatch.setattr(on_demand, "WHOLE_IMAGES", 1)
        monkeypatch.setattr(on_demand, "WHOLE_BYTES", 1)
    rows = np.array([4, 0, 8])
    before = OnDemand(files, COLOUR).digest(rows)
    assert before == OnDemand(Files(files.root, files.names), COLOUR).digest(rows)
    assert before != OnDemand(files, COLOUR).digest(rows[::-1])
    (files.root / "1.png").write_bytes(b"another")
    assert OnDemand(Files(files.root, files.names), COLOUR).digest(rows) == before
    (files.root / "8.png").write_bytes(image_bytes(99, (6, 5)))
    assert OnDemand(Files(files.root, files.names), COLOUR).digest(rows) != before


def test_of_a_large_part_a_sample_of_contents_and_every_size_counts(files, monkeypatch):
    monkeypatch.setattr(on_demand, "WHOLE_IMAGES", 1)
    monkeypatch.setattr(on_demand, "WHOLE_BYTES", 1)
    monkeypatch.setattr(on_demand, "_SAMPLE", 1)
    before = OnDemand(files, COLOUR).digest(np.arange(9))
    changed = set()
    for k in range(9):
        path = files.root / f"{k}.png"
        content = path.read_bytes()
        path.write_bytes(bytes(len(content)))
        changed.add(OnDemand(Files(files.root, files.names), COLOUR).digest(np.arange(9)) != before)
        path.write_bytes(content + b"more")
        assert OnDemand(Files(files.root, files.names), COLOUR).digest(np.arange(9)) != before
        path.write_bytes(content)
    assert changed == {False, True}
