"""What was changed since it was written is refused."""

import json
from typing import TypedDict

import pytest

from kantor.core.errors import DataError
from kantor.core.sealed_json import read_sealed_json, write_sealed_json

CONTENT = {"accuracy": 0.1 + 0.2, "weights": {"kd": [1e-30, None, True]}, "says": "naïve \u2028 \ud800"}


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "result.json"
    write_sealed_json(path, {**CONTENT, "pairs": ((1, 2), ())})
    assert read_sealed_json(path) == {**CONTENT, "pairs": [[1, 2], []]}
    assert read_sealed_json(tmp_path / "none.json") == {}


def test_layout_and_order_of_keys_do_not_matter(tmp_path):
    path = tmp_path / "result.json"
    write_sealed_json(path, CONTENT)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items()))))
    assert read_sealed_json(path) == CONTENT


def test_what_an_earlier_version_wrote_has_no_digest(tmp_path):
    path = tmp_path / "result.json"
    path.write_text('{"accuracy": 0.5}')
    assert read_sealed_json(path) == {"accuracy": 0.5}


def test_equal_runs_have_equal_digests_whatever_the_clock_says(tmp_path):
    for seconds in (1.5, 2.5):
        write_sealed_json(tmp_path / f"{seconds}.json", {**CONTENT, "seconds": seconds, "peak_memory": int(seconds)})
    first, second = (json.loads((tmp_path / f"{seconds}.json").read_text()) for seconds in (1.5, 2.5))
    assert first["digest"] == second["digest"]
    assert read_sealed_json(tmp_path / "2.5.json")["seconds"] == 2.5


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(accuracy=0.31),
        lambda content: content["weights"]["kd"].reverse(),
        lambda content: content.pop("says"),
        lambda content: content.update(more=1),
        lambda content: content.update(digest="0" * 64),
        lambda content: content.update(digest=5),
    ],
)
def test_any_change_is_refused_by_name_with_a_remedy(tmp_path, change):
    path = tmp_path / "result.json"
    write_sealed_json(path, CONTENT)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"{path} was changed or damaged.*Bring it back from a copy.*Remove the run\."):
        read_sealed_json(path, remedy="Remove the run.")


def test_the_shape_is_checked(tmp_path):
    class Shape(TypedDict):
        accuracy: str

    path = tmp_path / "result.json"
    write_sealed_json(path, CONTENT)
    with pytest.raises(DataError, match="accuracy"):
        read_sealed_json(path, Shape)
