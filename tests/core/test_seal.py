"""A finished student's files are believed only while they are what they were."""

import json

import pytest

from kantor.core.errors import DataError
from kantor.core.seal import check_files, check_sealed, finish, student_of


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "kd" / "seed-0"
    place.mkdir(parents=True)
    (place / "student.safetensors").write_bytes(b"weights")
    (place / "metrics.jsonl").write_bytes(b'{"step": 1}\n')
    finish(place, {"accuracy": 0.5})
    return place


def test_the_result_holds_what_it_was_given_and_seals_what_is_there(folder):
    result = json.loads((folder / "result.json").read_text())
    assert result["accuracy"] == 0.5
    assert set(result["files"]) == {"student.safetensors", "metrics.jsonl"}
    check_files(folder)
    assert student_of(folder) == folder / "student.safetensors"


@pytest.mark.parametrize("name", ["student.safetensors", "metrics.jsonl"])
@pytest.mark.parametrize(("damage", "said"), [("changed", "was changed or damaged"), ("gone", "is missing")])
def test_a_file_that_is_not_what_it_was_is_named_with_a_remedy(folder, name, damage, said):
    path = folder / name
    if damage == "gone":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    for look in (check_files, student_of):
        with pytest.raises(DataError, match=rf"{path} {said}.*delete {folder}.*kantor resume"):
            look(folder)
    if name == "student.safetensors":
        with pytest.raises(DataError, match=said):
            check_sealed(path)
    else:
        check_sealed(folder / "student.safetensors")


def test_what_is_not_finished_and_what_lies_elsewhere_is_not_looked_at(folder, tmp_path):
    (folder / "result.json").unlink()
    (folder / "student.safetensors").write_bytes(b"others")
    check_files(folder)
    check_sealed(folder / "student.safetensors")
    check_sealed(tmp_path / "own.safetensors")


@pytest.mark.parametrize("files", [5, {"student.safetensors": 1}])
def test_a_seal_that_is_none_is_named(folder, files):
    (folder / "result.json").write_text(json.dumps({"files": files}))
    with pytest.raises(DataError, match=r"result\.json cannot be used: files"):
        check_files(folder)


def test_a_seal_of_other_files_is_not_looked_at(folder):
    (folder / "result.json").write_text(json.dumps({"files": {"/dev/zero": "endless"}}))
    check_files(folder)
