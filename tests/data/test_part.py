import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.data import Part, open_data
from kantor.data.store import InMemory


def test_read_scales_bytes_to_the_unit_interval():
    store = InMemory(torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1))
    assert store.read(np.array([2, 1, 0])).flatten().tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_vectors_are_read_as_they_are():
    values = torch.tensor([[-3.0, 900.0]])
    assert torch.equal(InMemory(values).read(np.array([0, 0])), values.repeat(2, 1))


def test_fingerprint_knows_contents_rows_and_targets(make_part):
    part = make_part()
    same = make_part()
    assert part.fingerprint == same.fingerprint
    others = [make_part(seed=1), make_part(keep=list(range(23))), make_part(25)]
    relabelled = Part("train", part.ids, np.roll(part.targets, 1), part.samples, part.stores, part.rows)
    flipped = make_part()
    flipped.stores["student"].values[3, 0, 0, 0] ^= 1  # type: ignore[attr-defined]
    prints = {p.fingerprint for p in (part, *others, relabelled, flipped)}
    assert len(prints) == 6


def test_fingerprint_does_not_depend_on_what_else_was_read(folder):
    # The limit leaves other samples undecoded, so these lie elsewhere in memory.
    assert open_data(folder).test.fingerprint == open_data(folder, train_limit=4).test.fingerprint  # type: ignore[union-attr]


def test_check_reads_everything(make_part):
    told = []
    make_part(600).check(lambda done, total: told.append((done, total)))
    assert told == [(512, 600), (600, 600)]


def test_parts_are_found_by_name(folder):
    data = open_data(folder, validation=0.0)
    assert data.part("train") is data.train
    with pytest.raises(ConfigError, match=r"no part 'validation'. There are: train, test"):
        data.part("validation")
