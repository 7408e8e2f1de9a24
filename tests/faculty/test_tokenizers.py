"""Tokenizers of a faculty: a teacher without one is refused in its turn, and does not keep the others from theirs."""

import pytest

from kantor.core.errors import ConfigError
from kantor.data.tokenizer import Learned
from kantor.faculty.roster import Entry
from kantor.faculty.tokenizers import faculty_tokenizers
from kantor.models.loading import load_named

pytest.importorskip("tokenizers", reason="needs the extra text")


def test_each_has_its_own(tmp_path):
    tokenizer = Learned(300, 16).of(["a fine film"])
    model = load_named("bag@dim=4", classes=2, input_shape=tokenizer.shape, tokenizer=tokenizer)
    model.save(tmp_path / "bag.safetensors")
    trained = Entry("trained", str(tmp_path / "bag.safetensors"))
    assert faculty_tokenizers([trained, Entry("bare", "textcnn")], []) == {"trained": tokenizer}
    assert faculty_tokenizers([trained], [trained.spec]) == {"trained": tokenizer, "student": tokenizer}
    with pytest.raises(ConfigError, match="textcnn brings no tokenizer"):
        faculty_tokenizers([Entry("bare", "textcnn")], [])
    with pytest.raises(ConfigError, match="bag brings no tokenizer"):
        faculty_tokenizers([trained], ["bag"])
