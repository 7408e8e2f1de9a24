"""Lines of JSON outlive a writer that dies in the middle of one."""

import errno

import pytest

from kantor.core import lines
from kantor.core.errors import KantorError
from kantor.core.lines import append_line, read_lines


@pytest.mark.parametrize("torn", ['{"a": 1', '{"a": {"b": 1}', "{", '{"é'])
def test_a_torn_line_costs_itself_alone(tmp_path, torn):
    path = tmp_path / "x.jsonl"
    append_line(path, {"a": 0})
    with path.open("ab") as file:
        file.write(torn.encode()[: len(torn)])
    append_line(path, {"a": 2})
    append_line(path, {"a": 3})
    assert read_lines(path) == [{"a": 0}, {"a": 2}, {"a": 3}]


def test_no_file_has_no_lines(tmp_path):
    assert read_lines(tmp_path / "x.jsonl") == []


def test_a_full_disk_is_said_with_a_remedy(tmp_path, monkeypatch):
    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lines, "open", full, raising=False)
    with pytest.raises(KantorError, match=r"x\.jsonl: No space left on device.*kantor resume"):
        append_line(tmp_path / "x.jsonl", {})


def test_a_line_of_another_shape_is_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n{"a": "one"}\n[1]\n7\n{"a": NaN}\n{"a": 2.5}\n')
    assert read_lines(path, dict[str, float]) == [{"a": 1}, {"a": 2.5}]
