import pytest

from kantor.core.errors import ConfigError
from kantor.data.pieces import PASSAGE, passages, pieces, room_of
from kantor.data.tokenizer import Learned, Tokenizer
from tests.study.texts import running_text

pytest.importorskip("tokenizers", reason="needs the extra text")

TEXT = running_text(3000, 0)


def predicting(size: int, longest: int) -> Tokenizer:
    of = Learned(size, longest).of([TEXT])
    return Tokenizer(of.content, of.longest, of.padding, of.origin, predicts=True)


def test_passages_lose_nothing_and_end_with_a_line():
    made = list(passages(TEXT, 500))
    assert "".join(made) == TEXT
    assert len(made) > 20
    assert all(len(passage) <= 500 and passage.endswith("\n") for passage in made)


def test_text_without_lines_is_cut_before_a_word_and_without_words_anywhere():
    words = "word " * 300
    assert {passage.strip()[:5] for passage in passages(words, 100)} <= {"word ", ""}
    assert "".join(passages("x" * 250, 100)) == "x" * 250
    assert list(passages("", 100)) == []
    assert list(passages("short")) == ["short"]


def test_pieces_lose_nothing_and_no_tokenizer_cuts_them():
    both = [predicting(300, 20), predicting(330, 33)]
    made = list(pieces(TEXT[:PASSAGE], both))
    assert "".join(made) == TEXT[:PASSAGE]
    for tokenizer in both:
        found = tokenizer.encode(made)
        assert found.cut == 0
        assert (found.starts[1:] - found.starts[:-1]).max() <= tokenizer.longest
    lengths = both[0].encode(made).own
    assert lengths.mean() > 0.6 * room_of(both[0])  # no text is cut finer than it must be
    assert sum(piece[0].isspace() for piece in made[1:]) > 0.9 * len(made[1:])


def test_a_word_longer_than_a_piece_is_cut_inside():
    tokenizer = predicting(300, 8)
    made = list(pieces("q" * 100, [tokenizer]))
    assert "".join(made) == "q" * 100
    assert tokenizer.encode(made).cut == 0


def test_a_tokenizer_without_room_is_refused():
    with pytest.raises(ConfigError, match=r"max_length 3 leaves no room .* Give at least 4"):
        list(pieces("a b", [predicting(300, 3)]))
