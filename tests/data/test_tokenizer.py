"""A tokenizer: equal ones give equal tokens, learned ones are functions of their text."""

import json

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.data.tokenizer import Learned, Tokenizer, longest_of, same_tokens

pytest.importorskip("tokenizers", reason="needs the extra text")

TEXTS = ["the film is fine", "a dull plot, and slow", "ça suffit, naïve 日本"] * 4


def learned(size: int = 320, longest: int = 16) -> Tokenizer:
    return Learned(size, longest).of(TEXTS)


def test_what_is_learned_is_a_function_of_the_texts():
    one, other = learned(), Learned(320, 16).of(iter(TEXTS))
    assert one == other
    assert one.content == other.content
    assert Learned(320, 16).of(TEXTS[:2]) != one
    assert one.shape == (16, one.vocabulary)
    assert 257 <= one.vocabulary <= 320


def test_any_text_has_tokens_and_is_cut_to_the_longest():
    tokens = learned().encode(["fine", "🙂 never seen 漢字" * 5])
    assert tokens.starts.tolist()[-1] == len(tokens.numbers)
    assert np.diff(tokens.starts).max() == 16
    assert tokens.cut == 1
    assert (tokens.own > 0).all()


def test_tokens_say_where_in_the_text_they_end():
    text = "a  fine film \U0001f642."
    tokens = learned().encode([text], with_ends=True)
    assert tokens.ends[-1] == len(text)
    assert (np.diff(tokens.ends[tokens.ends > 0]) >= 0).all()
    assert {1, 7, 12} <= {*tokens.ends.tolist()}
    assert learned().encode([text]).ends is None


def test_it_is_made_again_from_its_facts():
    tokenizer = learned()
    again = Tokenizer.read(json.loads(json.dumps(tokenizer.facts())))
    assert again == tokenizer
    assert again.digest == tokenizer.digest
    assert str(again) == "tokens of bpe:320, at most 16"


def test_settings_of_a_file_make_no_other_tokens():
    one = learned()
    held = json.loads(one.content) | {"truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0,
                                                      "direction": "Right"}}  # fmt: skip
    other = Tokenizer.of(json.dumps(held), 16, "elsewhere")
    assert same_tokens(one, other)
    assert other.encode(TEXTS).numbers.tolist() == one.encode(TEXTS).numbers.tolist()
    assert not same_tokens(one, learned(300))


def test_what_cannot_be_meant():
    with pytest.raises(ConfigError, match=r"bpe:20.*at least 300"):
        Learned(20, 16)
    with pytest.raises(DataError, match="The tokenizer of here cannot be read"):
        Tokenizer.of("{}", 16, "here")
    assert longest_of(None, None, "m") == 128
    assert longest_of(None, 32, "m") == 32
    assert longest_of(300, None, "m") == 300
    with pytest.raises(ConfigError, match=r"max_length 64 is longer than bert takes, 32 tokens"):
        longest_of(64, 32, "bert")
    with pytest.raises(ConfigError, match="max_length is a number of tokens"):
        longest_of(0, None, "m")


@pytest.mark.parametrize(
    "changes",
    [
        {"longest": 0}, {"longest": -1}, {"longest": 2**70}, {"padding": -1}, {"padding": 10**9},
    ],
)  # fmt: skip
def test_numbers_of_a_file_that_no_tokenizer_has(changes):
    known = Learned(300, 8).of(["some text"]).facts()
    assert Tokenizer.read(known).facts() == known
    with pytest.raises(DataError, match="The tokenizer of bpe:300 cannot be"):
        Tokenizer.read({**known, **changes})


def test_a_file_that_makes_the_library_panic_is_named():
    known = Learned(300, 8).of(["some text"]).facts()
    content = json.loads(known["content"])
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    }
    damaged = Tokenizer.read({**known, "content": json.dumps(content)})
    with pytest.raises(DataError, match="The tokenizer of bpe:300 cannot be read"):
        damaged.encode(["some text"])


def test_a_token_of_a_number_that_nothing_can_hold():
    known = Learned(300, 8).of(["some text"]).facts()
    content = json.loads(known["content"])
    content["model"]["vocab"]["a"] = 2**31
    with pytest.raises(DataError, match="has a token of number 2147483648"):
        Tokenizer.read({**known, "content": json.dumps(content)})


def predicting(of, **more):
    return Tokenizer(of.content, of.longest, of.padding, of.origin, predicts=True, **more)


def test_for_a_language_model_a_token_comes_first_and_is_no_part_of_the_text():
    of = Learned(300, 6).of(["a bc"])
    tokens = predicting(of).encode(["a bc", "a bc a bc a bc"])
    assert predicting(of).beginning == of.padding  # byte pairs have no other
    assert tokens.numbers[tokens.starts[:-1]].tolist() == [of.padding] * 2
    assert tokens.cut == 1 and int(tokens.starts[2] - tokens.starts[1]) == 6
    assert predicting(of) != of and predicting(of).digest != of.digest
    assert Tokenizer.read(predicting(of).facts()) == predicting(of)
    assert "predicts" not in of.facts()


def test_the_bytes_of_a_text_are_those_of_its_tokens():
    of = predicting(Learned(300, 64).of(["a bc"]))
    for text in ("a bc", "na\u00efve \u4e00\u4e8c  end \n", "\U0001f600 x"):
        sizes = of.encode([text]).sizes
        assert sizes.sum() == len(text.encode())
        assert sizes[0] == 0
    assert Learned(300, 64).of(["a bc"]).encode(["a bc"]).sizes is None


def test_a_tokenizer_with_a_mark_of_its_own_needs_no_other(tmp_path, torchvision_operators):
    pytest.importorskip("transformers")
    from kantor.models.own_tokenizer import read_tokenizer
    from tests.study.texts import write_bert

    of = predicting(read_tokenizer(write_bert(tmp_path / "bert"), 16))
    assert of.beginning is None
    assert of.room == 14
    first = of.encode(["a film"])
    assert of.tokens[first.numbers[0]] == "[CLS]"
    assert first.sizes.tolist() == [0, 1, 5, 0]


def test_a_space_that_is_put_before_a_text_and_is_a_token_alone_stands_for_none_of_it():
    import tokenizers as library

    names = ["<unk>", "▁", "f", "i", "l", "m", "fi", "lm", "film"]
    pairs = [("f", "i"), ("l", "m"), ("fi", "lm")]
    made = library.Tokenizer(
        library.models.BPE(vocab={name: k for k, name in enumerate(names)}, merges=pairs, unk_token="<unk>")
    )
    made.pre_tokenizer = library.pre_tokenizers.Metaspace()
    found = predicting(Tokenizer.of(made.to_str(), 16, "pieces")).encode(["film film", " film"], with_ends=True)
    assert found.ends is not None and found.sizes is not None
    assert found.ends.tolist() == [0, -1, 4, -1, 9, 0, -1, 5]
    assert found.sizes.tolist() == [0, 0, 4, 1, 4, 0, 1, 4]  # a space that is there is one
