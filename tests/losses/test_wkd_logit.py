"""WKD-L, and the distances between classes it takes its cost from."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.class_distance import class_distances
from kantor.losses.wkd_logit import WKDLogit, wkd_logit
from tests.losses.stored import assert_near, load


@pytest.mark.parametrize("name", ["wkd_logit", "wkd_logit_imagenet"])
def test_as_wkd(name: str) -> None:
    """The public loss runs in float32."""
    saved = load(name)
    loss = WKDLogit(**{key: saved[key].item() for key in ("transport_weight", "temperature", "sharpen")})
    loss.build((saved["student"].shape,), (saved["teacher"].shape,), 0)
    loss.distances.copy_(saved["distances"])
    student = saved["student"].requires_grad_()
    value = loss(student, saved["teacher"], targets=saved["targets"])
    assert_near(value.detach(), saved["value"], 1e-5)
    (gradient,) = torch.autograd.grad(value, student)
    assert_near(gradient, saved["student_grad"], 1e-5)


def test_class_distances_as_wkd() -> None:
    saved = load("class_distance")
    assert_near(class_distances(list(saved["features"])), saved["distances"], 1e-6)


def test_class_distances_see_neither_place_nor_turn_nor_scale() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(20, 4), torch.randn(30, 4)
    turned = 3 * x @ torch.linalg.qr(torch.randn(4, 4))[0] + 7
    distances = class_distances([x, turned, y, torch.empty(0, 4), torch.ones(25, 4)])
    assert torch.equal(distances, distances.T) and torch.equal(distances.diagonal(), torch.zeros(5))
    assert distances[0, 1] < 1e-5
    assert 0.2 < distances[0, 2] <= 1
    assert (distances[3, [0, 1, 2, 4]] == 1).all() and (distances[4, [0, 1, 2]] == 1).all()


def test_prepare_reads_the_teacher_s_logits() -> None:
    torch.manual_seed(0)
    loss = WKDLogit(samples_per_class=6)
    loss.build((torch.Size((5, 3)),), (torch.Size((5, 3)),), 0)
    assert torch.equal(loss.distances, 1 - torch.eye(3))
    logits = torch.randn(60, 3)
    loss.prepare([(torch.randn(20, 3), part) for part in logits.split(20)])
    expected = class_distances([logits[logits.argmax(1) == c][:6] for c in range(3)])
    torch.testing.assert_close(loss.distances, expected)
    assert not torch.equal(expected, 1 - torch.eye(3))


def moved(to: int, cost: torch.Tensor, **settings) -> torch.Tensor:
    """The loss of a student that puts on class ``to`` what its teacher puts on class 1; the target is 0."""
    teacher, student = torch.zeros(1, 4), torch.zeros(1, 4)
    teacher[0, 1] = student[0, to] = 6.0
    return wkd_logit(student, teacher, torch.tensor([0]), cost, temperature=1.0, **settings)


@pytest.mark.parametrize("gradient", ["recorded", "envelope"])
def test_a_near_class_is_cheaper_than_a_far_one(gradient) -> None:
    cost = 1 - torch.eye(4)
    cost[1, 2] = cost[2, 1] = 0.2
    right, near, far = (moved(to, cost, gradient=gradient) for to in (1, 2, 3))
    assert right < near < far
    torch.testing.assert_close(near - right, 0.2 * (far - right), rtol=0.05, atol=0)


def test_the_target_s_share_is_no_matter_of_transport() -> None:
    """Raising the target's logit moves the first term alone."""
    torch.manual_seed(0)
    student, teacher, targets, cost = (
        torch.randn(5, 4),
        torch.randn(5, 4),
        torch.tensor([0, 1, 2, 3, 0]),
        torch.rand(4, 4),
    )
    raised = student + 3 * torch.nn.functional.one_hot(targets, 4)
    values = []
    for x in (student, raised):
        own = -(teacher.softmax(1) * x.log_softmax(1)).gather(1, targets.unsqueeze(1)).mean()
        values.append(wkd_logit(x, teacher, targets, cost) - own)
    torch.testing.assert_close(*values)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="the cost"):
        wkd_logit(torch.randn(5, 4), torch.randn(5, 4), torch.zeros(5, dtype=torch.int64), torch.rand(5, 5))
    with pytest.raises(ShapeError, match="wkd_feature"):
        WKDLogit().build((torch.Size((5, 4)),), (torch.Size((5, 6)),), 0)
    with pytest.raises(ConfigError, match="targets"):
        loss = WKDLogit()
        loss.build((torch.Size((5, 4)),), (torch.Size((5, 4)),), 0)
        loss(torch.randn(5, 4), torch.randn(5, 4))
    for wrong in (
        {"transport_weight": 0.0},
        {"temperature": 0.0},
        {"sharpen": 0.0},
        {"epsilon": 0.01},
        {"sweeps": 0},
        {"gradient": "x"},
        {"samples_per_class": 1},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            WKDLogit(**wrong)  # type: ignore[arg-type]
