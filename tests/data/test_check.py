import shutil

import numpy as np
import pytest

from kantor.cli import main
from kantor.core.errors import ConfigError, DataError
from kantor.data import checks
from kantor.data.check import check_images
from tests.data.test_folders import zipped


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_there_is_is_said_and_known_the_next_time(folder, kind, monkeypatch):
    shutil.copytree(folder / "train", folder / "test")
    data, said, looks = folder if kind == "folder" else zipped(folder), [], []
    look = checks.opened
    monkeypatch.setattr(checks, "opened", lambda content: looks.append(1) or look(content))
    check_images(data, said.append)
    check_images(data, said.append)
    parts = [f"{part}: 16 images, all 6 x 5 pixels, in colour" for part in ("train", "test")]
    assert said == 2 * parts and len(looks) == 32


def test_damaged_images_and_other_sizes_are_said(folder, image_bytes, capsys):
    (folder / "train/cat/00.png").write_bytes(b"no image")
    (folder / "train/cat/03.png").write_bytes(image_bytes(0, (9, 5), grey=True))
    assert main(["check", str(folder)]) == 2
    told = capsys.readouterr()
    assert "16 images, 6 to 9 pixels wide and 5 to 5 high, so that --image-size is needed, 14 of them" in told.out
    assert "1 images cannot be decoded" in told.err and "cat/00.png (no image" in told.err
    (folder / "train/cat/00.png").write_bytes(image_bytes(1))
    assert main(["check", str(folder)]) == 0


def test_images_without_labels_are_checked_and_arrays_are_not(tmp_path, image_bytes):
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat/1.png").write_bytes(image_bytes(0))
    said = []
    check_images(tmp_path / "flat", said.append)
    assert said == ["train: 1 images, all 6 x 5 pixels, in colour"]
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 2)), label=np.arange(9) % 2)
    with pytest.raises(ConfigError, match="holds no image files"):
        check_images(tmp_path / "a.npz", said.append)
    with pytest.raises(DataError, match="no file or folder"):
        check_images(tmp_path / "gone", said.append)
