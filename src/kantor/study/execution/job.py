"""One student to train."""

from dataclasses import dataclass
from pathlib import Path

from kantor.core.reading import read_json
from kantor.results.files import TUNING
from kantor.results.records import Tuned
from kantor.study.settings.methods import Method


@dataclass(frozen=True)
class Job:
    """One student to train."""

    method: Method
    seed: int
    factor: float | None = None
    """A trial of the weight search, with the method's weights times this; None for a student of the comparison."""

    @property
    def label(self) -> str:
        """As progress and errors call it."""
        trial = "" if self.factor is None else f" x {self.factor:g}"
        return f"{self.method.name}{trial}, seed {self.seed}"

    def folder(self, run: Path) -> Path:
        """Where it lives: ``METHOD/seed-K``, trials under ``tuning/xFACTOR``."""
        root = run if self.factor is None else run / "tuning" / f"x{self.factor:g}"
        return root / self.method.folder / f"seed-{self.seed}"


def tuned_factor(run: Path, method: Method) -> float:
    """The factor the weight search chose for a method; 1 where nothing was tuned."""
    tuned = read_json(run / TUNING, dict[str, Tuned])
    return tuned[method.name]["chosen"] if tuned else 1.0
