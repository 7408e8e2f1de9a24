"""A study and its processes: signals, deaths on either side, and what a user's code prints or reads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runs import assert_same_student, command, distill, environment, kantor, processes_of, started

pytestmark = pytest.mark.slow
METHODS = "neuron_transport@plan_momentum=0.9", "kd"

NOISY = """
import os, sys
import kantor
print("imported")

def make(num_classes, input_shape):
    print("built", input_shape)
    os.system("echo from a process below")
    os.system("cat")
    sys.stdin.read()
    return kantor.load("cnn@width=8", classes=num_classes, input_shape=input_shape).network
"""
SCRIPT = """
from kantor.study import Study, run_study

print("the script runs")
run_study(Study(data="digits", student="cnn@width=4", methods="none", seeds=2, epochs=1, train_limit=100, jobs=2,
                out="run"))
"""
STUCK = """
import multiprocessing, pathlib, time
import torch, kantor

class Stuck(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.steps = 0

    def forward(self, x):
        self.steps += self.training and multiprocessing.parent_process() is not None
        if self.steps > 20:
            pathlib.Path("stuck").touch()
            time.sleep(1000)
        return self.network(x)

def make(num_classes, input_shape):
    return Stuck(kantor.load("cnn@width=8", classes=num_classes, input_shape=input_shape).network)
"""


def two_students(name: str) -> list[str]:
    return distill(name, methods=",".join(METHODS), jobs="2", record_plans="every=1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of a finished run of two students; others beside it share its teacher and cache."""
    runs = tmp_path_factory.mktemp("runs")
    done = kantor(*two_students("whole"), cwd=runs)
    assert done.returncode == 0, done.stderr
    return runs


def start(runs: Path, name: str) -> "subprocess.Popen[str]":
    """Start the study in a group of its own, and wait until both students train."""
    lines = [runs / name / method / "seed-0" / "timing.jsonl" for method in METHODS]
    return started(*two_students(name), cwd=runs, until=lines)


def alive(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for_the_end(processes: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(alive, processes)):
        assert time.monotonic() < deadline, "a worker outlives its study"
        time.sleep(0.05)


def resume(runs: Path, name: str) -> None:
    """Finish the run: the two students end where those of the whole run did."""
    resumed = kantor("resume", name, cwd=runs)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_student(runs / "whole" / METHODS[0] / "seed-0", runs / name / METHODS[0] / "seed-0")
    ours, theirs = (runs / run / METHODS[1] / "seed-0" / "student.safetensors" for run in ("whole", name))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_asked_to_stop_every_student_saves_and_no_process_is_left(whole, number):
    study = start(whole, number.name)
    workers = processes_of(study.pid)
    assert len(workers) == 2
    os.killpg(study.pid, number)  # as a terminal does
    _, said = study.communicate(timeout=300)
    assert study.returncode == 143, said
    assert "kantor resume" in said and "Traceback" not in said
    assert not any(map(alive, workers))
    for method in METHODS:
        assert (whole / number.name / method / "seed-0" / "checkpoints" / "last.pt").exists()
    resume(whole, number.name)


def test_a_study_killed_leaves_no_process(whole):
    study = start(whole, "killed")
    workers = processes_of(study.pid)
    assert len(workers) == 2
    study.kill()
    study.communicate()
    wait_for_the_end(workers)
    resume(whole, "killed")


def test_what_a_factory_prints_and_reads_stays_out_of_the_way(tmp_path):
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
    assert done.stderr.count("from a process below") >= 2, "what workers print belongs on standard error"
    for seed in (0, 1):
        assert (tmp_path / "run" / "none" / f"seed-{seed}" / "result.json").exists()


def test_a_script_that_guards_nothing_runs_once(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("the script runs") == 1


def test_no_module_beside_the_run_is_imported_by_a_worker(tmp_path):
    """Where a run's file says that it was started decides about paths, and not about code."""
    (tmp_path / "started").mkdir()
    done = kantor(*distill("run", methods="none,kd", jobs="2", epochs="1"), cwd=tmp_path / "started")
    assert done.returncode == 0, done.stderr
    for method in ("none", "kd"):
        (tmp_path / "started" / "run" / method / "seed-0" / "result.json").unlink()
    for name in ("multiprocessing", "pickle", "torch"):
        (tmp_path / "started" / f"{name}.py").write_text("open('imported', 'w')\n")
    resumed = subprocess.run(
        [str(Path(sys.executable).with_name("kantor")), "resume", "started/run"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "started" / "run" / "kd" / "seed-0" / "result.json").exists()
    assert not (tmp_path / "started" / "imported").exists()


def test_a_second_ctrl_c_ends_students_that_do_not_come_to_their_next_step(tmp_path):
    (tmp_path / "stuck_nets.py").write_text(STUCK)
    arguments = distill("run", student="stuck_nets:make", methods="none", seeds="2", jobs="2", teacher=None,
                        unlabelled=None, unlabelled_batch=None, cache=None, teacher_epochs=None)  # fmt: skip
    study = started(*arguments, cwd=tmp_path, until=[tmp_path / "stuck"], PYTHONPATH=str(tmp_path))
    workers = processes_of(study.pid)
    os.killpg(study.pid, signal.SIGINT)
    time.sleep(1)
    assert study.poll() is None
    os.killpg(study.pid, signal.SIGINT)
    _, said = study.communicate(timeout=120)
    assert study.returncode == 130, said
    assert len(workers) == 2 and not any(map(alive, workers))
