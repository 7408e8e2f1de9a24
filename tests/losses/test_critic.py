"""The critic: its Lipschitz constant as measured, and what it can tell apart."""

import pytest
import torch
import torch.nn.functional as F

from kantor.losses.critic import Critic, spectral_norm


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


def gradient(critic: Critic, pairs: torch.Tensor) -> torch.Tensor:
    pairs = pairs.detach().requires_grad_()
    return torch.autograd.grad(critic(pairs[:, :128], pairs[:, 128:]).sum(), pairs)[0]


def slopes(critic: Critic, points: int = 400) -> torch.Tensor:
    """Length of the gradient in the pair (teacher, student), at points of which half are where it is steep."""
    pairs = torch.cat([unit(points, 128), unit(points, 128)], dim=1)
    first = gradient(critic, pairs)
    return gradient(critic, torch.cat([pairs[: points // 2], 3.0 * first[points // 2 :]])).norm(dim=1)


def train(critic: Critic, steps: int, lr: float) -> None:
    """Drive apart matched and unmatched pairs of a fixed linear relation, as fast as plain SGD can."""
    relation = torch.linalg.qr(torch.randn(128, 128))[0]
    for _ in range(steps):
        teacher = unit(64, 128)
        student = teacher @ relation
        gap = critic(teacher, student).mean() - critic(teacher.unsqueeze(1), student.unsqueeze(0)).mean()
        gradients = torch.autograd.grad(-gap, list(critic.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(critic.parameters(), gradients, strict=True):
                parameter -= lr * gradient


def test_lipschitz_constant_is_at_most_one_fresh_and_trained() -> None:
    torch.manual_seed(0)
    critic = Critic()
    assert slopes(critic).max() <= 1.0 + 1e-4
    for lr in (0.1, 5.0):
        train(critic, steps=100, lr=lr)
        assert 0.3 < slopes(critic).max() <= 1.0 + 1e-4
        score = critic.normalised()
        weight = torch.cat([score.for_teacher, score.for_student], dim=1)
        assert 0.99 < torch.linalg.matrix_norm(weight, 2) <= 1.0 + 1e-4
        assert abs(score.last.norm() - 1.0) < 1e-5


@pytest.mark.parametrize("shape", [(16, 30), (30, 16), (128, 256), (1, 5)])
def test_spectral_norm_from_above(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    for scale in (1e-6, 1.0, 1e6):
        weight = scale * torch.randn(shape)
        ratio = (spectral_norm(weight) / torch.linalg.matrix_norm(weight, 2)).item()
        assert 1 - 1e-5 <= ratio <= min(shape) ** (1 / 2**9) + 1e-5
    orthogonal = torch.linalg.qr(torch.randn(40, 40))[0]
    assert 1 - 1e-5 <= spectral_norm(orthogonal) <= 40 ** (1 / 2**9) + 1e-5


def test_gradient_of_the_spectral_norm() -> None:
    torch.manual_seed(0)
    torch.autograd.gradcheck(spectral_norm, [torch.randn(3, 5, dtype=torch.float64, requires_grad=True)])


def test_splitting_the_first_layer_by_side_changes_nothing() -> None:
    torch.manual_seed(0)
    critic = Critic(dim=8, hidden=16)
    teacher, student = unit(5, 8), unit(7, 8)
    pairs = torch.cat([teacher.unsqueeze(1).expand(5, 7, 8), student.unsqueeze(0).expand(5, 7, 8)], dim=-1)
    weight = critic.first.weight / torch.linalg.matrix_norm(critic.first.weight, 2)
    whole = F.relu(F.linear(pairs, weight, critic.first.bias)) @ (critic.second / critic.second.norm())
    torch.testing.assert_close(critic(teacher.unsqueeze(1), student.unsqueeze(0)), whole, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(critic.normalised().crossed(teacher, student), whole, rtol=1e-4, atol=1e-6)


def test_separates_two_memories_of_equal_mean() -> None:
    """A bilinear critic scores a memory by its mean alone; this one learns to tell these two apart."""
    torch.manual_seed(0)
    critic = Critic()
    axes = torch.linalg.qr(torch.randn(128, 2))[0].T
    memories = [torch.cat([axis.expand(20, 128), -axis.expand(20, 128)]) for axis in axes]
    anchor = unit(1, 128)
    torch.testing.assert_close(*(memory.mean(0) for memory in memories), atol=1e-6, rtol=0)
    bilinear = torch.randn(128, 128)
    assert abs((memories[0] @ bilinear @ anchor.T).mean() - (memories[1] @ bilinear @ anchor.T).mean()) < 1e-5

    def gap() -> torch.Tensor:
        left, right = (critic(memory, anchor).mean() for memory in memories)
        return left - right

    for _ in range(60):
        gradients = torch.autograd.grad(-gap(), list(critic.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(critic.parameters(), gradients, strict=True):
                parameter -= 2.0 * gradient
    assert gap() > 0.3
