"""What a training run ends with."""

from collections.abc import Mapping
from dataclasses import dataclass

from kantor.training.collapse import Collapse
from kantor.training.memory import MemoryOf


@dataclass(frozen=True)
class Outcome:
    """What a finished training run is judged by; kept as ``result.json``."""

    accuracy: float | None
    """On the test part, read once; None for a trial, and for a task that is judged by another metric."""
    loss: float | None
    validation_accuracy: float | None
    """Of the student that was kept."""
    epoch: int
    """The epoch whose student was kept, from 1."""
    epochs: int
    steps: int
    seconds: float
    """Of training and evaluation, those of interrupted stretches included, shares of the gradient left out."""
    peak_memory: int
    """In bytes; with several processes, of the main one."""
    memory_of: MemoryOf
    """What ``peak_memory`` counts."""
    confusion: list[list[int]]
    collapse: Collapse | None = None
    """Where the student ended at chance: since when, and what was seen."""
    metrics: Mapping[str, float] | None = None
    """Every metric of the task on the test part, by name; None where it was not read."""
    validation: float | None = None
    """The task's first metric on the validation part, of the student that was kept; None without one."""
