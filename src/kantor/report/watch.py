"""A live view of a run from its files: how far every student is, and how long the rest takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from kantor.core.lines import read_lines
from kantor.core.names import folder_name
from kantor.core.numbers import duration
from kantor.core.reading import read_json
from kantor.report.headline import headline_of
from kantor.report.run import read_run
from kantor.results.files import read_result
from kantor.results.records import Begun, Metrics, StepZeroKept, Timed
from kantor.study.resume.fingerprints import settings_of
from kantor.study.settings.methods import written_methods
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY

State = Literal["waiting", "training", "silent", "done"]
SILENCE = 120.0
"""Seconds without news after which a student is called silent: its study was stopped, or its epochs are long."""


@dataclass(frozen=True)
class Student:
    """How far one student is."""

    method: str
    seed: int
    state: State
    epoch: int
    epochs: int
    loss: float | None
    reached: float | None
    """By the run's metric, on the test part once done, else on the validation part, where there is one."""
    seconds: float
    """Of training so far."""


@dataclass(frozen=True)
class Look:
    """A run at one moment."""

    run: Path
    prepared: bool
    """Whether step 0 is over."""
    students: list[Student]
    scale: Scale = ACCURACY
    """Of the metric that they are judged by."""

    @property
    def done(self) -> int:
        """Finished students."""
        return sum(student.state == "done" for student in self.students)

    @property
    def complete(self) -> bool:
        """Whether all are finished."""
        return self.done == len(self.students)

    @property
    def seconds_left(self) -> float | None:
        """A guess: the epochs that are left at the pace so far, side by side as now; None before there is a pace."""
        paces = {s.method: [] for s in self.students}
        for s in self.students:
            if s.epoch > 0:
                paces[s.method].append(s.seconds / s.epoch)
        known = [pace for found in paces.values() for pace in found]
        if not known:
            return None
        left = sum((s.epochs - s.epoch) * fmean(paces[s.method] or known) for s in self.students if s.state != "done")
        return left / max(sum(s.state == "training" for s in self.students), 1)


def look(run: Path, now: float | None = None) -> Look:
    """Read how far a run is.

    Args:
        run: its folder.
        now: seconds since the epoch; the clock's if left out.

    Raises:
        ConfigError: the folder holds no run.
    """
    config = settings_of(run)
    now = time.time() if now is None else now
    prepared = (run / "plan.json").exists()
    names = [method.name for method in written_methods(config.methods)]
    if prepared:  # without those that were left out at step 0 (unfit: skip)
        terms_of = read_json(run / "plan.json", Begun).get("bound", {})
        names = [name for name in names if name in terms_of]
    scale = Scale.parse(read_json(run / "step0.json", StepZeroKept).get("metric"))
    students = [
        _student(run / folder_name(name) / f"seed-{seed}", name, seed, config.epochs, now, scale)
        for name in names
        for seed in config.seed_list()
    ]
    return Look(run, prepared, students, scale)


def watch(
    run: Path, console: Console, every: float = 2.0, once: bool = False, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Show how a run goes on until it is finished: a live table on a terminal, a line for each change elsewhere.

    Args:
        run: its folder.
        console: where to write.
        every: seconds between looks.
        once: look once only.
        sleep: waits so many seconds.

    Raises:
        ConfigError: the folder holds no run.
    """
    seen = look(run)
    if console.is_terminal:
        with Live(table(seen), console=console, auto_refresh=False) as live:
            while not (once or seen.complete):
                sleep(every)
                seen = look(run)
                live.update(table(seen), refresh=True)
    else:
        said = ""
        while True:
            if (line := _line(seen)) != said:
                console.print(line, highlight=False, soft_wrap=True)
                said = line
            if once or seen.complete:
                break
            sleep(every)
            seen = look(run)
    if seen.complete:
        console.print(headline_of(read_run(run)).sentence.striptags(), highlight=False, soft_wrap=True)


def table(seen: Look) -> Table:
    """The look as a table for a terminal, students under way first to be seen at its end."""
    out = Table(title=_line(seen), title_justify="left", header_style="bold")
    for name in ("method", "seed", "", "epoch", "loss", seen.scale.name, "seconds", ""):
        out.add_column(name, justify="left" if name in ("method", "") else "right", overflow="fold")
    for s in seen.students:
        out.add_row(
            s.method,
            str(s.seed),
            ProgressBar(total=s.epochs, completed=s.epoch, width=20),
            f"{s.epoch}/{s.epochs}",
            "" if s.loss is None else f"{s.loss:.3f}",
            "" if s.reached is None else seen.scale.text(s.reached),
            f"{s.seconds:.0f}" if s.seconds else "",
            s.state,
        )
    return out


def _student(folder: Path, method: str, seed: int, epochs: int, now: float, scale: Scale) -> Student:
    seconds = sum(line["seconds"] for line in read_lines(folder / "timing.jsonl", Timed))
    if result := read_result(folder):
        reached = (result.get("metrics") or result).get(scale.name)
        return Student(method, seed, "done", epochs, epochs, result.get("loss"), reached, seconds)
    metrics = folder / "metrics.jsonl"
    lines = [line for line in read_lines(metrics, Metrics) if "epoch" in line]
    if not lines:
        return Student(method, seed, "waiting", 0, epochs, None, None, seconds)
    last = lines[-1]
    key = f"validation/{scale.name}"
    validated = [line[key] for line in lines if key in line]
    state = "training" if now - metrics.stat().st_mtime < SILENCE else "silent"
    reached = validated[-1] if validated else None
    return Student(method, seed, state, last["epoch"], epochs, last.get("train/loss"), reached, seconds)


def _line(seen: Look) -> str:
    total = len(seen.students)
    if not seen.prepared:
        return f"{seen.run}: step 0 (data, teachers, caches) is under way; {total} students come next"
    said = f"{seen.run}: {seen.done} of {total} students finished"
    if seen.complete:
        return said
    training = sum(s.state == "training" for s in seen.students)
    silent = sum(s.state == "silent" for s in seen.students)
    said += f", {training} training"
    if silent:
        said += f", {silent} without news for {SILENCE / 60:.0f} minutes (`kantor resume` goes on with a stopped run)"
    left = seen.seconds_left
    return said + (f", about {duration(left)} left" if left is not None and training else "")
