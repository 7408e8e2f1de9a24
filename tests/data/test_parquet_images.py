import numpy as np
import pytest

from kantor.data import parquet_images
from kantor.data.parquet_images import InGroups, Rows, TakenRows

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(params=["bytes", "struct"])
def rows(tmp_path, request) -> Rows:
    """Two files of seven and five rows, three in a row group; a row without bytes."""
    contents = [None if k == 4 else f"image {k}".encode() for k in range(12)]
    files = []
    for number, part in enumerate((contents[:7], contents[7:])):
        values = part if request.param == "bytes" else [{"bytes": content, "path": None} for content in part]
        kind = pa.binary() if request.param == "bytes" else pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        files.append(tmp_path / f"train-{number}.parquet")
        parquet.write_table(pa.table({"image": pa.array(values, kind)}), files[-1], row_group_size=3)
    return Rows(files, "image", 12)


def test_rows_by_group_are_those_in_memory(rows, monkeypatch):
    wanted = np.array([1, 3, 6, 7, 11])
    at_once = rows.take(wanted)
    monkeypatch.setattr(parquet_images, "KEPT_BYTES", 0)
    lazy = rows.take(wanted)
    assert isinstance(at_once, TakenRows) and isinstance(lazy, InGroups)
    for row in (4, 0, 2, 3, 1, 4):
        assert lazy.read(row) == at_once.read(row) == f"image {wanted[row]}".encode()
        assert lazy.describe(row) == at_once.describe(row)
    assert lazy.describe(4).endswith("train-1.parquet, row 4")
    assert lazy.take(np.array([0, 4])).read(1) == b"image 11"


def test_few_row_groups_are_kept(rows, monkeypatch):
    monkeypatch.setattr(parquet_images, "KEPT_BYTES", 0)
    monkeypatch.setattr(parquet_images, "_HELD", 1)
    lazy = rows.take(np.arange(12))
    read = []
    group = lazy._read_group
    monkeypatch.setattr(lazy, "_read_group", lambda number: read.append(number) or group(number))
    for row in (0, 1, 2, 3, 0):
        lazy.read(row)
    assert read == [0, 1, 0]


@pytest.mark.parametrize("kept", [0, 2**30])
def test_a_row_without_bytes_is_no_image(rows, monkeypatch, kept):
    monkeypatch.setattr(parquet_images, "KEPT_BYTES", kept)
    with pytest.raises(ValueError, match="no bytes"):
        rows.take(np.arange(12)).read(4)


def test_rows_are_known_by_file_and_number(rows):
    known = rows.identities()
    assert known.names[6:8] == ["train-0.parquet:6", "train-1.parquet:0"]
    assert (known.sizes < 0).all()
