"""Soft masks of the k best, and soft ranks."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot import soft_rank, topk


def by_sinkhorn(scores: Tensor, anchors: Tensor, masses: Tensor, epsilon: float) -> Tensor:
    """``n`` times the plan as the paper has it: recorded sweeps, the largest cost of the batch held fixed."""
    cost = (scores.unsqueeze(-1) - anchors).square()
    cost = cost / cost.max().detach()
    kernel, u, v = (-cost / epsilon).exp(), torch.ones(()), torch.ones_like(masses)
    for _ in range(3000):
        u = (1 / scores.shape[-1]) / (kernel @ v.unsqueeze(-1))
        v = masses / (kernel * u).sum(-2)
    return scores.shape[-1] * u * kernel * v.unsqueeze(-2)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.03])
def test_it_is_the_plan_of_the_paper_with_the_gradient_of_its_sweeps(epsilon):
    """The authors' code chooses the smallest; the largest are those of the scores with their sign turned."""
    scores = torch.randn(3, 9, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 9, dtype=torch.float64)
    expected = by_sinkhorn(scores, torch.tensor([0.0, 1.0]).double(), torch.tensor([4 / 9, 5 / 9]).double(), epsilon)
    expected = expected[..., 0]
    for found, sign in ((topk(scores, 4, epsilon, largest=False), 1), (topk(-scores, 4, epsilon), 1)):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
        ours, theirs = (
            torch.autograd.grad((x * weights).sum(), scores, retain_graph=True)[0] for x in (found, expected)
        )
        torch.testing.assert_close(sign * ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.1, 0.02])
