import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError, DataError
from kantor.data import Augment, Loader, Part, Stream, open_data, split

CROP = Augment.named("crop+mirror")


@pytest.fixture
def parts(make_part) -> tuple[Part, Part]:
    """Ten samples with labels and seven without, of one source."""
    return make_part(24, keep=list(range(0, 20, 2))), make_part(24, keep=list(range(1, 14, 2)))


def test_every_pass_holds_each_sample_once_in_an_order_of_its_own(parts):
    stream = Stream(parts[0], 5, seed=0)
    passes = np.concatenate([stream.rows(step) for step in range(6)]).reshape(3, 10)
    assert (np.sort(passes) == np.arange(10)).all()
    assert not (passes[0] == passes[1]).all() and not (passes[1] == passes[2]).all()


def test_no_step_holds_a_sample_twice_and_what_fills_none_is_left_out_of_its_pass(parts):
    stream = Stream(parts[1], 3, seed=0)
    steps = [stream.rows(step).tolist() for step in range(40)]
    assert all(len(set(step)) == 3 for step in steps)
    assert all(len({*a, *b}) == 6 for a, b in zip(steps[::2], steps[1::2], strict=True))
    assert {row for step in steps for row in step} == set(range(7))


def test_a_step_depends_on_nothing_that_came_before(parts):
    whole, late = Stream(parts[1], 3, seed=1), Stream(parts[1], 3, seed=1)
    wanted = [whole.rows(step).tolist() for step in range(12)]
    assert late.rows(11).tolist() == wanted[11] and late.rows(2).tolist() == wanted[2]
    assert [Stream(parts[1], 3, seed=2).rows(step).tolist() for step in range(12)] != wanted


def test_what_a_stream_refuses(parts):
    with pytest.raises(ConfigError, match="2 samples without labels beside each batch cannot be shared by 3"):
        Stream(parts[1], 2, seed=0, world=3)
    none = np.zeros(0, np.int64)
    empty = Part("unlabelled", none, none, 24, parts[1].stores, none)
    with pytest.raises(DataError, match="unlabelled part is empty"):
        Stream(empty, 2, seed=0)
    assert Stream(parts[1], 100, seed=0).size == 7


def test_samples_without_labels_come_after_the_others_and_change_nothing_of_them(parts):
    labelled, others = parts
    plain = Loader(labelled, 4, seed=3, augment=CROP)
    mixed = Loader(labelled, 4, seed=3, augment=CROP, beside=Stream(others, 3, seed=3))
    assert mixed.steps_per_epoch == plain.steps_per_epoch == 2
    for epoch in range(3):
        for a, b in zip(plain.epoch(epoch), mixed.epoch(epoch), strict=True):
            assert len(b) == 7 and len(b.targets) == 4
            assert torch.equal(a.targets, b.targets) and torch.equal(a.ids, b.ids[:4])
            assert torch.equal(a.inputs["student"], b.inputs["student"][:4])
            assert set(b.ids[4:].tolist()) <= set(others.ids.tolist())
            assert b.inputs["student"] is b.inputs["teacher"]
    late = list(mixed.epoch(1, start=1))
    assert torch.equal(late[0].ids, list(mixed.epoch(1))[1].ids)


def test_processes_share_both_kinds(parts):
    labelled, others = parts
    one = Loader(labelled, 4, seed=0, augment=CROP, beside=Stream(others, 4, seed=0))
    two = [
        Loader(labelled, 4, seed=0, augment=CROP, rank=r, world=2, beside=Stream(others, 4, seed=0, world=2))
        for r in range(2)
    ]
    for whole, *shares in zip(one.epoch(0), *(loader.epoch(0) for loader in two), strict=True):
        assert [len(share.targets) for share in shares] == [2, 2]
        for r, share in enumerate(shares):
            assert share.ids.tolist() == [*whole.ids[:4][r::2].tolist(), *whole.ids[4:][r::2].tolist()]


def test_open_data_hides_labels_of_what_it_leaves_out():
    plain = open_data("digits", labels_per_class=5)
    some, all_ = (open_data("digits", labels_per_class=5, unlabelled=n) for n in (200, "all"))
    for data in (some, all_):
        assert data.train.fingerprint == plain.train.fingerprint
        assert data.validation.fingerprint == plain.validation.fingerprint
        assert data.test.fingerprint == plain.test.fingerprint
        judged = [part.ids for part in (data.train, data.validation, data.test)]
        assert not np.isin(data.unlabelled.ids, np.concatenate(judged)).any()
        assert not data.unlabelled.labelled and not data.shown.labelled
        assert data.shown.ids.tolist() == sorted([*data.train.ids, *data.unlabelled.ids])
        read = data.shown.read(np.searchsorted(data.shown.ids, data.unlabelled.ids[:5]))["student"]
        assert torch.equal(read, data.unlabelled.read(np.arange(5))["student"])
    assert len(some.unlabelled) == 200
    assert np.isin(some.unlabelled.ids, all_.unlabelled.ids).all()
    assert sum(len(part) for part in (all_.shown, all_.validation, all_.test)) == 1797
    assert some.facts()["parts"]["unlabelled"]["samples"] == 200
    limited = open_data("digits", train_limit=100, unlabelled=50)
    assert limited.train.fingerprint == open_data("digits", train_limit=100).train.fingerprint
    assert plain.shown is plain.train


def test_what_is_left_without_a_label_does_not_depend_on_the_class():
    data = open_data("digits", labels_per_class=5, unlabelled=300)
    whole = open_data("digits", labels_per_class=5, unlabelled="all").unlabelled
    stratified = whole.ids[split.choose(whole.targets, whole.ids, 300, split.UNLABELLED)]
    assert data.unlabelled.ids.tolist() != stratified.tolist()


@pytest.mark.parametrize("number", [0, 5000])
def test_more_samples_than_are_left(number):
    with pytest.raises(DataError, match=f"unlabelled is {number}, and 1243 training samples have no label"):
        open_data("digits", labels_per_class=5, unlabelled=number)
    for wanted in (10, "all"):
        with pytest.raises(DataError, match=rf"unlabelled is {wanted}, and 0 training samples have no label.*_limit"):
            open_data("digits", unlabelled=wanted)
    with pytest.raises(ConfigError, match="unlabelled is a number of samples or all, not '20'"):
        open_data("digits", unlabelled="20")
