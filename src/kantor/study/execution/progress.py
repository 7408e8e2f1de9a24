"""What a person sees while a study runs: bars on a terminal, plain lines elsewhere."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from kantor.core.names import printable
from kantor.study.execution.job import Job
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY


class Display:
    """Progress of what step 0 does (caching, a teacher's training) and of students.

    Args:
        console: where to write.
        scale: of the metric that students are judged by; None where they are not.
    """

    def __init__(self, console: Console, scale: Scale | None = None) -> None:
        self.console, self.scale = console, scale
        self._live = console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}", markup=False),
            console=console,
            disable=not self._live,
        )
        self._students: dict[str, TaskID] = {}
        self._preparing: TaskID | None = None
        self._all: TaskID | None = None
        self._done = self._total = 0
        self._said = 0.0

    def __enter__(self) -> "Display":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print lines of facts above the bars."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def preparing(self, event: dict[str, Any]) -> None:
        """Progress of what comes before the students: a cache, or a teacher in training."""
        done, total = event.get("step"), event.get("steps")
        if done is None or total is None:
            return
        name = printable(event.get("doing", "training the teacher"))
        if self._preparing is None:
            self._preparing = self._bars.add_task(name, total=total, metrics="")
        self._bars.update(
            self._preparing, description=name, completed=done, total=total, metrics=_metrics(event, self.scale)
        )
        self._sometimes(f"{name}: {done}/{total} {_metrics(event, self.scale)}".rstrip())
        if done >= total and "doing" in event:
            self._bars.remove_task(self._preparing)
            self._preparing = None

    def students(self, total: int, done: int) -> None:
        """Students come next: ``done`` of ``total`` are finished already."""
        if self._preparing is not None:
            self._bars.remove_task(self._preparing)
            self._preparing = None
        self._total, self._done = total, done
        if self._all is not None:
            self._bars.remove_task(self._all)
        self._all = self._bars.add_task("students", total=total, completed=done, metrics="")

    def student(self, job: Job, event: dict[str, Any]) -> None:
        """Progress of one student."""
        key = job.label
        if event["event"] == "progress":
            if "step" not in event:
                return
            if key not in self._students:
                self._students[key] = self._bars.add_task(printable(job.label), total=None, metrics="")
            self._bars.update(self._students[key], completed=event["step"], total=event["steps"])
            if said := _metrics(event, self.scale):
                self._bars.update(self._students[key], metrics=said)
                self._sometimes(f"{job.label}: {said}")
            return
        if key in self._students:
            self._bars.remove_task(self._students.pop(key))
        if event["event"] == "done":
            self._done += 1
            if self._all is not None:
                self._bars.update(self._all, completed=self._done)
            if not self._live:
                self.console.print(f"{self._done}/{self._total} {job.label}", highlight=False)
        else:
            self.console.print(f"{job.label}: {event.get('message', event['event'])}", highlight=False)

    def _sometimes(self, line: str) -> None:
        """A plain line where there are no bars, four a minute at most."""
        if not self._live and time.monotonic() - self._said > 15:
            self._said = time.monotonic()
            self.console.print(line, highlight=False)


def _metrics(event: dict[str, Any], scale: Scale | None) -> str:
    said = []
    if "epoch" in event and "epochs" in event:
        said.append(f"epoch {event['epoch']}/{event['epochs']}")
    if "train/loss" in event:
        said.append(f"loss {event['train/loss']:.3f}")
    if scale is not None and (value := event.get(f"validation/{scale.name}")) is not None:
        name = "" if scale == ACCURACY else f"{scale.name} "
        said.append(f"validation {name}{scale.text(value, 1)}")
    return ", ".join(said)