def test_the_sorted_ones_too(epsilon):
    scores = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 7, 3, dtype=torch.float64)
    anchors, masses = torch.tensor([3.0, 2, 1, 0]).double(), torch.tensor([1, 1, 1, 4]).double() / 7
    expected = by_sinkhorn(scores, anchors, masses, epsilon)[..., :3]
    found = topk(scores, 3, epsilon, sorted=True)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    ours, theirs = (torch.autograd.grad((x * weights).sum(), scores)[0] for x in (found, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(topk(-scores, 3, epsilon, sorted=True, largest=False), found)


@pytest.mark.parametrize("n", [2, 5, 300])
def test_masks_sum_to_k_and_are_exact_as_epsilon_falls(n):
    scores = torch.randn(2, 3, n)
    for k in {1, n // 2, n - 1, n}:
        for largest in (True, False):
            for epsilon in (10.0, 0.1, 1e-5):
                mask = topk(scores, k, epsilon, largest=largest)
                assert mask.shape == scores.shape and bool(((mask >= 0) & (mask <= 1)).all())
                torch.testing.assert_close(mask.sum(-1), torch.full((2, 3), float(k)))
            hard = topk(scores.double(), k, 1e-9, largest=largest)
            wanted = torch.zeros_like(hard).scatter(-1, scores.topk(k, largest=largest).indices, 1.0)
            torch.testing.assert_close(hard, wanted)


def test_sorted_ones_become_a_permutation():
    scores = torch.tensor([0.3, -1.0, 2.0, 0.9]).double()
    found = topk(scores, 4, 1e-4, sorted=True)
    torch.testing.assert_close(found, torch.eye(4).double()[[2, 3, 0, 1]], atol=1e-6, rtol=0)


def test_ties_are_shared():
    torch.testing.assert_close(
        topk(torch.tensor([1.0, 5.0, 1.0, 1.0]), 2, 1e-4), torch.tensor([1 / 3, 1, 1 / 3, 1 / 3])
    )
    torch.testing.assert_close(soft_rank(torch.ones(4)), torch.full((4,), 2.5))


def test_gradients():
    # The largest and the smallest score may set the scale, which is held fixed.
    ends = torch.tensor([[-2.0, 3.0], [-2.5, 2.0]]).double()
    inner = torch.rand(2, 4, dtype=torch.float64, requires_grad=True)
    for settings in ({}, {"largest": False}, {"sorted": True}, {"scale": "each"}):
        assert gradcheck(lambda x, s=settings: topk(torch.cat([x, ends], -1), 2, 0.1, **s)[:, :4], (inner,))
    # Scores of a problem of their own, whose least and largest move what lies between.
    assert gradcheck(lambda x: soft_rank(x, 0.02), (inner,))
    assert gradcheck(lambda x: soft_rank(x, 0.02, descending=True), (inner,))


def test_a_gradient_that_vanishes_is_zero_and_not_nan():
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    for found in (topk(scores, 2, 1e-9), topk(scores, 4, 0.1), topk(scores, 2, 2e-5, sorted=True)):
        (gradient,) = torch.autograd.grad((found * torch.randn_like(found)).sum(), scores)
        torch.testing.assert_close(gradient, torch.zeros(4))


def test_a_problem_does_not_depend_on_others_where_each_has_its_scale():
    scores = torch.randn(4, 6) * torch.tensor([[1.0], [3.0], [10.0], [0.1]])
    alone = torch.stack([topk(row, 2, 0.05) for row in scores])
    torch.testing.assert_close(topk(scores, 2, 0.05, scale="each"), alone)
    assert (topk(scores, 2, 0.05) - alone).abs().max() > 0.05


@pytest.mark.parametrize("largest", [True, False])
def test_infinite_scores_are_chosen_last_or_first_and_have_no_gradient(largest):
    scores = torch.tensor([0.2, -torch.inf, 0.5, torch.inf, 0.1], requires_grad=True)
    mask = topk(scores, 2, 0.01, largest=largest)
    assert mask.argmax() == (3 if largest else 1) and mask.argmin() == (1 if largest else 3)
    (gradient,) = torch.autograd.grad(mask[0], scores)
    assert bool(gradient.isfinite().all()) and gradient[1] == gradient[3] == 0 and gradient[0] != 0
    ranks = soft_rank(scores, 1e-4)
    torch.testing.assert_close(ranks, torch.tensor([3.0, 1.0, 4.0, 5.0, 2.0]), atol=1e-2, rtol=0)


def test_ranks_are_whole_numbers_as_epsilon_falls_and_the_mean_as_it_grows():
    scores = torch.randn(3, 8)
    for descending in (False, True):
        wanted = scores.argsort(descending=descending).argsort() + 1.0
        torch.testing.assert_close(soft_rank(scores, 1e-5, descending=descending), wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(soft_rank(scores, 1e4), torch.full((3, 8), 4.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(soft_rank(scores, 0.03).sum(-1), torch.full((3,), 36.0))
    torch.testing.assert_close(soft_rank(100 * scores - 7, 0.03), soft_rank(scores, 0.03), atol=1e-4, rtol=0)


def test_half_precision_and_autocast_are_computed_in_full():
    scores = torch.randn(6).bfloat16()
    expected = topk(scores.float(), 2, 0.1)
    torch.testing.assert_close(topk(scores, 2, 0.1), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(topk(scores, 2, 0.1), expected)
        assert soft_rank(scores).dtype == torch.float32


@pytest.mark.parametrize("k", [0, 4, -1, 1.0, True, None])
def test_a_k_that_is_none(k):
    with pytest.raises(ConfigError, match=r"k must be a whole number from 1 to the number of scores, 3"):
        topk(torch.randn(3), k)


def test_what_cannot_be_chosen_from_is_named():
    for function in (lambda x: topk(x, 1), soft_rank):
        with pytest.raises(NonFiniteError, match=r"scores is nan at index"):
            function(torch.tensor([0.0, torch.nan]))
        with pytest.raises(NonFiniteError, match=r"no other score there is finite"):
            function(torch.tensor([[0.0, 1.0], [torch.inf, -torch.inf]]))
        for nothing in (torch.zeros(2, 0), torch.tensor(1.0)):
            with pytest.raises(ShapeError, match="at least one score"):
                function(nothing)
    for epsilon in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="epsilon"):
            topk(torch.randn(3), 1, epsilon)
    with pytest.raises(ConfigError, match=r"unknown scale 'batsh'.*batch"):
        topk(torch.randn(3), 1, scale="batsh")


def test_scores_of_any_size_are_chosen_from_or_refused():
    for scores in (torch.tensor([5.0, 4.9, 4.8, 4.7]), torch.ones(5), torch.tensor([3e38, -3e38, torch.inf, 0.0])):
        for epsilon in (5e-324, 1e-18, 1e-12):
            torch.testing.assert_close(topk(scores, 2, epsilon).sum(), torch.tensor(2.0))
    with pytest.raises(NonFiniteError, match="too large"):
        topk(torch.tensor([1e200, 0.0], dtype=torch.float64), 1)


def test_there_are_first_derivatives_alone():
    scores = torch.randn(5, requires_grad=True)
    for found in (topk(scores, 2), topk(scores, 2, sorted=True), soft_rank(scores)):
        (gradient,) = torch.autograd.grad(found.square().sum(), scores, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            gradient.sum().backward()
