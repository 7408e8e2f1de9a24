"""How one student ends, as a worker tells it."""

from multiprocessing import Pipe
from pathlib import Path

import pytest

from kantor.core.errors import DataError
from kantor.study.execution import worker
from kantor.training import Interrupted


class Odd(Exception):
    """An exception that cannot be made again from what it says."""

    def __init__(self, one, two):
        super().__init__(f"{one}, {two}")


class Bench:
    methods = {"kd": None}  # noqa: RUF012

    def __init__(self, end):
        self.end = end

    def train(self, job, report):
        report({"step": 1})
        if self.end is not None:
            raise self.end


@pytest.mark.parametrize(
    ("end", "event", "says"),
    [
        (None, "done", ""),
        (Interrupted("at step 3"), "interrupted", "at step 3"),
        (DataError("no such file"), "error", "no such file"),
        (Odd("user's", "own"), "bug", "Odd: user's, own"),
        (SystemExit(0), "bug", "SystemExit: 0"),
        (GeneratorExit(), "bug", "GeneratorExit"),
    ],
)
def test_every_end_is_told_and_comes_after_the_progress(monkeypatch, end, event, says):
    ours, theirs = Pipe(duplex=False)
    monkeypatch.setattr(worker, "_events", theirs, raising=False)
    monkeypatch.setattr(worker, "_bench", lambda run: Bench(end))
    told = worker.train(Path("run"), "kd", 0, None)
    assert told["event"] == event
    assert says in told.get("message", "")
    assert [ours.recv(), ours.recv()] == [{"event": "progress", "step": 1}, None]
    assert not ours.poll()
    theirs.close()
    ours.close()


def test_a_study_that_is_gone_does_not_disturb_the_student(monkeypatch):
    ours, theirs = Pipe(duplex=False)
    ours.close()
    monkeypatch.setattr(worker, "_events", theirs, raising=False)
    monkeypatch.setattr(worker, "_bench", lambda run: Bench(None))
    assert worker.train(Path("run"), "kd", 0, None) == {"event": "done"}
    theirs.close()
