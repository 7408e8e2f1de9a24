"""Images in a folder, and a table that lists them."""

import json
import zipfile

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.data import open_data
from kantor.data.listed_images import image_lists

pytest.importorskip("pyarrow", reason="tables are read by pyarrow")


@pytest.fixture
def pets(tmp_path, image_bytes):
    """Twelve images beside a table; a callable that writes the table."""
    root = tmp_path / "pets"
    root.mkdir()
    for number in range(12):
        (root / f"{number:02d}.png").write_bytes(image_bytes(number))

    def listed(columns, rows=range(12), name="metadata.csv", where=""):
        lines = [",".join(["file_name", *columns])]
        lines += [",".join([f"{row:02d}.png", *(str(make(row)) for make in columns.values())]) for row in rows]
        (root / where / name).write_text("\n".join(lines) + "\n")
        return root

    return listed


@pytest.mark.parametrize("name", ["metadata.csv", "labels.csv"])
def test_a_label_stands_beside_each_image(pets, name):
    root = pets({"label": lambda row: ["cat", "dog"][row % 2]}, name=name)
    data = open_data(root, validation=0)
    assert data.classes == ["cat", "dog"]
    assert len(data.train) + len(data.part("test")) == 12
    np.testing.assert_array_equal(data.train.targets, data.train.ids % 2)
    from tests.data.conftest import picture

    first = data.train.read(np.arange(1))["student"][0]
    wanted = np.asarray(picture(int(data.train.ids[0]))).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(first.numpy(), wanted, atol=1e-6)


