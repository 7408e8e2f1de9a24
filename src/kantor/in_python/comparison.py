"""What a study found, for a program: numbers, a table, a frame, a figure, its page and its students."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kantor.core.errors import ConfigError, suggest
from kantor.core.names import folder_name
from kantor.core.objects import at_hand
from kantor.core.optional import optional
from kantor.core.reading import read_json
from kantor.core.terminal import Terminal
from kantor.in_python.taking_out import export
from kantor.models import Model, load
from kantor.report import write
from kantor.results.records import Row, Summary
from kantor.results.rows import values_of, warnings
from kantor.results.table import table
from kantor.study.afterwards.export.command import Form
from kantor.study.sweep import runs_in, sweep_table
from kantor.tasks import Scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Comparison:
    """Methods x seeds, as a finished run's files have them.

    Of a study at several numbers of labels there is a run for each. Everything is read when it is asked for.
    """

    runs: tuple[Path, ...]
    """The runs' folders."""
    objects: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the study was handed, by the names that its settings hold."""

    @classmethod
    def of(cls, folder: str | Path) -> Comparison:
        """What a run that the command line made, or an earlier program, found.

        Args:
            folder: of a run, or of a study at several numbers of labels.

        Raises:
            ConfigError: it holds no finished run.
        """
        found = cls(tuple(runs_in(Path(folder))))
        _ = [found.summary_of(run) for run in found.runs]
        return found

    @property
    def run(self) -> Path:
        """The folder of the only run.

        Raises:
            ConfigError: there are several.
        """
        if len(self.runs) > 1:
            raise ConfigError(f"There are {len(self.runs)} runs, one for each number of labels: take one of .runs.")
        return next(iter(self.runs))

    @property
    def summary(self) -> Summary:
        """All numbers of the only run, as its ``summary.json`` has them."""
        return self.summary_of(self.run)

    def summary_of(self, run: Path) -> Summary:
        """The numbers of one run.

        Raises:
            ConfigError: it has none yet.
        """
        found = read_json(run / "summary.json", Summary)
        if not found:
            raise ConfigError(f"{run} holds no finished run: kantor resume {run} finishes one that was begun.")
        return found

    def table(self) -> str:
        """The table that the command prints, with what must be said beside it, as text."""
        out = Terminal(file=io.StringIO(), width=160)
        if len(self.runs) > 1:
            out.print(sweep_table(list(self.runs)))
        else:
            out.print(table(self.summary))
            for said in warnings(self.summary["methods"], Scale.parse(self.summary.get("metric"))):
                out.print(said, soft_wrap=True)
        assert isinstance(out.file, io.StringIO)
        return out.file.getvalue()

    def rows(self, *, per_seed: bool = False) -> list[dict[str, Any]]:
        """A row for each method, or for each student: what it reached on the test part, in the metric's own unit.

        Of a method there are the mean over seeds with its 95 % interval (``low``, ``high``), the paired difference to
        the student alone with its own, and the seconds of a seed; None where a number is not defined.

        Args:
            per_seed: a row for each student: ``method``, ``seed``, the metric, ``seconds``.
        """
        return [row for run in self.runs for row in self._rows_of(run, per_seed)]

    def to_frame(self, *, per_seed: bool = False) -> pd.DataFrame:
        """:meth:`rows` as a pandas frame.

        Raises:
            ConfigError: pandas is not installed.
        """
        with optional("to_frame needs pandas", "frames", "rows() is the same without it."):
            import pandas as pd
        return pd.DataFrame(self.rows(per_seed=per_seed))

    def plot(self, axes: Axes | None = None) -> Axes:
        """Every method on a line: a dot for each seed, the mean, and its 95 % interval.

        Args:
            axes: of matplotlib, to draw into; a new figure's if left out.

        Raises:
            ConfigError: matplotlib is not installed; or there are several runs.
        """
        with optional("plot needs matplotlib", "plots"):
            from matplotlib import pyplot
        scale, methods = Scale.parse(self.summary.get("metric")), self.summary["methods"]
        axes = axes or pyplot.subplots(figsize=(6, 0.8 + 0.5 * len(methods)), layout="constrained")[1]
        for height, row in enumerate(methods.values()):
            values = [] if row["mean"] is None else [scale.shown(value) for value in values_of(row)]
            axes.plot(values, [height] * len(values), "o", color="0.6", markersize=4)
            if row["interval"] is not None:
                axes.plot([scale.shown(bound) for bound in row["interval"]], [height] * 2, color="C0", linewidth=2)
            if row["mean"] is not None:
                axes.plot([scale.shown(row["mean"])], [height], "|", color="C0", markersize=14, markeredgewidth=2)
        axes.set_yticks(range(len(methods)), list(methods))
        axes.invert_yaxis()
        axes.set_xlabel(scale.heading)
        return axes

    def report(self) -> Path:
        """The page of the run, or one page of all runs, written from their files; returns where it is."""
        return write(list(self.runs) if len(self.runs) > 1 else self.run)

    def folder(self, method: str, seed: int | None = None) -> Path:
        """Where a student lives.

        Args:
            method: its method, as the table calls it.
            seed: the first of the method's if left out.

        Raises:
            ConfigError: there is no such student.
        """
        methods = self.summary["methods"]
        if method not in methods:
            raise ConfigError(f"{self.run} has no method {method!r}. {suggest(method, methods)}")
        seed = methods[method]["seeds"][0] if seed is None else seed
        if seed not in methods[method]["seeds"]:
            raise ConfigError(f"{method} has the seeds {methods[method]['seeds']}, and not {seed}.")
        return self.run / folder_name(method) / f"seed-{seed}"

    def student(self, method: str, seed: int | None = None) -> Model:
        """A trained student: pixels in [0, 1], or samples as the data has them, to logits.

        Args:
            method: its method, as the table calls it.
            seed: the first of the method's if left out.

        Raises:
            ConfigError: there is no such student.
        """
        with at_hand(self.objects):
            return load(str(self.folder(method, seed))).eval()

    def export(
        self,
        method: str,
        seed: int | None = None,
        *,
        format: Form = "safetensors",  # noqa: A002
        output: str | Path | None = None,
        **how: Any,
    ) -> Path:
        """A trained student, taken out; see :func:`kantor.in_python.export`.

        Args:
            method: its method, as the table calls it.
            seed: the first of the method's if left out.
            format: ``safetensors``, ``torch.export``, ``onnx`` or ``hub``.
            output: the file or folder; in the student's own folder if left out.
            how: ``bare``, ``int8``, ``license``, ``quiet``.

        Raises:
            ConfigError: there is no such student, or it cannot be written in this form.
        """
        with at_hand(self.objects):
            return export(str(self.folder(method, seed)), format=format, output=output, **how)

    def __str__(self) -> str:
        return self.table()

    def _rows_of(self, run: Path, per_seed: bool) -> list[dict[str, Any]]:
        summary = self.summary_of(run)
        metric = Scale.parse(summary.get("metric")).name
        labels = {"labels_per_class": int(run.name.removeprefix("labels-"))} if len(self.runs) > 1 else {}
        of_one = _students if per_seed else _method
        return [labels | found for name, row in summary["methods"].items() for found in of_one(name, row, metric)]


def _students(name: str, row: Row, metric: str) -> list[dict[str, Any]]:
    nothing = [None] * len(row["seeds"])
    values = nothing if row["mean"] is None else values_of(row)
    reached = zip(row["seeds"], values, row.get("seconds_per_seed", nothing), strict=True)
    return [{"method": name, "seed": seed, metric: value, "seconds": seconds} for seed, value, seconds in reached]


def _method(name: str, row: Row, metric: str) -> list[dict[str, Any]]:
    difference = row["difference"]
    low, high = row["interval"] or (None, None)
    beside = difference["interval"] if difference else None
    return [
        {
            "method": name,
            "seeds": len(row["seeds"]),
            metric: row["mean"],
            "low": low,
            "high": high,
            "difference": difference["mean"] if difference else None,
            "difference_low": beside[0] if beside else None,
            "difference_high": beside[1] if beside else None,
            "collapsed": len(row.get("collapsed") or {}),
            "seconds": row["seconds"],
        }
    ]
