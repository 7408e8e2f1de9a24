"""Spans of text that begin and end together in two tokenizers' tokens."""

import torch

from kantor.capture.positions import LayerOutput
from kantor.capture.spans import between, on_common_spans, shared_spans
from kantor.data.tokenizer import Tokenizer
from tests.small_tokenizers import LIBRARY, byte_pairs, sentence_piece, word_piece


def layer(*ends: list[int], width: int = 2) -> LayerOutput:
    """Tokens whose values are their places, with padding to the longest."""
    longest = max(map(len, ends))
    padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in ends])
    values = torch.arange(longest).float()[None, :, None].expand(len(ends), -1, width).clone()
    return LayerOutput(values, padded > 0, ends=padded)


def meet(student: LayerOutput, teacher: LayerOutput) -> tuple[LayerOutput, LayerOutput]:
    found = on_common_spans(student, teacher)
    assert found is not None
    return found


def test_tokens_meet_where_both_end():
    # "unbelievable film": un|believ|able| film against unbeliev|able| fi|lm
    student, teacher = layer([2, 8, 12, 17]), layer([8, 12, 15, 17])
    s, t = meet(student, teacher)
    assert s.values[0, :, 0].tolist() == [0.5, 2, 3]
    assert t.values[0, :, 0].tolist() == [0, 1, 2.5]
    assert s.mask.tolist() == t.mask.tolist() == [[True] * 3]


def test_marks_on_one_side_alone_are_of_no_span():
    """A beginning-of-sequence token on one side must not shift the others, nor collapse them to one span."""
    student, teacher = layer([0, 4, 9, 0]), layer([4, 9])
    s, t = meet(student, teacher)
    assert s.values[0, :, 0].tolist() == [1, 2]
    assert t.values[0, :, 0].tolist() == [0, 1]


def test_samples_have_spans_of_their_own():
    student, teacher = layer([4, 9], [3]), layer([9], [1, 2, 3])
    s, t = meet(student, teacher)
    assert s.mask.tolist() == [[True], [True]]
    assert s.values[:, 0, 0].tolist() == [0.5, 0]
    assert t.values[:, 0, 0].tolist() == [0, 1]
    more, _ = meet(layer([4, 9], [3]), layer([4, 9], [3]))
    assert more.mask.tolist() == [[True, True], [True, False]]


def test_what_one_side_was_cut_off_from_is_left_out():
    s, t = meet(layer([4, 9, 12]), layer([4, 8]))
    assert s.values[0, :, 0].tolist() == t.values[0, :, 0].tolist() == [0]


def test_tokens_of_one_letter_are_in_one_span():
    """Byte pairs may cut one letter into several tokens, which all end with it."""
    s, t = meet(layer([1, 1, 2]), layer([1, 2]))
    assert s.values[0, :, 0].tolist() == [0.5, 2]
    assert t.values[0, :, 0].tolist() == [0, 1]


def test_padding_changes_nothing_and_gradients_flow():
    student, teacher = layer([2, 5]), layer([5])
    padded = LayerOutput(
        torch.nn.functional.pad(student.values, (0, 0, 0, 3)), ends=torch.nn.functional.pad(student.ends, (0, 3))
    )
    values = student.values.requires_grad_()
    s, _ = meet(LayerOutput(values, ends=student.ends), teacher)
    torch.testing.assert_close(meet(padded, teacher)[0].values, s.values.detach())
    s.values.sum().backward()
    assert values.grad.tolist() == [[[0.5, 0.5], [0.5, 0.5]]]
    assert on_common_spans(LayerOutput(values), teacher) is None


def held(texts: list[str], student: Tokenizer, teacher: Tokenizer) -> list[list[tuple[str, ...]]]:
    """By text and span, the tokens of both sides that it holds."""
    sides, words = [], []
    for tokenizer in (student, teacher):
        found = tokenizer.encode(texts, with_ends=True)
        lengths = torch.from_numpy(found.starts).diff().tolist()
        sides.append(
            tuple(
                torch.nn.utils.rnn.pad_sequence(list(torch.from_numpy(x).long().split(lengths)), batch_first=True)
                for x in (found.numbers, found.ends)
            )
        )
        words.append(tokenizer._made.id_to_token)
    spans = between(*sides)
    return [
        [
            tuple(
                "+".join(word(int(k)) for k in side.tokens[n, side.first[n, i] : side.last[n, i] + 1])
                for side, word in zip((spans.student, spans.teacher), words, strict=True)
            )
            for i in range(int(spans.mask[n].sum()))
        ]
        for n in range(len(texts))
    ]


