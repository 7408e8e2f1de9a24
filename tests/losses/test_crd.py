"""CRD: numbers of the public code over two steps, and what is drawn."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.crd import CRD, _cosines, crd, nce
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
    loss = built(dim=8).to(dtype)
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
    """Few samples are scored by one product with all of the memory, many by gathered rows: the same scores."""
    embedded, memory, ids = torch.randn(5, 8), torch.randn(20, 8), torch.randint(20, (5, 4))
    expected = torch.einsum("bd,bkd->bk", embedded, torch.stack([memory[row] for row in ids]))
    by_product = _cosines(embedded, memory, ids, None)  # 20 rows are no more than 4 x 8
    by_rows = _cosines(embedded, torch.cat([memory, torch.randn(80, 8)]), ids, None)
    torch.testing.assert_close(by_product, expected)
    torch.testing.assert_close(by_rows, expected)
    both = _cosines(embedded, memory, ids, torch.tensor([7, 2]))
    torch.testing.assert_close(both, torch.cat([expected, embedded @ memory[[7, 2]].T], dim=1))


def test_one_product_for_all_is_as_good_as_each_draw_written_out() -> None:
    """A row drawn three times counts three times, and a sample's own row never as its negative."""
    loss, ids = built(samples=9, negatives=50, dim=8), torch.tensor([3, 8, 7, 4, 5])
    loss.memory.seen[:] = True
    student, teacher = torch.randn(5, 6), torch.randn(5, 10)
    drawn, counts = loss._drawn_for_all(torch.arange(9))
    assert counts.sum() == 50 and len(drawn) < 10
    s, t = loss.student_embedding(student), loss.teacher_embedding(teacher)
    whole = drawn.repeat_interleave(counts)
    sides = []
    for embedded, memory in ((s, loss.memory.teacher), (t, loss.memory.student)):
        rows = [whole[whole != own] for own in ids]
        sides.append(
            [
                (memory[torch.cat([own[None], r])] @ e / 0.07).exp()
                for own, r, e in zip(ids, rows, embedded, strict=True)
            ]
        )
    expected = 0.0
    for side in sides:
        z = torch.cat(side).mean() * 9
        expected += torch.stack([nce((x / z)[None], 9) for x in side]).mean()
    torch.testing.assert_close(loss(student, teacher, ids=ids), expected)


def test_scores_no_row_of_a_sample_that_training_has_not_shown() -> None:
    """Of a memory for 1,000 samples of which a run shows 40, the other rows never take part."""
    for settings in ({"negatives": 500}, {"negatives_per_anchor": 60}):
        loss = built(1000, dim=8, **settings)
        shown = torch.randperm(1000)[:40]
        hidden = torch.ones(1000, dtype=torch.bool)
        hidden[shown] = False
        loss.memory.student[hidden] = loss.memory.teacher[hidden] = torch.nan
        for ids in shown.split(5):
            value = loss(torch.randn(5, 6), torch.randn(5, 10), ids=ids)
            assert value.isfinite()
            value.backward()
            loss.after_step()
        assert loss.memory.seen.sum() == 40


def test_draws_no_sample_as_its_own_negative_and_every_other_that_was_shown() -> None:
    loss = built(samples=9, negatives_per_anchor=400)
    ids, shown = torch.tensor([1, 2, 4, 7, 8]), torch.tensor([1, 2, 4, 5, 7, 8])
    drawn = loss._drawn_for_each(ids, shown)
    assert not (drawn == ids.unsqueeze(1)).any()
    for row, own in zip(drawn, ids, strict=True):
        counts = torch.bincount(row, minlength=9)
        assert (counts[shown[shown != own]] > 50).all() and counts.sum() == counts[shown].sum()
    assert torch.equal(drawn, loss._drawn_for_each(ids, shown))
    loss.after_step()
    assert not torch.equal(drawn, loss._drawn_for_each(ids, shown))


def test_a_sample_alone_has_nothing_to_be_told_from() -> None:
    loss = built(samples=9)
    value = loss(torch.randn(1, 6), torch.randn(1, 10), ids=torch.tensor([3]))
    assert value.item() == pytest.approx(0.0, abs=1e-4)


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


def test_samples_are_a_number_and_scores_a_matrix():
    scores = torch.rand(4, 3)
    with pytest.raises(ShapeError, match="and Tensor"):
        crd(scores, scores, torch.rand(5))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="and 0"):
        crd(scores, scores, 0)
