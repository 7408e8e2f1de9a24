"""A short run of the fuzzer: no traceback, no hang, no code run. ``make fuzz`` tries ten thousand inputs."""

import subprocess
import sys
from pathlib import Path

import pytest

from kantor.core.errors import DataError
from tests.fuzz.outcome import ACCEPTED, ARGUMENT, CODE, HANG, MESSAGE, TRACEBACK, watched


def test_bad_input_leads_to_messages():
    command = [sys.executable, str(Path(__file__).parent), "--count", "150", "--seed", "0", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: 2, MESSAGE),
        (lambda: _raise(DataError("no")), MESSAGE),
        (lambda: _raise(SystemExit(2)), ARGUMENT),
        (lambda: 0, ACCEPTED),
        (lambda: _raise(KeyError("a")), TRACEBACK),
        (lambda: _raise(RecursionError()), TRACEBACK),
        (lambda: _wait(), HANG),
        (lambda: Path("SENTINEL").touch(), CODE),
    ],
)
def test_outcomes(call, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert watched(call, tmp_path / "SENTINEL", 0.2).kind == kind


def _raise(error: BaseException) -> None:
    raise error


def _wait() -> None:
    while True:
        pass