def test_spans_hold_the_tokens_of_both_sides() -> None:
    student, teacher = torch.tensor([[0, 2, 8, 12, 17]]), torch.tensor([[8, 12, 15, 17]])
    spans = between((student + 100, student), (teacher + 200, teacher))
    assert spans.student.first.tolist() == [[1, 3, 4]] and spans.student.last.tolist() == [[2, 3, 4]]
    assert spans.teacher.first.tolist() == [[0, 1, 2]] and spans.teacher.last.tolist() == [[0, 1, 3]]
    assert spans.predicted.tolist() == [[False, True, True]]  # the teacher has no token before the first span
    assert spans[0:1].predicted.tolist() == spans.predicted.tolist()


def test_layers_bring_their_tokens() -> None:
    ends = torch.tensor([[1, 2]])
    known = LayerOutput(torch.zeros(1, 2, 3), ends=ends, tokens=ends)
    assert shared_spans(known, known).mask.tolist() == [[True, True]]
    assert shared_spans(known, LayerOutput(torch.zeros(1, 2, 3), ends=ends)) is None


def test_texts_of_no_common_end_and_cut_texts_have_no_span() -> None:
    student, teacher = torch.tensor([[2, 4], [1, 2]]), torch.tensor([[3, 0], [1, 0]])
    spans = between((student, student), (teacher, teacher))
    assert spans.mask.tolist() == [[False], [True]]
    nothing = between((student[:1], student[:1]), (teacher[:1], teacher[:1]))
    assert nothing.mask.shape == nothing.student.first.shape == (1, 0)


@LIBRARY
class TestConventions:
    """Of two tokenizers, as files of them have it."""

    text = "a fine film"

    def test_byte_level_beside_sentence_piece(self) -> None:
        found = held([self.text], byte_pairs([self.text]), sentence_piece([self.text]))
        assert [student.replace("Ġ", "▁") for student, _ in found[0]] == [teacher for _, teacher in found[0]]
        assert len(found[0]) == 3

    def test_a_mark_of_beginning_on_one_side(self) -> None:
        plain, marked = byte_pairs([self.text]), byte_pairs([self.text], mark=True)
        assert held([self.text], plain, marked) == held([self.text], plain, plain)

    def test_a_special_token_in_the_text(self) -> None:
        """One side knows it as one token, the other spells it."""
        text = f"{self.text}<|end|> a film"
        spelled, known = byte_pairs([text]), byte_pairs([self.text], special="<|end|>")
        (found,) = held([text], spelled, known)
        assert [teacher for _, teacher in found].count("<|end|>") == 1
        assert {teacher: student for student, teacher in found}["<|end|>"].replace("+", "") == "<|end|>"

    def test_unknown_words_and_lowered_letters(self) -> None:
        text = "A Fine ☃ film"
        (found,) = held([text], byte_pairs([text]), word_piece([self.text]))
        assert [teacher for _, teacher in found] == ["a", "fine", "[UNK]", "film"]
        assert [student.lower().replace("+", "")[-4:] for student, _ in found][1::2] == ["fine", "film"]

    def test_letters_cut_into_bytes(self) -> None:
        """Whatever a letter is cut into, its tokens are of one span."""
        text = "né ☃ né"
        bytewise, whole = byte_pairs(["x"]), sentence_piece([text])
        assert held([text], bytewise, whole) == [[("Ġ+n+Ã+©", "▁né"), ("Ġ+â+ĺ+ĥ", "▁☃"), ("Ġ+n+Ã+©", "▁né")]]
        fallen = sentence_piece(["n"])
        (found,) = held([text], bytewise, fallen)
        assert ("Ã+©", "<0xC3>+<0xA9>") in found and ("Ġ+â+ĺ+ĥ", "▁+<0xE2>+<0x98>+<0x83>") in found

    def test_new_lines_are_of_the_span_that_follows(self) -> None:
        text = "a\n\nfilm"
        (found,) = held([text], byte_pairs([text, self.text]), byte_pairs(["x"]))
        assert found[1][1].startswith("Ċ+Ċ") and found[1][0].startswith("Ċ")
