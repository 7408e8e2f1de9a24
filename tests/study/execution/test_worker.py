"""What a user's network prints or reads does not disturb what a study and its workers tell each other."""

import json
import subprocess
import sys

import pytest

from runs import command, distill, environment

NOISY = """
import os, sys
import kantor
print("imported")

def make(num_classes, input_shape):
    print("built", input_shape, '{"event": "done"}')
    os.system("echo from a process below")
    sys.stdin.read()
    return kantor.load("cnn@width=8", classes=num_classes, input_shape=input_shape).network
"""


def test_channels_are_taken_away_from_whatever_prints_or_reads(tmp_path):
    script = """
import json, os, sys
from kantor.study.execution.worker import _channels
asked, told = _channels()
print("noise"); os.system("echo noise"); os.write(1, b"noise")
assert sys.stdin.read() == ""
print(json.dumps([asked.readline(), asked.readline()]), file=told, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], input="one\ntwo\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["one\n", "two\n"]
    assert done.stderr.count("noise") == 3


@pytest.mark.slow
def test_a_factory_that_prints_and_reads_does_not_hang_the_study(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    arguments = distill("run", student="noisy:make", methods="none", seeds="2", jobs="2", epochs="1", teacher=None,
                        unlabelled=None, unlabelled_batch=None, cache=None, teacher_epochs=None)  # fmt: skip
    done = subprocess.run(
        command(*arguments),
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        assert (tmp_path / "run" / "none" / f"seed-{seed}" / "result.json").exists()
