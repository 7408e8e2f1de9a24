"""The door for what is read back: any damage is a message with the file, what is wrong and a remedy."""

import time
from itertools import pairwise
from typing import Literal, NotRequired, TypedDict

import pytest
import yaml

from kantor.core.errors import DataError
from kantor.core.reading import check_shape, parse_yaml, read_json, read_yaml


class Kept(TypedDict):
    name: str
    seeds: list[int]
    share: float | None
    kind: NotRequired[Literal["a", "b"]]
    parts: NotRequired[dict[str, tuple[int, int]]]


GOOD = b'{"name": "x", "seeds": [1], "share": 0.5, "kind": "a", "parts": {"p": [1, 2]}, "later": null}'


def test_what_fits_comes_back_as_it_was_written(tmp_path):
    (tmp_path / "a.json").write_bytes(GOOD)
    assert read_json(tmp_path / "a.json", Kept)["parts"] == {"p": [1, 2]}
    assert read_json(tmp_path / "missing.json", Kept) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"[]", r"it is \[\], and must be a mapping"),
        (b"null", "must be a mapping"),
        (GOOD[:-5], "is not valid JSON"),
        (GOOD.decode().encode("utf-16"), "is not text in UTF-8"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"name": "x", "name": "y"}', "'name' is given twice"),
        (b'{"name": "x", "seeds": [], "share": NaN}', "NaN is no number of JSON"),
        (b'{"name": "x", "seeds": [], "share": 1e999}', "share is inf, and must be a number"),
        (b'{"name": "x", "seeds": []}', "'share' is missing"),
        (b'{"name": 3, "seeds": [], "share": 1}', "name is 3, and must be text"),
        (b'{"name": "x", "seeds": [1, true], "share": 1}', r"seeds\[1\] is True, and must be a whole number"),
        (b'{"name": "x", "seeds": {}, "share": 1}', "seeds is {}, and must be a list"),
        (b'{"name": "x", "seeds": [], "share": 1, "kind": "c"}', "kind is 'c', and must be a or b"),
        (b'{"name": "x", "seeds": [], "share": 1, "parts": {"p": [1]}}', r"parts.p is \[1\]"),
        (b'{"name": "x", "seeds": [], "share": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b'{"name": "x", "seeds": [], "share": ' + b"9" * 400 + b"}", "must be a number"),
    ],
)
def test_damage_is_named_with_its_file_and_a_remedy(tmp_path, content, said):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_json(tmp_path / "a.json", Kept, "Write it again.")
    assert str(tmp_path / "a.json") in str(caught.value)
    assert str(caught.value).endswith("Write it again.")


def test_a_folder_in_a_files_place_is_named(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(DataError, match=r"a.json cannot be read: Is a directory"):
        read_json(tmp_path / "a.json")


def bomb(first: str, form: str) -> str:
    names = "abcdefghij"
    many = (f"{b}: &{b} {form.format(', '.join([f'*{a}'] * 10))}\n" for a, b in pairwise(names))
    return first + "".join(many)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (bomb("a: &a [1, 2, 3, 4]\n", "[{}]"), "aliases stand for more than"),
        (bomb("a: &a {x: 1}\n", "{{<<: [{}]}}"), "aliases stand for more than"),
        ("a: &a [*a]", "aliases stand for more than"),
        ("[" * 100_000, "more than 40 levels"),
        ("{a: " * 3000, "more than 40 levels"),
        ("- " * 3000 + "x", "more than 40 levels"),
        ("a: 1\nb: 2\na: 3", "'a' is given twice"),
        ("b: {a: 1, a: 2}", "'a' is given twice"),
        ("'a': 1\na: 2", "'a' is given twice"),
        ("a: !!python/object/apply:os.system [ls]", "python/object"),
        ("? [a]\n: 1", "unhashable"),
        ("a: \x1b[31m", "not allowed"),
    ],
)
def test_yaml_that_no_person_writes_is_refused_at_once(tmp_path, text, said):
    begin = time.process_time()
    with pytest.raises(yaml.YAMLError, match=said):
        parse_yaml(text)
    assert time.process_time() - begin < 5
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError, match=r"a.yaml is not valid YAML .* Mend it\."):
        read_yaml(tmp_path / "a.yaml", dict, "Mend it.")


def test_yaml_of_every_day_is_read():
    text = "base: &base {lr: 1e-3, day: 2020-01-01}\nnext: {<<: *base, lr: 2}\nnames: ['01', \"yes\", no]\n"
    assert parse_yaml(text) == {
        "base": {"lr": 0.001, "day": "2020-01-01"},
        "next": {"lr": 2, "day": "2020-01-01"},
        "names": ["01", "yes", False],
    }


class _Done(TypedDict):
    seconds: float


class _Failed(TypedDict):
    why: str


def test_what_fits_none_of_several_records_says_what_each_lacks():
    with pytest.raises(DataError, match="'seconds' is missing, or 'why' is missing"):
        check_shape({"accuracy": 0.5}, _Done | _Failed, "result.json", "Delete it.")
