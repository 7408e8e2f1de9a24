"""GOLD, and ULD over spans, beside TRL's own numbers."""

import pytest
import torch

from kantor.capture.spans import SharedSpans, between
from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.gold import GOLD, gold
from kantor.losses.uld import ULD, merged_uld
from kantor.losses.vocabulary_map import VocabularyMap
from tests.losses.stored import assert_near, load


def stored() -> tuple[dict[str, torch.Tensor], VocabularyMap, SharedSpans]:
    saved = load("gold")
    rows, columns = saved["same"].T
    spans = between(*((saved[f"{side}_tokens"], saved[f"{side}_ends"]) for side in ("student", "teacher")))
    return saved, VocabularyMap(rows, columns, torch.ones(len(rows)), (13, 11)), spans


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gold_bayesian", {"merge": "bayesian"}),
        ("gold_observed", {}),
        ("gold_kl", {"merge": "bayesian", "beta": 0.0, "matched_weight": 0.3, "teacher_temperature": 2.0}),
        ("gold_reverse", {"merge": "bayesian", "beta": 1.0}),
    ],
)
def test_as_trl(name: str, settings: dict) -> None:
    saved, same, spans = stored()
    student = saved["student"].double().requires_grad_()
    loss = GOLD(same, **settings)
    loss.build((student.shape,), (saved["teacher"].shape,), 0)
    value = loss(student, saved["teacher"].double(), spans=spans)
    assert_near(value.detach(), saved[name], 1e-9)
    assert_near(torch.autograd.grad(value, student)[0], saved[f"{name}_grad"], 1e-9)


@pytest.mark.parametrize(("merge", "temperature"), [("bayesian", 1.0), ("observed", 1.5)])
def test_merged_uld_as_trl(merge, temperature: float) -> None:
    saved, _, spans = stored()
    student = saved["student"].double().requires_grad_()
    value = ULD(temperature, merge=merge)(student, saved["teacher"].double(), spans=spans)
    assert_near(value.detach(), saved[f"uld_{merge}"], 1e-9)
    assert_near(torch.autograd.grad(value, student)[0], saved[f"uld_{merge}_grad"], 1e-9)


def test_is_zero_for_the_same_model() -> None:
    saved, _, _ = stored()
    logits, tokens = saved["student"], saved["student_tokens"]
    side = (tokens, saved["student_ends"])
    every = torch.arange(11)
    whole = VocabularyMap(every, every, torch.ones(11), (11, 11))
    assert gold(logits, logits, whole, between(side, side)) < 1e-6
    assert merged_uld(logits, logits, between(side, side)) < 1e-6
    part = VocabularyMap(every[:4], every[:4], torch.ones(4), (11, 11))
    assert gold(logits, logits, part, between(side, side)) < 1e-6


def test_labels_leave_spans_out() -> None:
    saved, same, spans = stored()
    labels = torch.where(torch.arange(6) < 3, -100, saved["student_tokens"])
    some = gold(saved["student"], saved["teacher"], same, spans, targets=labels)
    assert some != gold(saved["student"], saved["teacher"], same, spans)
    nothing = torch.full_like(labels, -100)
    assert gold(saved["student"], saved["teacher"], same, spans, targets=nothing) == 0


def test_refuses() -> None:
    _, same, spans = stored()
    with pytest.raises(ConfigError, match=r"in \[0, 1\]"):
        GOLD(beta=2.0)
    with pytest.raises(ConfigError, match="unknown merge"):
        GOLD(merge="first")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="correspond"):
        GOLD().build((torch.Size((2, 6, 11)),), (torch.Size((2, 5, 13)),), 0)
    with pytest.raises(ConfigError, match="spans"):
        GOLD(same)(torch.zeros(2, 6, 11), torch.zeros(2, 5, 13))
    with pytest.raises(ShapeError, match="over 12 tokens and the student's over 11, but the plan is between 13 and 11"):
        gold(torch.zeros(2, 6, 11), torch.zeros(2, 5, 12), same, spans)
