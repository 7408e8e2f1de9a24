"""The feature memory and the draws that go with it."""

import pytest
import torch
import torch.nn.functional as F

from kantor.core.errors import ConfigError
from kantor.losses.draws import Draws
from kantor.losses.memory import FeatureMemory


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


def test_momentum_and_length() -> None:
    memory = FeatureMemory(10, 4)
    ids = torch.tensor([7, 2, 5])
    first, second = (unit(3, 4), unit(3, 4)), (unit(3, 4), unit(3, 4))
    untouched = memory.student[[0, 1, 3, 4, 6, 8, 9]].clone()
    memory.hold(ids, *first)
    memory.commit()
    torch.testing.assert_close(memory.student[ids], first[0])
    torch.testing.assert_close(memory.teacher[ids], first[1])
    memory.hold(ids, *second)
    memory.commit()
    torch.testing.assert_close(memory.student[ids], F.normalize(0.5 * first[0] + 0.5 * second[0], dim=1))
    assert memory.seen.nonzero().squeeze(1).tolist() == [2, 5, 7]
    assert torch.equal(memory.student[[0, 1, 3, 4, 6, 8, 9]], untouched)


def test_blends_the_first_feature_with_the_random_row() -> None:
    memory = FeatureMemory(10, 4, blend_first=True)
    random, feature = memory.student[[3]].clone(), unit(1, 4)
    memory.hold(torch.tensor([3]), feature, feature)
    memory.commit()
    torch.testing.assert_close(memory.student[[3]], F.normalize(random + feature, dim=1))


def test_is_blind_to_order_and_batching() -> None:
    """The same features reach the same rows, whatever order and batches they come in."""
    torch.manual_seed(0)
    whole = FeatureMemory(12, 4)
    torch.manual_seed(0)
    parts = FeatureMemory(12, 4)
    student, teacher, order = unit(12, 4), unit(12, 4), torch.randperm(12)
    whole.hold(torch.arange(12), student, teacher)
    whole.commit()
    for ids in order.split(5):
        parts.hold(ids, student[ids], teacher[ids])
        parts.commit()
    assert torch.equal(whole.student, parts.student)
    assert torch.equal(whole.teacher, parts.teacher)


def test_holds_until_commit_and_only_with_gradients() -> None:
    memory = FeatureMemory(10, 4)
    before = memory.student.clone()
    with torch.no_grad():
        memory.hold(torch.tensor([1]), unit(1, 4), unit(1, 4))
    memory.commit()
    assert torch.equal(memory.student, before) and not memory.seen.any()
    memory.hold(torch.tensor([1]), unit(1, 4), unit(1, 4))
    memory.hold(torch.tensor([2]), unit(1, 4), unit(1, 4))
    assert torch.equal(memory.student, before)
    memory.commit()
    assert memory.seen.nonzero().squeeze(1).tolist() == [1, 2]
    memory.hold(torch.tensor([3]), unit(1, 4), unit(1, 4))
    memory.forget()
    memory.commit()
    assert memory.seen.nonzero().squeeze(1).tolist() == [1, 2]


@pytest.mark.parametrize("samples", [0, 1])
def test_needs_samples(samples: int) -> None:
    with pytest.raises(ConfigError, match="gckt contrasts"):
        FeatureMemory(samples, 4, who="gckt")


def test_refuses_a_momentum_of_one() -> None:
    with pytest.raises(ConfigError, match="momentum"):
        FeatureMemory(4, 4, 1.0)


def test_draws_are_a_function_of_seed_and_counter() -> None:
    torch.manual_seed(0)
    first = Draws()
    second = Draws()
    second.load_state_dict(first.state_dict())

    def numbers(draws: Draws) -> list[float]:
        return torch.rand(3, generator=draws.generator()).tolist()

    start = numbers(first)
    assert start == numbers(first) == numbers(second)
    first.advance()
    assert numbers(first) != start
    second.load_state_dict(first.state_dict())
    assert numbers(first) == numbers(second)
    torch.manual_seed(1)
    assert numbers(Draws()) != start
