import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kantor.core.errors import ConfigError, DataError
from kantor.data import Augment, Loader, open_data
from kantor.data import images as images_module

NONE, CROP = Augment.named("none"), Augment.named("crop+mirror")


def ids_of(batches) -> list[list[int]]:
    return [batch.ids.tolist() for batch in batches]


def flat(batches) -> list[int]:
    return [i for ids in ids_of(batches) for i in ids]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.integers(4, 20), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_world_sizes_see_the_same_global_batches(make_part, world, batch_size, seed, epoch, drop_last):
    part = make_part(29)
    one = Loader(part, batch_size, seed=seed, augment=NONE, drop_last=drop_last)
    many = [
        Loader(part, batch_size, seed=seed, augment=NONE, rank=r, world=world, drop_last=drop_last)
        for r in range(world)
    ]
    assert {loader.steps_per_epoch for loader in many} == {one.steps_per_epoch}
    whole = ids_of(one.epoch(epoch))
    shares = [ids_of(loader.epoch(epoch)) for loader in many]
    for step, expected in enumerate(whole):
        if drop_last:
            expected = expected[: len(expected) - len(expected) % world]
            assert len({len(share[step]) for share in shares}) == 1
        for r, share in enumerate(shares):
            assert share[step] == expected[r::world]


@pytest.mark.parametrize("start", [0, 1, 3, 5])
def test_starting_late_gives_what_the_whole_epoch_gives(make_part, start):
    loader = Loader(make_part(24), 4, seed=1, augment=CROP)
    whole, late = list(loader.epoch(2)), list(loader.epoch(2, start))
    assert len(late) == len(whole) - start
    for a, b in zip(whole[start:], late, strict=True):
        assert torch.equal(a.inputs["student"], b.inputs["student"]) and torch.equal(a.ids, b.ids)


def test_part_of_the_samples_keep_their_order_and_their_augmentation(make_part):
    whole, some = make_part(24), make_part(24, keep=[1, 2, 3, 7, 11, 13, 17, 22])
    seen = [
        {int(i): (at, x) for b in Loader(p, 1, seed=0, augment=CROP).epoch(1)
         for at, (i, x) in enumerate(zip(b.ids.tolist(), b.inputs["student"], strict=True))}
        for p in (whole, some)
    ]  # fmt: skip
    assert set(seen[1]) < set(seen[0])
    assert [i for i in seen[0] if i in seen[1]] == list(seen[1])
    for i, (_, x) in seen[1].items():
        assert torch.equal(x, seen[0][i][1])


def test_every_sample_comes_once_and_epochs_differ(make_part):
    loader = Loader(make_part(24), 6, seed=0, augment=NONE)
    first, second = (flat(loader.epoch(e)) for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(24))
    assert first != second
    other = Loader(make_part(24), 6, seed=1, augment=NONE)
    assert first != flat(other.epoch(0))


def test_ids_targets_and_pixels_belong_together(make_part):
    part = make_part(24)
    everything = part.read(np.arange(24))["student"]
    for batch in Loader(part, 5, seed=0, augment=NONE).epoch(0):
        assert torch.equal(batch.inputs["student"], everything[batch.ids])
        assert torch.equal(batch.targets, batch.ids % 3)
        assert batch.inputs["student"] is batch.inputs["teacher"]
        assert batch.views.tolist() == [0] * 5


def test_evaluation_reads_every_sample_in_order(make_part):
    loader = Loader(make_part(23), 5, seed=0, augment=NONE, shuffle=False, drop_last=False)
    assert ids_of(loader.epoch(0)) == [list(range(i, min(i + 5, 23))) for i in range(0, 23, 5)]
    assert loader.steps_per_epoch == 5
    assert Loader(make_part(23), 5, seed=0, augment=NONE).steps_per_epoch == 4


def test_fewer_samples_than_a_batch_are_one_batch(make_part):
    loader = Loader(make_part(7), 100, seed=0, augment=NONE)
    assert [len(batch) for batch in loader.epoch(0)] == [7]


def test_impossible_batches_are_refused(make_part):
    with pytest.raises(ConfigError, match="batch of 2 cannot be shared by 3"):
        Loader(make_part(), 2, seed=0, augment=NONE, world=3)
    with pytest.raises(ConfigError, match="Rank 3"):
        Loader(make_part(), 9, seed=0, augment=NONE, world=3, rank=3)
    with pytest.raises(DataError, match="train part is empty"):
        Loader(make_part(keep=[]), 2, seed=0, augment=NONE)


def test_images_decoded_ahead_are_the_same_batches(folder, monkeypatch):
    kept = open_data(folder).train
    monkeypatch.setattr(images_module, "KEEP_BYTES", 0)
    later = open_data(folder).train
    assert later.on_demand and not kept.on_demand
    pairs = list(zip(*(Loader(p, 3, seed=0, augment=CROP).epoch(1, 1) for p in (kept, later)), strict=True))
    assert len(pairs) == len(kept) // 3 - 1
    for a, b in pairs:
        assert torch.equal(a.inputs["student"], b.inputs["student"]) and torch.equal(a.ids, b.ids)


def test_leaving_an_epoch_early_leaves_no_thread(folder, monkeypatch):
    import threading

    monkeypatch.setattr(images_module, "KEEP_BYTES", 0)
    before = threading.active_count()
    batches = Loader(open_data(folder).train, 2, seed=0, augment=NONE).epoch(0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
