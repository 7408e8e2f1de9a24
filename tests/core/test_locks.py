"""Locks where there is flock, and where there is not."""

import subprocess
import sys

from kantor.core.cores import cores
from kantor.core.locks import lock


def test_one_holder_at_a_time(tmp_path):
    with open(tmp_path / "l", "w") as first, open(tmp_path / "l", "w") as second:
        assert lock(first)
        assert not lock(second)
        first.close()
        assert lock(second)


def test_everything_is_imported_and_measured_without_fcntl_and_resource(tmp_path):
    # As on Windows; msvcrt is played by a module that knows the one call.
    script = """
import sys, types
sys.modules["fcntl"] = sys.modules["resource"] = None
held = set()
def locking(handle, mode, count):
    import os
    key = os.fstat(handle).st_ino
    if key in held:
        raise OSError("taken")
    held.add(key)
import kantor.cli, kantor.study, kantor.faculty, kantor.analysis, kantor.training.memory
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
from kantor.core.locks import lock
with open("l", "w") as first, open("l", "w") as second:
    assert lock(first) and not lock(second)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_is_a_core():
    assert cores() >= 1
