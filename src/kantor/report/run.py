"""What a run's folder holds, read into memory. Files that are not there yet read as empty."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kantor.core.errors import ConfigError
from kantor.core.lines import read_lines
from kantor.core.names import folder_name
from kantor.core.reading import read_json, read_text
from kantor.results.files import read_result
from kantor.results.format import read_settings
from kantor.results.records import Begun, Metrics, Probed, Row, Shown, StepZeroKept, Summary
from kantor.results.rows import method_row
from kantor.study.settings.study import UNREADABLE
from kantor.tasks import Scale

ALONE = "none"
"""The method without transfer, which every other is compared with."""


@dataclass(frozen=True)
class Student:
    """One student of a run: a method with a seed."""

    method: str
    seed: int
    folder: Path
    result: dict[str, Any] | None
    """``result.json``; None while it is unfinished."""

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl`` that end an epoch, epoch 0 (untrained) first."""
        return [line for line in read_lines(self.folder / "metrics.jsonl", Metrics) if "epoch" in line]

    @property
    def seconds_per_step(self) -> float | None:
        """Of training and evaluation, over its steps; None while it is unfinished."""
        if self.result is None or not self.result.get("steps"):
            return None
        return self.result["seconds"] / self.result["steps"]


@dataclass(frozen=True)
class Run:
    """A run's folder."""

    folder: Path
    config: dict[str, Any]
    config_text: str
    environment: Shown
    step0: StepZeroKept
    plan: Begun
    summary: Summary
    students: list[Student]
    probes: dict[str, Probed] = field(default_factory=dict)
    """``probe.json``: by data set, what linear probes found."""

    @property
    def judged(self) -> bool:
        """Whether students are judged by what they say: not in a study without a task."""
        return self.config.get("task") != "none"

    @property
    def scale(self) -> Scale:
        """Of the metric that students are judged by; accuracy in runs from before there were others."""
        return Scale.parse(self.summary.get("metric") or self.step0.get("metric"))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def methods(self) -> dict[str, Row]:
        """The summary of every method with a finished seed, in the table's order."""
        return self.summary["methods"]

    @property
    def class_names(self) -> list[str]:
        """Names of the student's classes; empty where step 0 did not record them."""
        return self.step0.get("data", {}).get("class_names", [])

    def of(self, method: str) -> list[Student]:
        """A method's students, by seed."""
        return [student for student in self.students if student.method == method]

    def seconds_per_step(self, method: str) -> dict[int, float]:
        """By seed, of finished students."""
        return {s.seed: s.seconds_per_step for s in self.of(method) if s.seconds_per_step is not None}


def read_run(folder: Path) -> Run:
    """Read a run.

    Args:
        folder: the run's folder.

    Raises:
        ConfigError: it holds no run, or a file in it cannot be read.
    """
    path = folder / "config.yaml"
    if not path.exists():
        others = [name for name in ("ranking.json", "compare.json") if (folder / name).exists()]
        remedy = f" `kantor report` takes a folder with {others[0]} by itself." if others else ""
        raise ConfigError(f"{folder} holds no run: there is no {path.name} in it.{remedy}")
    text = read_text(path, UNREADABLE)
    config = read_settings(folder, UNREADABLE)
    step0 = read_json(folder / "step0.json", StepZeroKept)
    summary = read_json(folder / "summary.json", Summary)
    names = [*summary.get("methods", {}), *step0.get("methods", {})]
    students = _students(folder, list(dict.fromkeys(names)))
    if not summary:
        scale = None if config.get("task") == "none" else Scale.parse(step0.get("metric"))
        summary = Summary(methods=_compare(students, scale), complete=False)
    return Run(
        folder=folder,
        config=config,
        config_text=text,
        environment=read_json(folder / "environment.json", Shown),
        step0=step0,
        plan=read_json(folder / "plan.json", Begun),
        summary=summary,
        students=students,
        probes=read_json(
            folder / "probe.json", dict[str, Probed], remedy="Delete it and `kantor probe` the run again."
        ),
    )


def _students(folder: Path, methods: list[str]) -> list[Student]:
    known = {folder_name(method): method for method in methods}
    order = {method: index for index, method in enumerate(methods)}
    found = []
    for path in folder.glob("*/seed-*"):
        if path.name[5:].isdecimal() and path.is_dir():
            method = known.get(path.parent.name, path.parent.name)
            found.append(Student(method, int(path.name[5:]), path, read_result(path)))
    return sorted(found, key=lambda s: (order.get(s.method, len(order)), s.method, s.seed))


def _compare(students: list[Student], scale: Scale | None) -> dict[str, Row]:
    """What ``summary.json`` would say of the students finished so far, for a run that was killed or is under way."""
    done: dict[str, dict[int, dict[str, Any]]] = {}
    for student in students:
        if student.result is not None:
            done.setdefault(student.method, {})[student.seed] = student.result
    alone = done.get(ALONE, {})
    return {method: method_row(results, {} if method == ALONE else alone, scale) for method, results in done.items()}
