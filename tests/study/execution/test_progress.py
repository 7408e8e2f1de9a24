"""What a person sees while a study runs, where lines are plain."""

import pytest

from kantor.study.execution import progress
from kantor.study.execution.job import Job
from kantor.study.execution.progress import Display
from kantor.study.settings.methods import parse_methods
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY
from small import console, printed

JOB = Job(parse_methods("kd")[0], 3)


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time, in its only place."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def step(number: int, **more) -> dict:
    return {"event": "progress", "step": number, "steps": 10, **more}


def test_a_line_for_every_student_that_ends(clock):
    to = console()
    with Display(to, ACCURACY) as display:
        display.students(3, 1)
        display.student(JOB, {"event": "done"})
        display.student(JOB, {"event": "error", "message": "its loss is NaN"})
    assert printed(to).splitlines() == ["2/3 kd, seed 3", "kd, seed 3: its loss is NaN"]


def test_progress_is_told_four_times_a_minute_at_most(clock):
    to = console()
    with Display(to, ACCURACY) as display:
        display.students(1, 0)
        for epoch in range(4):
            display.student(JOB, step(epoch, epoch=epoch, epochs=4, **{"validation/accuracy": 0.5}))
            clock[0] += 10
    assert printed(to).splitlines() == [
        "kd, seed 3: epoch 0/4, validation 50.0 %",
        "kd, seed 3: epoch 2/4, validation 50.0 %",
    ]


def test_what_step_0_does_is_named(clock):
    to = console()
    with Display(to) as display:
        display.preparing({"doing": "outputs of big", "step": 5, "steps": 10})
        clock[0] += 20
        display.preparing({"step": 1, "steps": 4, "epoch": 1, "epochs": 2, "train/loss": 0.25})
        display.preparing({"note": "nothing to count"})
    assert printed(to).splitlines() == ["outputs of big: 5/10", "training the teacher: 1/4 epoch 1/2, loss 0.250"]


def test_it_speaks_the_tasks_metric(clock):
    to = console()
    with Display(to, Scale("RMSE", "m", higher_is_better=False)) as display:
        display.students(1, 0)
        display.student(JOB, step(1, **{"validation/RMSE": 0.25, "validation/accuracy": 0.9}))
    assert printed(to).splitlines() == ["kd, seed 3: validation RMSE 0.25 m"]


def test_names_cannot_move_the_cursor(clock):
    to = console()
    with Display(to) as display:
        display.preparing({"doing": "outputs of \x1b[2Jbig", "step": 1, "steps": 2})
    assert printed(to) == "outputs of big: 1/2\n"
