"""A run that is killed anywhere and resumed ends bitwise where the uninterrupted run ends."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runs import assert_same_student, command, distill, environment, kantor, started

SEED = "neuron_transport@plan_momentum=0.9/seed-0"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """The folder of a finished run; others beside it share its teacher and cache."""
    runs = tmp_path_factory.mktemp("runs")
    done = kantor(*distill("whole"), cwd=runs)
    assert done.returncode == 0, done.stderr
    return runs


def kill_and_resume(runs: Path, name: str, draw: random.Random) -> int:
    """SIGKILL the study once training passed a random step; resume it; return the step it had a checkpoint of.

    On a busy machine a kill may come after the end: that study is left, and another one killed.
    """
    for attempt in "abcde":
        reached = killed(runs, name + attempt, draw)
        if not (runs / (name + attempt) / "summary.json").exists():
            resumed = kantor("resume", name + attempt, cwd=runs)
            assert resumed.returncode == 0, resumed.stderr
            assert_same_student(runs / "whole" / SEED, runs / (name + attempt) / SEED)
            return reached
    pytest.fail("every kill came after the end")


def killed(runs: Path, name: str, draw: random.Random) -> int:
    steps = json.loads((runs / "whole" / SEED / "result.json").read_text())["steps"]
    until = draw.randrange(steps - 6)  # on a fast machine the last steps would be over before the signal comes
    study = subprocess.Popen(
        command(*distill(name)), cwd=runs, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
    )
    timing = runs / name / SEED / "timing.jsonl"
    deadline = time.monotonic() + 300
    # The timing file grows at every checkpoint: every third step, so the kill lands within the next three.
    while time.monotonic() < deadline:
        lines = timing.read_text().splitlines() if timing.exists() else []
        if lines and json.loads(lines[-1])["step"] >= until - 2:
            break
        time.sleep(0.001)
    time.sleep(draw.random() * 0.03)
    os.killpg(study.pid, signal.SIGKILL)
    study.wait()
    return json.loads(timing.read_text().splitlines()[-1])["step"]


def test_a_kill(uninterrupted):
    kill_and_resume(uninterrupted, "killed", random.Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))  # so that two processes of tests share them
def test_twenty_kills(uninterrupted, part):
    draw = random.Random(1 + part)
    reached = {kill_and_resume(uninterrupted, f"slow-{part}-{number}", draw) for number in range(5)}
    assert len(reached) > 2, "the kills were to fall on different steps"


def test_sigterm_saves_and_says_how_to_go_on(uninterrupted):
    timing = uninterrupted / "stopped" / SEED / "timing.jsonl"
    study = started(*distill("stopped", checkpoint_every="0"), cwd=uninterrupted, until=[timing])
    study.send_signal(signal.SIGTERM)
    _, said = study.communicate(timeout=300)
    assert study.returncode == 143, said
    assert "kantor resume" in said
    assert (uninterrupted / "stopped" / "report.html").exists()
    resumed = kantor("resume", "stopped", cwd=uninterrupted)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("metrics.jsonl", "student.safetensors"):
        ours, theirs = (uninterrupted / run / SEED / name for run in ("whole", "stopped"))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_the_same_command_again_changes_nothing(uninterrupted):
    before = (uninterrupted / "whole" / SEED / "student.safetensors").stat().st_mtime_ns
    again = kantor(*distill("whole"), cwd=uninterrupted)
    assert again.returncode == 0, again.stderr
    assert (uninterrupted / "whole" / SEED / "student.safetensors").stat().st_mtime_ns == before
    assert "neuron_transport" in again.stdout


def test_another_run_in_the_folder_is_refused(uninterrupted):
    refused = kantor(*distill("whole", lr="0.05"), cwd=uninterrupted)
    assert refused.returncode == 2
    assert "differs in lr" in refused.stderr
