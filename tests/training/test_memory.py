"""The peak of memory is the highest, and of the process where there is no GPU."""

import subprocess
import sys

import pytest
import torch

from kantor.training.memory import PeakMemory

HELD = 200 * 2**20
"""Bytes, of the 256 MiB that are written to."""


def fresh(code: str) -> list[int]:
    """Numbers that a process of its own prints: in another's heap there may be room for all, and no peak rises."""
    start = "import numpy as np; "
    found = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)
    return [int(word) for word in found.stdout.split()]


@pytest.fixture(scope="module")
def peaks() -> list[int]:
    """Before 256 MiB were held and let go, afterwards, and from there on."""
    made = "import torch; from kantor.training.memory import PeakMemory; cpu = torch.device('cpu'); m = PeakMemory(cpu)"
    return fresh(f"{made}; a = m.bytes(); np.ones(2**25).sum(); print(a, m.bytes(), PeakMemory(cpu).bytes())")


def test_what_was_held_counts_also_when_it_is_let_go(peaks):
    before, after, _ = peaks
    assert after >= before + HELD


def test_it_counts_anew_where_the_system_can(peaks):
    peak = "open('/proc/self/status').read().split('VmHWM:')[1].split()[0]"
    look = f"np.ones(2**25).sum(); print({peak}); open('/proc/self/clear_refs', 'w').write('5'); print({peak})"
    try:
        before, after = fresh(look)
    except (subprocess.CalledProcessError, IndexError):
        pytest.skip("this system keeps no peak that can be counted anew")
    if 1024 * after > 1024 * before - HELD:
        pytest.skip("this system takes the wish to count anew, and does not")
    _, raised, anew = peaks
    assert anew < raised - HELD


def test_bytes_are_bytes_of_the_process():
    memory = PeakMemory(torch.device("cpu"))
    assert memory.of == "process"
    assert 2**24 < memory.bytes() < 2**38  # 16 MiB, 256 GiB
