"""Which tokenizer each role of a study has."""

import pytest

from kantor.core.errors import ConfigError
from kantor.data.tokenizer import Learned, Tokenizer
from kantor.models.loading import load_named
from kantor.study.settings.tokenizers import tokenizers_for

pytest.importorskip("tokenizers", reason="needs the extra text")


@pytest.fixture
def bags(tmp_path):
    """Two trained models of other tokenizers."""
    found = {}
    for name, text in (("one", "a fine film"), ("two", "a dull plot")):
        tokenizer = Learned(300, 16).of([text])
        model = load_named("bag@dim=4", classes=2, input_shape=tokenizer.shape, tokenizer=tokenizer)
        model.save(tmp_path / f"{name}.safetensors")
        found[name] = (str(tmp_path / f"{name}.safetensors"), tokenizer)
    return found


def test_a_student_takes_the_teachers_or_its_own(bags):
    (one, tokenizer), (two, other) = bags.values()
    seen = tokenizers_for("textcnn", {"teacher": one}, "auto", None, None)
    assert seen == {"student": tokenizer, "teacher": tokenizer}
    assert tokenizers_for("textcnn", {"teacher": one}, "auto", 8, None)["student"].longest == 8
    assert tokenizers_for(two, {"teacher": one}, "auto", None, None) == {"student": other, "teacher": tokenizer}
    learned = tokenizers_for("textcnn", {"teacher": one}, "bpe:500", None, None)
    assert learned["teacher"] == tokenizer
    assert isinstance(learned["student"], Learned)
    assert (learned["student"].size, learned["student"].longest) == (500, 128)


def test_where_nobody_has_one_all_share_what_is_learned():
    seen = tokenizers_for("bag", {"teacher": "textcnn"}, "auto", None, None)
    assert seen["student"] is seen["teacher"]
    assert isinstance(seen["student"], Learned)
    assert tokenizers_for("bag", {}, "auto", 16, None)["student"].longest == 16


def test_teachers_of_other_tokenizers_are_roles_of_their_own(bags):
    (one, tokenizer), (two, other) = bags.values()
    seen = tokenizers_for("textcnn", {"one": one, "two": two}, "bpe:300", None, None)
    assert {name: seen[name] for name in ("one", "two")} == {"one": tokenizer, "two": other}
    assert "teacher" not in seen
    with pytest.raises(ConfigError, match=r"teachers differ in their tokenizers.*--tokenizer bpe:4000"):
        tokenizers_for("textcnn", {"one": one, "two": two}, "auto", None, None)
    same = tokenizers_for("textcnn", {"one": one, "again": one}, "auto", None, None)
    assert same == {"student": tokenizer, "teacher": tokenizer}


def test_a_file_or_its_folder(bags, tmp_path):
    (tmp_path / "tokenizer.json").write_text(bags["two"][1].content)
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        found = tokenizers_for("textcnn", {"teacher": bags["one"][0]}, str(place), None, None)["student"]
        assert isinstance(found, Tokenizer)
        assert found.content == bags["two"][1].content


def test_what_is_refused(bags):
    one = bags["one"][0]
    with pytest.raises(ConfigError, match=r"tokenizer bpe:500 is for models that bring none.*each bring their own"):
        tokenizers_for(one, {"teacher": one}, "bpe:500", None, None)
    with pytest.raises(ConfigError, match=r"tokenizer is bpe:SIZE with a number"):
        tokenizers_for("bag", {}, "bpe:many", None, None)
    with pytest.raises(ConfigError, match="There is no tokenizer at nowhere"):
        tokenizers_for("bag", {}, "nowhere", None, None)
