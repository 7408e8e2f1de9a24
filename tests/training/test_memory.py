"""The peak of memory is the highest, and of the process where there is no GPU."""

import os
import sys

import numpy as np
import pytest
import torch

from kantor.training.memory import PeakMemory


def test_what_was_held_counts_also_when_it_is_let_go():
    memory = PeakMemory(torch.device("cpu"))
    before = memory.bytes()
    held = np.ones(2**25)  # 256 MiB, written to
    del held
    assert memory.of == "process"
    assert memory.bytes() >= before + 200 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts anew")
def test_it_counts_anew():
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this process may not count anew")
    first = PeakMemory(torch.device("cpu"))
    np.ones(2**25).sum()
    raised = first.bytes()
    assert PeakMemory(torch.device("cpu")).bytes() < raised - 200 * 2**20


def test_bytes_are_bytes():
    assert 2**24 < PeakMemory(torch.device("cpu")).bytes() < 2**38  # 16 MiB, 256 GiB
