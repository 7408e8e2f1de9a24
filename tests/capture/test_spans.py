"""Spans of text that begin and end together in two tokenizers' tokens."""

import torch

from kantor.capture.positions import LayerOutput
from kantor.capture.spans import on_common_spans


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
