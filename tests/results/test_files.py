"""What the files of a run's folder say."""

import json
import time

import pytest

from kantor.core.errors import DataError
from kantor.results.files import read_result, seconds_before, timed


def test_a_seed_is_finished_where_its_result_is(tmp_path):
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text('{"diverged": "At step 3"}')
    with pytest.raises(DataError, match=r"result\.json cannot be used"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"accur')
    with pytest.raises(DataError, match=r"result\.json"):
        read_result(tmp_path)


def test_seconds_of_a_stage_add_up_over_all_times_that_it_ran(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    with timed(tmp_path, "teachers"):
        clock[0] += 2.0
    with timed(tmp_path, "cache"):
        clock[0] += 5.0
    with pytest.raises(KeyboardInterrupt), timed(tmp_path, "teachers"):  # interrupted ones count too
        clock[0] += 1.5
        raise KeyboardInterrupt
    with open(tmp_path / "timing.jsonl", "a") as file:
        file.write(json.dumps({"step": 3, "seconds": 100.0, "peak_memory": 5}) + "\n")  # of training, no stage
    assert seconds_before(tmp_path) == {"teachers": 3.5, "cache": 5.0}
    assert seconds_before(tmp_path / "elsewhere") == {}
