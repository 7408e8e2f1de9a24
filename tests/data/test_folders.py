import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.data import open_data


def zipped(folder: Path, name: str = "pets.zip", *, top: str = "pets") -> Path:
    target = folder.parent / name
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}/{path.relative_to(folder).as_posix()}" if top else path.relative_to(folder))
    return target


def copy(folder: Path, part: str) -> None:
    shutil.copytree(folder / "train", folder / part)


def test_classes_ids_and_extensions_in_any_case(folder):
    data = open_data(folder, validation=0.0)
    assert data.classes == ["cat", "dog"]
    assert data.train.samples == 16 and data.test is not None
    everything = np.sort(np.concatenate([data.train.ids, data.test.ids]))
    assert everything.tolist() == list(range(16))
    assert "no test part: 20%" in data.facts()["test"]
    assert (data.train.targets == (data.train.ids >= 10)).all()


def test_class_folders_need_no_train_above_them(folder):
    above, below = open_data(folder), open_data(folder / "train")
    assert above.train.fingerprint == below.train.fingerprint


@pytest.mark.parametrize("top", ["pets", "a/b", ""])
def test_a_zip_is_the_folder(folder, top):
    copy(folder, "test")
    a, b = open_data(folder), open_data(zipped(folder, top=top))
    assert a.classes == b.classes
    for name in ("train", "validation", "test"):
        assert a.part(name).fingerprint == b.part(name).fingerprint


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_validation_without_test_is_the_test_part(folder, name):
    copy(folder, name)
    data = open_data(folder)
    assert data.test is not None and len(data.test) == 16
    assert data.validation is not None and data.validation.samples == 16 and len(data.train) == 14
    assert f"{name} is the test part" in data.facts()["test"]


def test_validation_beside_test_is_used_and_none_is_cut(folder):
    copy(folder, "val")
    copy(folder, "test")
    data = open_data(folder)
    assert [len(data.part(name)) for name in ("train", "validation", "test")] == [16, 16, 16]
    assert "test" not in data.notes


def test_images_may_lie_deeper(folder):
    (folder / "train/cat/images").mkdir()
    (folder / "train/cat/00.png").rename(folder / "train/cat/images/00.png")
    assert open_data(folder).train.samples == 16


def test_other_files_are_ignored_and_said(folder):
    (folder / "train/cat/notes.txt").write_text("x")
    (folder / "README.md").write_text("x")
    (folder / "train/.DS_Store").write_text("x")
    data = open_data(folder)
    assert data.train.samples == 16
    assert data.facts()["ignored_files"] == ["README.md", "train/cat/notes.txt"]


def test_a_corrupt_image_keeps_the_other_ids(folder):
    before = open_data(folder, validation=0.0)
    victim = int(before.train.ids[3])
    path = sorted((folder / "train/cat").iterdir())[victim]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=f"{path.name}.*--skip-corrupt"):
        open_data(folder)
    after = open_data(folder, validation=0.0, skip_corrupt=True)
    assert after.train.ids.tolist() == [i for i in before.train.ids.tolist() if i != victim]
    assert path.name in after.facts()["skipped"][0]
    kept = np.flatnonzero(before.train.ids != victim)
    read = after.train.read(np.arange(len(after.train)))["student"]
    assert torch.equal(read, before.train.read(kept)["student"])


def test_a_flipped_byte_in_a_zip_is_a_corrupt_image(folder):
    path = zipped(folder)
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[2]
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"pets.zip:{info.filename}"):
        open_data(path)


def test_an_empty_class_folder_is_named(folder):
    (folder / "train/emu").mkdir()
    with pytest.raises(DataError, match="class folder train/emu holds no image"):
        open_data(folder)
    (folder / "train/emu/a.xyz").write_text("x")
    with pytest.raises(DataError, match=r"it has train/emu/a\.xyz"):
        open_data(folder)


def test_a_format_that_is_not_read_is_named(folder):
    (folder / "train/cat/10.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"train/cat/10\.heic is in a format that is not read.*\.png"):
        open_data(folder)


def test_an_image_outside_class_folders_is_named(folder, image_bytes):
    (folder / "train/1.png").write_bytes(image_bytes())
    with pytest.raises(DataError, match=r"train/1\.png is in no class folder"):
        open_data(folder)


def test_a_class_the_training_part_has_not(folder, image_bytes):
    copy(folder, "test")
    (folder / "test/cat").rename(folder / "test/cow")
    with pytest.raises(DataError, match=r"test has a class 'cow'.*\['cat', 'dog'\]"):
        open_data(folder)


def test_layouts_that_cannot_be_used(folder, tmp_path):
    copy(folder, "val")
    copy(folder, "valid")
    with pytest.raises(DataError, match="more than one validation part: val, valid"):
        open_data(folder)
    shutil.rmtree(folder / "train")
    with pytest.raises(DataError, match="and no train"):
        open_data(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        open_data(tmp_path / "empty")


def test_damaged_and_encrypted_zips(folder):
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cat/00\.png is encrypted"):
        open_data(path)
    path.write_bytes(content[:-30])
    with pytest.raises(DataError, match="cannot be read as a zip"):
        open_data(path)


def test_tiny_imagenet(shared_data):
    data = open_data(shared_data / "tiny_imagenet_20.zip", train_limit=60)
    assert data.test is not None and len(data.test) == 1000 and len(data.classes) == 20
    assert data.train.input_shapes["student"] == (3, 64, 64)
    assert data.train.samples == 10000 and len(data.train) == 40
    assert "val is the test part" in data.facts()["test"]


def test_a_folder_called_unlabelled_beside_the_classes_holds_images_without_a_label(folder):
    before = open_data(folder, validation=0.0)
    shutil.copytree(folder / "train/dog", folder / "train/unlabelled")
    plain, more = open_data(folder, validation=0.0), open_data(folder, validation=0.0, unlabelled="all")
    assert plain.classes == more.classes == ["cat", "dog"]
    assert plain.train.fingerprint == more.train.fingerprint == before.train.fingerprint
    assert len(more.unlabelled) == 6 and "6 training samples" in plain.facts()["without a label"]
    shutil.copytree(folder / "train", folder / "test")
    with pytest.raises(DataError, match="test has images without a label, in test/unlabelled"):
        open_data(folder)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("train_set", "test_set"),
        ("TRAIN", "valid"),
        ("train2017", "val2017"),
        ("seg_train", "seg_test"),
        ("train-images", "dev"),
        ("learn", "eval"),
        ("Learning", "holdout_set"),
    ],
)
def test_parts_by_other_names(folder, train, test):
    copy(folder, test)
    (folder / "train").rename(folder / train)
    data = open_data(folder)
    assert data.classes == ["cat", "dog"] and len(data.test) == 16 and data.train.samples == 16


