"""CRD: numbers of the public code over two steps, and what is drawn."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.crd import CRD, nce
from tests.losses.stored import assert_near, both_precisions, load


def built(samples: int = 40, **settings) -> CRD:
    loss = CRD(**settings)
    torch.manual_seed(0)
    loss.build((torch.Size((5, 6)),), (torch.Size((5, 10)),), samples)
    return loss


@both_precisions
def test_as_repdistiller(dtype: torch.dtype, tolerance: float) -> None:
    """Values, gradients, memories and normalisers of two steps of the public CRDLoss on the same tensors."""
    tolerance = max(tolerance, 1e-6)  # the public code keeps temperature and normalisers in float32
    saved = load("crd")
    loss = built(negatives=12, dim=8).to(dtype)
    loss.load_state_dict(
        {
            "student_embedding.linear.weight": saved["init.embed_s.linear.weight"],
            "student_embedding.linear.bias": saved["init.embed_s.linear.bias"],
            "teacher_embedding.linear.weight": saved["init.embed_t.linear.weight"],
            "teacher_embedding.linear.bias": saved["init.embed_t.linear.bias"],
            "memory.student": saved["init.contrast.memory_v1"],
            "memory.teacher": saved["init.contrast.memory_v2"],
            "memory.seen": torch.zeros(40, dtype=torch.bool),
            "draws.seed": torch.zeros((), dtype=torch.int64),
            "draws.counter": torch.zeros((), dtype=torch.int64),
            "normalisers": torch.zeros(2),
        },
        strict=True,
    )
    for step in range(2):
        now = {key[2:]: value for key, value in saved.items() if key.startswith(f"{step}.")}
        student = now["student"].to(dtype).requires_grad_()
        s, t = loss.student_embedding(student), loss.teacher_embedding(now["teacher"].to(dtype))
        loss.memory.hold(now["ids"], s, t)
        value = loss.contrast(s, t, now["scored"])
        loss.zero_grad()
        value.backward()
        loss.after_step()
        assert_near(value.detach(), now["value"], tolerance)
        assert student.grad is not None
        assert_near(student.grad, now["student_grad"], tolerance)
        for side in ("student", "teacher"):
            embedding = getattr(loss, f"{side}_embedding").linear
            assert_near(embedding.weight.grad, now[f"weight_grad_{side[0]}"], tolerance)
        assert_near(loss.memory.student, now["memory_v1"], tolerance)
        assert_near(loss.memory.teacher, now["memory_v2"], tolerance)
        assert_near(loss.normalisers, now["z"], tolerance)


def test_both_ways_to_score_agree() -> None:
    """Few samples are scored by one product, many by gathered rows."""
    student, teacher = torch.randn(5, 6), torch.randn(5, 10)
    ids = torch.tensor([3, 900, 7, 44, 5])
    values = []
    for samples in (1000, 1000):
        loss = built(samples, negatives=20, dim=8)
        drawn = loss._draw(ids)
        scored = torch.cat([ids.unsqueeze(1), drawn], 1)
        s, t = loss.student_embedding(student), loss.teacher_embedding(teacher)
        whole = loss.contrast(s, t, scored)  # 1000 > 21 * 8: gathered
        pieces = (s @ loss.memory.teacher.T).gather(1, scored), (t @ loss.memory.student.T).gather(1, scored)
        scores = [(piece / loss.temperature).exp() for piece in pieces]
        product = sum(nce(score / (score.mean() * samples), samples) for score in scores)
        values.append(whole)
        torch.testing.assert_close(whole, product)
    assert torch.equal(*values)


def test_draws_no_sample_as_its_own_negative_and_every_other() -> None:
    loss = built(samples=6, negatives=400)
    ids = torch.arange(5)
    drawn = loss._draw(ids)
    assert not (drawn == ids.unsqueeze(1)).any()
    for row, own in zip(drawn, ids, strict=True):
        counts = torch.bincount(row, minlength=6)
        assert (counts[torch.arange(6) != own] > 50).all()
    assert torch.equal(drawn, loss._draw(ids))
    loss.after_step()
    assert not torch.equal(drawn, loss._draw(ids))


def test_pulls_a_sample_to_its_own_row() -> None:
    """Descending on the student's embedding turns it towards the teacher's memory of the same ids."""
    loss = built(samples=64, negatives=30, dim=8)
    student, teacher, ids = torch.randn(8, 6).requires_grad_(), torch.randn(8, 10), torch.arange(8)

    def agreement() -> float:
        return (loss.student_embedding(student) * loss.memory.teacher[ids]).sum(1).mean().item()

    before = agreement()
    for _ in range(20):
        (gradient,) = torch.autograd.grad(loss(student, teacher, ids=ids), student)
        student.data -= 0.5 * gradient
    assert agreement() > before + 0.2


def test_refuses() -> None:
    with pytest.raises(ConfigError, match="ids"):
        built(samples=0)
    with pytest.raises(ConfigError, match="no ids"):
        built()(torch.randn(5, 6), torch.randn(5, 10))
    with pytest.raises(ShapeError, match=r"\[N, C, H, W\]"):
        CRD().build((torch.Size((5,)),), (torch.Size((5, 10)),), 40)
    for wrong in ({"negatives": 0}, {"temperature": 0.0}, {"momentum": 1.0}, {"dim": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            CRD(**wrong)
