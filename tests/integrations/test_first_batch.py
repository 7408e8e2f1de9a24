import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import kantor
from kantor.integrations.first_batch import first_batch


def test_a_look_changes_no_random_number():
    loader = DataLoader(TensorDataset(torch.arange(20)), batch_size=4, shuffle=True)

    def drawn() -> list:
        return [torch.rand(()).item(), random.random(), np.random.rand(), next(iter(loader))[0].tolist()]

    def seed() -> None:
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)

    seed()
    expected = drawn()
    seed()
    assert len(first_batch(loader)[0]) == 4
    assert drawn() == expected


def test_nothing_to_look_at():
    with pytest.raises(kantor.DataError, match="no batch"):
        first_batch([])