def test_a_part_inside_a_folder_of_its_name(folder):
    copy(folder, "seg_test/seg_test")
    (folder / "seg_train").mkdir()
    (folder / "train").rename(folder / "seg_train/seg_train")
    data = open_data(folder)
    assert data.classes == ["cat", "dog"] and len(data.test) == 16


def test_parts_of_one_kind_twice(folder):
    copy(folder, "Training")
    with pytest.raises(DataError, match="more than one training part: Training, train"):
        open_data(folder)


def test_a_class_called_train(folder):
    (folder / "train").rename(folder / "all")
    (folder / "all/cat").rename(folder / "all/train")
    (folder / "all/dog").rename(folder / "all/bus")
    assert open_data(folder / "all").classes == ["bus", "train"]
    (folder / "all/bus").rename(folder / "all/bullet_train")
    (folder / "all/train").rename(folder / "all/bus")
    assert open_data(folder / "all").classes == ["bullet_train", "bus"]


def test_what_may_be_parts_or_classes_is_refused(folder):
    for name in ("seg_train", "seg_test", "seg_pred"):
        shutil.copytree(folder / "train/cat", folder / name)
    shutil.rmtree(folder / "train")
    with pytest.raises(DataError, match="called like parts, and lie among folders"):
        open_data(folder)


def test_an_empty_part_is_named(folder):
    (folder / "test").mkdir()
    with pytest.raises(DataError, match="the folder test holds no class folders"):
        open_data(folder)


def test_classes_with_numbers_for_names_are_in_their_order(folder):
    for number in (10, 2, 0, 11):
        shutil.copytree(folder / "train/dog", folder / f"numbers/{number}")
    assert open_data(folder / "numbers").classes == ["0", "2", "10", "11"]


def test_one_class_in_two_spellings(folder):
    copy(folder, "test")
    for part, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        (folder / part / "dog").rename(folder / part / name)
    data = open_data(folder)
    assert data.classes == ["caf\u00e9", "cat"] and np.bincount(data.test.targets).tolist() == [6, 10]
    shutil.copytree(folder / "test" / "cafe\u0301", folder / "train" / "cafe\u0301")
    with pytest.raises(DataError, match="two classes of one name"):
        open_data(folder)


def test_links(folder):
    (folder / "train/emu").symlink_to(folder / "train/dog", target_is_directory=True)
    assert open_data(folder).classes == ["cat", "dog", "emu"]
    (folder / "train/dog/up").symlink_to(folder / "train", target_is_directory=True)
    with pytest.raises(DataError, match=r"links to .*train, a folder that it lies in"):
        open_data(folder)
    (folder / "train/dog/up").unlink()
    (folder / "train/dog/gone.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(DataError, match=r"dog/gone\.png .*--skip-corrupt"):
        open_data(folder)


def test_an_image_that_is_a_pipe(folder):
    os.mkfifo(folder / "train/cat/pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png is no plain file"):
        open_data(folder)


def test_a_name_that_breaks_the_line_is_shown_on_one(folder):
    (folder / "train/cat/a\n\x1b[31m.txt").write_text("x")
    (folder / "train/cat/b\n.png").write_text("x")
    with pytest.raises(DataError, match=r"cat/b\\n\.png"):
        open_data(folder)
    assert open_data(folder, skip_corrupt=True).facts()["ignored_files"] == ["train/cat/a\\n\\x1b[31m.txt"]


def test_a_folder_called_as_an_image(folder):
    (folder / "train/cat").rename(folder / "train/cat.png")
    assert open_data(folder).classes == ["cat.png", "dog"]


def test_images_of_many_formats_in_one_data_set(folder, image_bytes):
    for kind, ending in (("webp", "webp"), ("gif", "GIF"), ("bmp", "bmp"), ("tiff", "tif"), ("jpeg", "jfif")):
        (folder / f"train/dog/x.{ending}").write_bytes(image_bytes(kind=kind))
    assert open_data(folder).train.samples == 21


def test_training_samples_of_one_class(folder):
    shutil.rmtree(folder / "train/dog")
    with pytest.raises(DataError, match="one class, cat, among its training samples"):
        open_data(folder)


def test_a_zip_with_an_entry_twice_or_of_gigabytes(folder):
    path = zipped(folder)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("pets/train/cat/00.png", b"")
    with pytest.raises(DataError, match=r"two entries pets/train/cat/00\.png"):
        open_data(path)
    content = bytearray(zipped(folder).read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cat/00\.png takes 2\.15 GB"):
        open_data(path)
