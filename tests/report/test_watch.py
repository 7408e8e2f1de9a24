"""The live view says how far a run is, from its files alone."""

import io
import json
import os
import shutil
import time

import pytest
from rich.console import Console

from kantor.cli import main
from kantor.core.errors import ConfigError
from kantor.report import watch
from kantor.report.watch import SILENCE, look


def unfinished(run, method, seed, epochs, seconds=10.0):
    """Take a student back to the end of an epoch."""
    folder = run / method / f"seed-{seed}"
    (folder / "result.json").unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines()[: epochs + 1]
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    (folder / "timing.jsonl").write_text(json.dumps({"step": 1, "seconds": seconds}) + "\n")


def printed(run, **settings) -> str:
    out = io.StringIO()
    watch(run, Console(file=out, width=200), **settings)
    return out.getvalue()


def test_how_far(made):
    run = made({"none": [0.8, 0.8], "kd": [0.9, 0.9]})
    unfinished(run, "kd", 0, 2)
    unfinished(run, "kd", 1, 0)
    (run / "kd" / "seed-1" / "metrics.jsonl").unlink()
    seen = look(run)
    assert [s.state for s in seen.students] == ["done", "done", "training", "waiting"]
    assert [(s.epoch, s.epochs) for s in seen.students[2:]] == [(2, 4), (0, 4)]
    assert seen.students[2].loss == pytest.approx(4.5)
    # kd takes 5 s an epoch; 2 and 4 of them are left, one student at a time.
    assert seen.seconds_left == pytest.approx(30.0)
    assert not seen.complete


def test_the_last_accuracy_stays_where_epochs_are_not_validated(made):
    run = made({"none": [0.8], "kd": [0.9]})
    unfinished(run, "kd", 0, 2)
    before = look(run).students[1].reached
    metrics = run / "kd" / "seed-0" / "metrics.jsonl"
    *earlier, last = [json.loads(line) for line in metrics.read_text().splitlines()]
    del last["validation/accuracy"]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in [*earlier, last]))
    accuracy = look(run).students[1].reached
    assert accuracy == earlier[-1]["validation/accuracy"] != before


def test_silence_is_said(made):
    run = made({"none": [0.8], "kd": [0.9]})
    unfinished(run, "kd", 0, 2)
    assert look(run, now=time.time() + 2 * SILENCE).students[1].state == "silent"
    before = time.time() - 2 * SILENCE
    os.utime(run / "kd" / "seed-0" / "metrics.jsonl", (before, before))
    assert "1 without news for 2 minutes" in printed(run, once=True)


def test_step_0_comes_first(made):
    run = made({"none": [0.8], "kd": [0.9]})
    (run / "plan.json").unlink()
    assert "step 0" in printed(run, once=True)


def test_methods_that_were_left_out_are_not_waited_for(made):
    run = made({"none": [0.8, 0.8], "kd": [0.9, 0.9]})
    shutil.rmtree(run / "kd")
    plan = json.loads((run / "plan.json").read_text())
    del plan["bound"]["kd"]
    (run / "plan.json").write_text(json.dumps(plan))
    assert look(run).complete
    assert "2 of 2 students finished" in printed(run)


def test_a_sweep_is_followed_run_after_run(made, tmp_path, capsys):
    for number in (5, 20):
        (tmp_path / "sweep").mkdir(exist_ok=True)
        made({"none": [0.8, 0.8]}).rename(tmp_path / "sweep" / f"labels-{number}")
    assert main(["watch", str(tmp_path / "sweep")]) == 0
    said = capsys.readouterr().out
    assert said.index("labels-5: 2 of 2") < said.index("labels-20: 2 of 2")


def test_a_line_for_each_change_until_the_end(made):
    run = made({"none": [0.8, 0.8], "kd": [0.9, 0.9]})
    result = (run / "kd" / "seed-1" / "result.json").read_text()
    unfinished(run, "kd", 1, 3, seconds=15.0)  # 5 s an epoch; the finished seed took half a second
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            (run / "kd" / "seed-1" / "result.json").write_text(result)

    lines = printed(run, every=0.5, sleep=nap).splitlines()
    assert naps == [0.5] * 3
    assert [line.partition(": ")[2] for line in lines[:2]] == [
        "3 of 4 students finished, 1 training, about 3 s left",
        "4 of 4 students finished",
    ]
    assert lines[2].startswith("kd beats the student alone by +10.0 points")
    assert len(lines) == 3


def test_table_on_a_terminal(made):
    run = made({"none": [0.8], "kd": [0.9]})
    unfinished(run, "kd", 0, 2)
    out = io.StringIO()
    watch(run, Console(file=out, width=160, force_terminal=True), once=True)
    assert "2/4" in out.getvalue()
    assert "training" in out.getvalue()
    assert "80.00 %" in out.getvalue()


def test_no_run(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        look(tmp_path)
