import numpy as np
import pytest
import torch

from kantor.core import seeds


def test_a_value_depends_on_its_own_key_alone():
    ids = np.arange(1000)
    whole = seeds.hash64(3, seeds.ORDER, 7, ids)
    some = np.array([999, 4, 4, 17])
    np.testing.assert_array_equal(seeds.hash64(3, seeds.ORDER, 7, some), whole[some])
    assert seeds.hash64(3, seeds.ORDER, 7, 17) == whole[17]


def test_every_key_matters_and_so_does_their_order():
    values = [seeds.hash64(*key) for key in [(1, 2), (2, 1), (1, 2, 0), (1, 3), (0, 1, 2), (-1, 2)]]
    assert len({int(v) for v in values}) == len(values)
    assert len(np.unique(seeds.hash64(0, np.arange(100_000)))) == 100_000


def test_uniform_is_uniform_and_neighbours_do_not_correlate():
    values = seeds.uniform(0, seeds.AUGMENT, 0, np.arange(100_000))
    assert values.min() >= 0
    assert values.max() < 1
    histogram = np.histogram(values, bins=20, range=(0, 1))[0]
    # chi-square with 19 degrees of freedom: its 99.9 % quantile is 43.8
    assert ((histogram - 5000) ** 2 / 5000).sum() < 43.8
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01
    epochs = seeds.uniform(0, seeds.AUGMENT, 1, np.arange(100_000))
    assert abs(np.corrcoef(values, epochs)[0, 1]) < 0.01


def test_generators_are_reproducible():
    a, b = (torch.rand(3, generator=seeds.generator(5, seeds.LOSS, 1)) for _ in range(2))
    assert torch.equal(a, b)
    seeds.seed_all(5, 1)
    first = torch.rand(2)
    seeds.seed_all(5, 1)
    assert torch.equal(first, torch.rand(2))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(first, torch.rand(2))


@pytest.mark.parametrize("accelerator", [False, True])
def test_seeding_all_is_torchs_own_seed_with_an_accelerator_or_without(monkeypatch, accelerator):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    seen = []
    monkeypatch.setattr(torch, "manual_seed", seen.append)
    seeds.seed_all(5, 1)
    ours = torch.rand(3)
    monkeypatch.undo()
    torch.manual_seed(int(seeds.hash64(5, 1)) & 0x7FFF_FFFF_FFFF_FFFF)
    assert bool(seen) == accelerator  # every device is seeded where there are any
    assert accelerator or torch.equal(ours, torch.rand(3))
