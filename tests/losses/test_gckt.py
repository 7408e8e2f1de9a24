"""GCKT: its formula, which negatives count, and that it can be learned."""

import pytest
import torch
import torch.nn.functional as F

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.gckt import GCKT, gckt


def built(samples: int = 40, width: int = 6, **settings) -> GCKT:
    loss = GCKT(**settings)
    torch.manual_seed(0)
    loss.build((torch.Size((5, width)),), (torch.Size((5, 10)),), samples)
    return loss


def filled(samples: int = 40, **settings) -> GCKT:
    """With a memory that holds a feature of every sample."""
    loss = built(samples, **settings)
    features = F.normalize(torch.randn(2, samples, loss.dim), dim=2)
    loss.memory.hold(torch.arange(samples), *features)
    loss.memory.commit()
    return loss


def test_formula() -> None:
    positive, negative = torch.tensor([1.0, 3.0]), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    assert gckt(positive, negative) == 4.0 - 2.0
    kept = torch.tensor([[True, True, False], [True, True, False]])
    assert gckt(positive, negative, kept) == 3.0 - 2.0
    assert gckt(positive, negative, kept, negative_weight=2.0) == 6.0 - 2.0
    assert gckt(positive, negative, torch.zeros(2, 3, dtype=torch.bool)) == -2.0


@pytest.mark.parametrize("per_anchor", [None, 7])
def test_value_is_that_of_every_pair_written_out(per_anchor: int | None) -> None:
    loss = filled(samples=8, negatives=9, negatives_per_anchor=per_anchor)
    student, teacher, ids = torch.randn(5, 6), torch.randn(5, 10), torch.tensor([3, 0, 6, 2, 7])
    s, t = loss.embed(student, teacher)
    drawn = loss._draw(5).expand(5, -1)
    scores = []
    for i in range(5):
        for j in drawn[i].tolist():
            if j != ids[i]:
                scores.append(loss.critic(loss.memory.teacher[j], s[i]))
                scores.append(loss.critic(t[i], loss.memory.student[j]))
    own = [(loss.memory.teacher[ids[i]], s[i]) for i in range(5)] + [
        (t[i], loss.memory.student[ids[i]]) for i in range(5)
    ]
    positive = torch.stack([loss.critic(*pair) for pair in own]).mean()
    assert len(scores) < 2 * drawn.numel()  # some own ids were drawn
    torch.testing.assert_close(loss(student, teacher, ids=ids), torch.stack(scores).mean() - positive)


def test_negatives_are_drawn_among_seen_samples() -> None:
    loss = built(negatives=64)
    loss.memory.hold(torch.tensor([4, 9, 30]), torch.randn(3, 128), torch.randn(3, 128))
    loss.memory.commit()
    assert set(loss._draw(5).unique().tolist()) == {4, 9, 30}


@pytest.mark.parametrize("known", [[], [3, 6, 11]])
def test_a_batch_that_the_memory_does_not_know_whole_is_contrasted_with_itself(known: list[int]) -> None:
    loss = built()
    loss.memory.hold(torch.tensor(known, dtype=torch.long), *torch.randn(2, len(known), 128))
    loss.memory.commit()
    student, teacher, ids = torch.randn(3, 6), torch.randn(3, 10), torch.tensor([3, 0, 6])
    s, t = loss.embed(student, teacher)
    others = ~torch.eye(3, dtype=torch.bool)
    scores = loss.critic(t.unsqueeze(0), s.unsqueeze(1))[others], loss.critic(t.unsqueeze(1), s.unsqueeze(0))[others]
    expected = torch.cat(scores).mean() - loss.critic(t, s).mean()
    torch.testing.assert_close(loss(student, teacher, ids=ids), expected)


def test_is_blind_to_the_order_of_a_batch() -> None:
    loss = filled()
    student, teacher, ids = torch.randn(5, 6), torch.randn(5, 10), torch.tensor([3, 0, 6, 2, 7])
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(
        loss(student[order], teacher[order], ids=ids[order]), loss(student, teacher, ids=ids), rtol=1e-5, atol=1e-6
    )


def test_learns_which_pairs_belong_together() -> None:
    """A rotation of the teacher is told from other samples, and never by more than a 1-Lipschitz critic can."""
    torch.manual_seed(0)
    features = torch.randn(64, 10)
    loss = built(samples=64, width=10, negatives=64)
    optimiser = torch.optim.SGD(loss.parameters(), lr=0.5, momentum=0.9)
    rotation = torch.linalg.qr(torch.randn(10, 10))[0]
    values = []
    for step in range(120):
        ids = torch.randperm(64, generator=torch.Generator().manual_seed(step))[:32]
        value = loss(features[ids] @ rotation, features[ids], ids=ids)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        loss.after_step()
        values.append(value.item())
    assert abs(values[0]) < 0.1
    assert -(8**0.5) < values[-1] < -0.25


def test_nothing_is_earned_by_running_from_the_memory() -> None:
    """Features that tell nothing of their sample, far from all that the memory holds: a critic finds no contrast."""
    loss = built(samples=64, width=10, negatives=64, momentum=0.9)
    past = F.normalize(torch.randn(2, 1, 128).expand(2, 64, 128) + 0.1 * torch.randn(2, 64, 128), dim=2)
    loss.memory.hold(torch.arange(64), *past)
    loss.memory.commit()
    optimiser = torch.optim.SGD(loss.critic.parameters(), lr=0.5, momentum=0.9)
    values = []
    for step in range(100):
        ids = torch.randperm(64, generator=torch.Generator().manual_seed(step))[:32]
        value = loss(torch.ones(32, 10), -torch.ones(32, 10), ids=ids)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        loss.draws.advance()
        values.append(value.item())
    assert abs(sum(values[-20:]) / 20) < 0.03


def test_refuses() -> None:
    with pytest.raises(ConfigError, match="ids"):
        built(samples=0)
    with pytest.raises(ConfigError, match="no ids"):
        built()(torch.randn(5, 6), torch.randn(5, 10))
    with pytest.raises(ShapeError, match="gckt takes"):
        GCKT().build((torch.Size((5,)),), (torch.Size((5, 10)),), 40)
    for wrong in ({"negatives": 0}, {"negatives_per_anchor": 0}, {"negative_weight": 0.0}, {"momentum": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            GCKT(**wrong)


def test_complex_scores_are_refused():
    with pytest.raises(ShapeError, match="positive scores are floating-point"):
        gckt(torch.ones(2, 2, dtype=torch.complex64), torch.ones(2, 2))
