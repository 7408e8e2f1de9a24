"""A study at several numbers of labels: a run for each, in one folder, and one table."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kantor.core import trust
from kantor.core.collectives import rank
from kantor.core.errors import ConfigError
from kantor.core.reading import read_json
from kantor.core.shape import check_settings
from kantor.core.terminal import terminal
from kantor.results.records import Summary
from kantor.study.resume.claim import begun, claim
from kantor.study.resume.fingerprints import settings_of
from kantor.study.run import finish, resume, run_study, unreported
from kantor.study.settings.resolved import resolve
from kantor.study.settings.study import Study
from kantor.tasks import Scale
from kantor.training.processes import joined_processes


def run_sweep(config: Study, console: Console | None = None, report: Callable[[Path], None] = unreported) -> list[Path]:
    """:func:`~kantor.study.run.run_study` for each of the ``labels_per_class``, in ``OUT/labels-N``.

    Every number is checked, and every run's folder is made, before the first student trains.

    Returns:
        The runs' folders; one where one number, or none, is asked for.

    Raises:
        KantorError: see :func:`~kantor.study.run.run_study`; a class has fewer labels than the largest number.
    """
    numbers = config.label_numbers()
    if len(numbers) < 2:
        return [run_study(config, console, report)]
    check_settings(config)
    trust.wrote(config.codes())
    config = resolve(config).settings
    folder = config.folder()
    if (folder / "config.yaml").exists():
        if begun(folder):
            raise ConfigError(
                f"{folder} holds a run, and several numbers of labels are a run each. Give another --out."
            )
        (folder / "config.yaml").unlink()
    parts = [replace(config, labels_per_class=n, out=str(folder / f"labels-{n}")) for n in numbers]
    for part in parts:
        trust.keep(part.folder(), part.codes())
    resolve(max(parts, key=lambda part: part.label_numbers())).open_data()
    return _each(parts, console, report)


def resume_sweep(
    folder: Path, console: Console | None = None, report: Callable[[Path], None] = unreported
) -> list[Path]:
    """Finish whatever is unfinished in a run's folder, or in the runs of a sweep's.

    Raises:
        ConfigError: the folder holds neither.
    """
    parts = runs_in(folder)
    if parts == [folder]:
        return [resume(folder, console, report)]
    return _each([replace(settings_of(part), out=str(part)) for part in parts], console, report)


def runs_in(folder: Path) -> list[Path]:
    """The runs of a sweep's folder in the order of their numbers; any other folder is all there is.

    Whether that one holds a run is left to whoever reads it, and says what is missing.
    """
    numbers = {path.parent: path.parent.name.removeprefix("labels-") for path in folder.glob("labels-*/config.yaml")}
    parts = [part for part, number in numbers.items() if number.isdecimal()]  # no copy called labels-5-old
    if (folder / "config.yaml").exists() or not parts:
        return [folder]
    return sorted(parts, key=lambda part: int(numbers[part]))


def sweep_table(runs: list[Path]) -> Table:
    """What every method reaches at every number on the test part, and the paired difference to the student alone.

    Shares are in %, their differences in points.
    """
    out = Table(header_style="bold", title="labels per class", title_justify="left")
    read = [read_json(run / "summary.json", Summary) for run in runs]
    summaries = [found.get("methods", {}) for found in read]
    scale = Scale.parse(next((found.get("metric") for found in read if found.get("metric")), None))
    out.add_column("method", no_wrap=True)
    for run in runs:
        out.add_column(run.name.removeprefix("labels-"), justify="right", no_wrap=True)
    for method in dict.fromkeys(name for methods in summaries for name in methods):
        out.add_row(method, *(_cell(methods.get(method), scale) for methods in summaries))
    return out


def _each(parts: list[Study], console: Console | None, report: Callable[[Path], None]) -> list[Path]:
    console = console or terminal()
    runs = []
    # Processes can be joined once: for all runs together.
    with joined_processes(parts[0].device == "cpu"):
        main = rank() == 0
        for part in parts if main else []:
            claim(part)  # all of them now, so that a resume knows what was asked for
        for part in parts:
            if main:
                console.print(f"\n{part.folder()}", highlight=False, soft_wrap=True)
            runs.append(finish(resolve(part), console, report))
    if main:
        console.print(sweep_table(runs))
    return runs


def _cell(row: dict | None, scale: Scale) -> str:
    if row is None:
        return ""
    difference = "" if row["difference"] is None else f" ({scale.signed(row['difference']['mean'])})"
    return scale.number(row["mean"]) + difference
