import math

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses import KD, FitNet, kd


def test_two_classes_in_closed_form():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert kd(student, teacher, temperature=1.0).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_keeps_its_size_for_every_temperature():
    # For small logits the gradient tends to (s - t) / (classes * batch), whatever T: that is what T^2 is for.
    student = (1e-3 * torch.randn(16, 10, dtype=torch.float64)).requires_grad_()
    teacher = 1e-3 * torch.randn(16, 10, dtype=torch.float64)
    norms = [torch.autograd.grad(kd(student, teacher, temperature=t), student)[0].norm().item() for t in (1, 4, 20)]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-2)


def test_zero_at_equality_and_gradcheck():
    logits = torch.randn(5, 4, dtype=torch.float64)
    assert kd(logits, logits).item() == pytest.approx(0, abs=1e-12)
    student = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: kd(x, logits), (student,))


def test_other_classes_are_refused_with_both_shapes():
    with pytest.raises(ShapeError, match=r"\(8, 10\).*\(8, 100\).*neuron_transport"):
        KD().build((torch.Size([8, 10]),), (torch.Size([8, 100]),), 0)
    with pytest.raises(ConfigError, match="temperature must be positive"):
        KD(temperature=0)


@pytest.mark.parametrize(
    ("student", "teacher"), [((8, 4), (8, 6)), ((8, 4, 4, 4), (8, 6, 2, 2)), ((8, 16, 4), (8, 9, 6))]
)
def test_fitnet_projects_to_the_teacher(student, teacher):
    loss = FitNet()
    loss.build((torch.Size(student),), (torch.Size(teacher),), 0)
    value = loss(torch.randn(student), torch.randn(teacher))
    value.backward()
    assert value.item() > 0
    assert all(p.grad is not None for p in loss.parameters())


@pytest.mark.parametrize("shape", [(4, 1), (4, 0), (4, 3, 1), (4, 1, 5, 5)])
def test_one_class_says_nothing(shape):
    with pytest.raises(ShapeError, match="two classes or more"):
        kd(torch.zeros(shape), torch.zeros(shape))


def test_fitnet_learns_a_linear_image_of_the_teacher():
    torch.manual_seed(0)
    student = torch.randn(256, 6)
    teacher = torch.relu(student @ torch.randn(6, 4))
    loss = FitNet()
    loss.build((student.shape,), (teacher.shape,), 0)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    first = loss(student, teacher).item()
    for _ in range(200):
        optimizer.zero_grad()
        loss(student, teacher).backward()
        optimizer.step()
    assert loss(student, teacher).item() < 0.05 * first


def test_every_divergence_in_closed_form():
    torch.manual_seed(0)
    s, t = torch.randn(4, 6), torch.randn(4, 6)
    q, p = (s / 2).softmax(1), (t / 2).softmax(1)

    def kl(a, b):
        return (a * (a / b).log()).sum(1).mean()

    middle = (p + q) / 2
    expected = {
        "forward": kl(p, q),
        "reverse": kl(q, p),
        "js": (kl(p, middle) + kl(q, middle)) / 2,
        "skew": kl(p, 0.1 * p + 0.9 * q),
    }
    for divergence, value in expected.items():
        torch.testing.assert_close(kd(s, t, temperature=2.0, divergence=divergence), 4 * value)
        token_by_token = KD(2.0, divergence)(s.view(2, 2, 6), t.view(2, 2, 6))
        torch.testing.assert_close(token_by_token, 4 * value)


def test_tokens_count_that_predict_one_with_a_label():
    torch.manual_seed(0)
    s, t = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    labels = torch.tensor([[-100, -100, 3, 1], [-100, 2, -100, -100]])
    expected = kd(torch.stack([s[0, 1], s[0, 2], s[1, 0]]), torch.stack([t[0, 1], t[0, 2], t[1, 0]]))
    torch.testing.assert_close(KD()(s, t, targets=labels), expected)


def test_an_unknown_divergence_is_named():
    with pytest.raises(ConfigError, match=r"unknown divergence 'revers'.*reverse"):
        KD(divergence="revers")
    with pytest.raises(ConfigError, match="unknown divergence 3"):
        KD(divergence=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown divergence 'revers'"):
        kd(torch.zeros(2, 3), torch.zeros(2, 3), divergence="revers")  # type: ignore[arg-type]


def test_a_vocabulary_that_is_filled_up_is_named():
    with pytest.raises(ShapeError, match=r"(?s)151936.*152064.*one tokenizer.*cut both.*:151936"):
        KD().build((torch.Size([2, 4, 151_936]),), (torch.Size([2, 4, 152_064]),), 0)