def test_other_kinds_of_labels_and_columns_by_name(pets):
    root = pets({"age": lambda row: row / 2, "y_wild": lambda row: row % 2, "y_old": lambda row: row // 6})
    assert open_data(root, label="age", kind="numbers", validation=0).train.targets.dtype == np.float32
    assert open_data(root, label="y_*", kind="several").classes == ["y_wild", "y_old"]
    assert open_data(root, label="y_old", classes=["1", "0"]).classes == ["1", "0"]


def test_images_that_nobody_lists_are_left_out_and_counted(pets):
    data = open_data(pets({"label": lambda row: row % 2}, rows=range(8)), validation=0)
    assert data.train.samples == 8
    assert data.facts()["images that no table lists"] == "4, left out"


def test_json_lines(pets):
    root = pets({"label": lambda row: row % 2})
    (root / "metadata.csv").unlink()
    lines = [json.dumps({"file_name": f"{row:02d}.png", "label": row % 2}) for row in range(12)]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    assert open_data(root).classes == ["0", "1"]


@pytest.mark.parametrize("each", [True, False], ids=["a table in each part", "one table"])
def test_folders_that_are_called_like_parts(pets, image_bytes, each):
    root = pets({"label": lambda row: row % 2})
    (root / "metadata.csv").unlink()
    for part, rows in (("train", range(8)), ("test", range(8, 12))):
        (root / part).mkdir()
        for row in rows:
            (root / f"{row:02d}.png").rename(root / part / f"{row:02d}.png")
        if each:
            pets({"label": lambda row: row % 2}, rows, where=part)
    if not each:
        lines = [f"{'train' if row < 8 else 'test'}/{row:02d}.png,{row % 2}" for row in range(12)]
        (root / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    data = open_data(root, validation=0)
    assert (len(data.train), len(data.part("test"))) == (8, 4)
    np.testing.assert_array_equal(data.part("test").targets, [0, 1, 0, 1])


def test_of_class_folders_a_table_without_labels_says_nothing_new(folder):
    (folder / "metadata.csv").write_text("file_name,taken\ntrain/cat/00.png,May\n")
    assert image_lists(folder, None) is None
    assert open_data(folder).classes == ["cat", "dog"]
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    (folder / "metadata.csv").unlink()
    assert open_data(folder).classes == ["cat", "dog"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("00.png,1", "row 12: 00.png is listed twice"),
        ("99.png,1", r"row 12: there is no file .*99.png"),
        ("../../secret.png,1", "row 12: file_name '../../secret.png' is no path of an image below"),
        (",1", "row 12: file_name '' is no path"),
        ("metadata.csv,1", "row 12: metadata.csv is no image"),
    ],
)
def test_what_a_table_cannot_mean_is_said(pets, line, says):
    root = pets({"label": lambda row: row % 2})
    with (root / "metadata.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=says):
        open_data(root)


def test_two_tables_and_a_table_without_the_paths(pets):
    root = pets({"label": lambda row: row % 2})
    pets({"label": lambda row: row % 2}, name="labels.csv")
    with pytest.raises(DataError, match=r"metadata.csv and labels.csv. Keep the one"):
        open_data(root)
    (root / "labels.csv").unlink()
    (root / "metadata.csv").write_text("image,label\n00.png,1\n")
    with pytest.raises(DataError, match=r"list all images in a metadata.csv with columns file_name and label"):
        open_data(root)
    with pytest.raises(ConfigError, match="has its own labels"):
        open_data(root, label="label")


def zipped(root, *, top="", windows=False):
    """The folder as a zip beside it."""
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(file for file in root.rglob("*") if file.is_file()):
            name = top + file.relative_to(root).as_posix()
            entry = zipfile.ZipInfo()
            entry.filename = entry.orig_filename = name.replace("/", "\\") if windows else name
            archive.writestr(entry, file.read_bytes())
            archive.writestr(f"__MACOSX/._{len(archive.namelist())}_metadata.csv", b"what a Mac packs beside it")
    return path


@pytest.mark.parametrize("top", ["", "pets/", "a/b/"])
@pytest.mark.parametrize("windows", [False, True], ids=["slashes", "backslashes"])
def test_a_zip_is_the_folder(pets, top, windows):
    root = pets({"label": lambda row: row % 2}, rows=range(8))
    a, b = open_data(root), open_data(zipped(root, top=top, windows=windows))
    assert b.facts()["images that no table lists"] == a.facts()["images that no table lists"] == "4, left out"
    np.testing.assert_array_equal(a.train.targets, b.train.targets)
    rows = np.arange(len(a.train))
    assert a.train.read(rows)["student"].equal(b.train.read(rows)["student"])


def test_parts_and_labels_of_another_kind_in_a_zip(pets, image_bytes):
    root = pets({"age": lambda row: row / 2})
    for part, rows in (("train", range(8)), ("test", range(8, 12))):
        (root / part).mkdir()
        for row in rows:
            (root / f"{row:02d}.png").rename(root / part / f"{row:02d}.png")
        pets({"age": lambda row: row / 2}, rows, where=part)
    (root / "metadata.csv").unlink()
    data = open_data(zipped(root), label="age", kind="numbers", validation=0)
    assert (len(data.train), len(data.part("test"))) == (8, 4)


def test_messages_name_what_lies_in_the_zip(pets):
    root = pets({"label": lambda row: row % 2})
    (root / "05.png").unlink()
    with pytest.raises(DataError, match=r"pets.zip/metadata.csv, row 5: there is no file \S*pets.zip/05.png") as said:
        open_data(zipped(root))
    assert "/kantor-" not in str(said.value)


def test_a_table_by_its_own_name(pets):
    root = pets({"label": lambda row: ["cat", "dog"][row % 2]}, name="any.csv")
    assert open_data(root / "any.csv").classes == ["cat", "dog"]


def test_paths_that_windows_wrote(pets):
    root = pets({"label": lambda row: row % 2})
    (root / "deep").mkdir()
    for row in range(12):
        (root / f"{row:02d}.png").rename(root / "deep" / f"{row:02d}.png")
    table = root / "metadata.csv"
    table.write_text("file_name,label\n" + "".join(f".\\deep\\{row:02d}.png,{row % 2}\n" for row in range(12)))
    assert open_data(root).train.samples + len(open_data(root).part("test")) >= 11
    table.write_text("file_name,label\n" + "".join(f"C:\\pets\\deep\\{row:02d}.png,{row % 2}\n" for row in range(12)))
    with pytest.raises(DataError, match="is no path of an image below"):
        open_data(root)


def test_a_table_with_semicolons_is_no_folder_without_classes(pets):
    root = pets({"label": lambda row: row % 2})
    (root / "metadata.csv").write_text((root / "metadata.csv").read_text().replace(",", ";"))
    with pytest.raises(DataError, match="separated by semicolons"):
        open_data(root)
