"""metrics.jsonl goes on exactly where its checkpoint stood; time is kept over interruptions."""

import hashlib
import json
import time
from pathlib import Path

import pytest

from kantor.core.errors import DataError, KantorError, NonFiniteError
from kantor.training.memory import PeakMemory
from kantor.training.metrics import MetricsLog, Stopwatch


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def interrupted(tmp_path) -> tuple[Path, int, str]:
    """A log whose checkpoint was made after the second of three lines, the last of which is torn."""
    path = tmp_path / "run" / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.write({"step": 1, "loss": 2.5})
        log.write({"step": 2, "loss": 2.25})
        held, digest = log.synced_bytes(), log.digest
    with open(path, "ab") as file:
        file.write(b'{"step": 3, "lo')
    return path, held, digest


def test_a_line_is_json_and_the_digest_is_of_the_whole_file(interrupted):
    path, held, digest = interrupted
    content = path.read_bytes()[:held]
    assert content == b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25}\n'
    assert digest == hashlib.sha256(content).hexdigest()


def test_what_was_written_after_the_checkpoint_is_cut_and_the_rest_goes_on(interrupted):
    path, held, digest = interrupted
    with MetricsLog(path, held, digest) as log:
        log.write({"step": 3, "loss": 2.0})
        again = log.synced_bytes(), log.digest
    assert lines(path) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 2.25}, {"step": 3, "loss": 2.0}]
    assert again == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_log_that_begins_anew_holds_nothing_of_before(interrupted):
    path, _, _ = interrupted
    with MetricsLog(path) as log:
        log.write({"step": 1})
    assert lines(path) == [{"step": 1}]


@pytest.mark.parametrize("damage", ["other", "shorter", "gone"])
def test_a_log_that_its_checkpoint_does_not_go_with_is_refused_and_left_alone(interrupted, damage):
    path, held, digest = interrupted
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content.replace(b"2.25", b"2.24") if damage == "other" else content[: held - 1])
    left = path.read_bytes() if path.exists() else b""
    with pytest.raises(DataError, match=rf"first {held} bytes .* delete {path.parent}"):
        MetricsLog(path, held, digest)
    assert (path.read_bytes() if path.exists() else b"") == left


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named_with_its_step_and_not_written(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        with pytest.raises(NonFiniteError, match="At step 7 kd is not finite"):
            log.write({"step": 7, "task": 1.0, "kd": bad})
        log.write({"step": 8, "task": 1.0})
    assert lines(path) == [{"step": 8, "task": 1.0}]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KantorError, match=r"Could not write .*metrics\.jsonl"):
        MetricsLog(tmp_path / "file" / "metrics.jsonl")


class Memory(PeakMemory):
    """Of a process that never used more than it is told."""

    def __init__(self, peak: int) -> None:
        self.peak = peak

    def bytes(self) -> int:
        return self.peak


def test_seconds_add_up_over_interruptions_and_the_highest_peak_counts(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    path = tmp_path / "timing.jsonl"
    first = Stopwatch(path, Memory(700))
    clock[0] += 2.0
    first.lap(10)
    clock[0] += 3.0
    first.lap(20)
    clock[0] += 50.0  # lost: the process was killed before its next lap
    again = Stopwatch(path, Memory(300))
    with again.stopped():
        clock[0] += 1000.0
    clock[0] += 4.0
    again.lap(30)
    assert again.spent() == (pytest.approx(9.0), 700)
    assert [line["step"] for line in lines(path)] == [10, 20, 30]


def test_nothing_was_spent_where_nothing_was_recorded(tmp_path):
    assert Stopwatch(tmp_path / "timing.jsonl", Memory(5)).spent() == (0, 0)
