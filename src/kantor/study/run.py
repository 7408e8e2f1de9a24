"""A study from its settings to its table."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from kantor.core import trust
from kantor.core.collectives import rank, wait_for_all, world_size
from kantor.core.files import remove_partial
from kantor.core.locks import locked
from kantor.core.shape import check_settings
from kantor.core.terminal import terminal
from kantor.results.records import Summary
from kantor.results.rows import warnings
from kantor.results.table import table
from kantor.study.execution.job import Job
from kantor.study.execution.parallel import jobs_for
from kantor.study.execution.progress import Display
from kantor.study.execution.step_zero import prepare
from kantor.study.execution.student import Workbench
from kantor.study.execution.summary import summarise
from kantor.study.execution.tuning import tune
from kantor.study.execution.workers import train_all
from kantor.study.resume.claim import claim
from kantor.study.resume.fingerprints import (
    agree_on_code,
    agree_on_data,
    agree_on_students,
    another_machine,
    settings_of,
)
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.resolved import ResolvedStudy, resolve
from kantor.study.settings.study import Study
from kantor.study.settings.tokenizers import keep_tokenizers
from kantor.tasks import Scale
from kantor.training.processes import joined_processes
from kantor.training.trackers import make_stores


def unreported(run: Path) -> None:
    """Nobody wants a page."""


def run_study(config: Study, console: Console | None = None, report: Callable[[Path], None] = unreported) -> Path:
    """Train every method with every seed, compare them, and print the table. The same call again goes on.

    Args:
        config: what to do.
        console: where to print; standard output if left out.
        report: told of the run's folder at the end, on the main process; also where students failed or were
            interrupted, before that is raised.

    Returns:
        The run's folder.

    Raises:
        KantorError: what cannot be done, before hours are spent where that is possible.
    """
    check_settings(config)
    trust.wrote(config.codes())
    study = resolve(config)
    trust.keep(study.settings.folder(), study.settings.codes())
    return finish(study, console, report)


def finish(study: ResolvedStudy, console: Console | None = None, report: Callable[[Path], None] = unreported) -> Path:
    """:func:`run_study` of a study that is resolved, be it new or begun."""
    settings, console = study.settings, console or terminal()
    with joined_processes(settings.device == "cpu"):
        main = rank() == 0
        run = claim(settings) if main else settings.folder()
        wait_for_all()
        with Display(console if main else Console(quiet=True), study.scale if study.judged else None) as display:
            # Every process checks and trains teachers together; the main one alone prints and writes.
            with locked(run) if main else contextlib.nullcontext():
                if main:
                    remove_partial(run, below=False)
                if elsewhere := another_machine(run):
                    display.say(elsewhere)
                agree_on_code(run, settings)
                if main:
                    agree_on_students(run, settings)
                data = study.open_data()
                agree_on_data(run, data)
                if main:
                    keep_tokenizers(run, data)
                methods, facts = prepare(study, data, run, display.say, display.preparing)
                make_stores(settings.trackers if main else None, run)
            # Students that train here share the data; workers open it themselves, and this copy goes.
            alone = world_size() > 1 or jobs_for(settings, Prepared.read(run).threads) == 1
            bench = Workbench(run, data) if alone else None
            del data
            if settings.tune:
                facts["tuning"] = tune(run, settings, methods, display, bench)
            try:
                asked = [Job(method, seed) for seed in study.seeds for method in methods]
                train_all(run, asked, settings, display, bench)
            except BaseException:
                if main:
                    with contextlib.suppress(Exception):  # what failed first is what is said
                        summarise(run, study, methods, facts)
                        report(run)
                raise
        if main:
            _conclude(summarise(run, study, methods, facts), run, console)
    if main:
        report(run)
    return run


def _conclude(summary: Summary, run: Path, console: Console) -> None:
    """Print the table, and what must be said beside it."""
    console.print()
    console.print(table(summary))
    for warning in warnings(summary["methods"], Scale.parse(summary.get("metric"))):
        console.print(warning, style="bold red", highlight=False, markup=False)
    if summary.get("task") == "none":
        console.print("Without labels students have no accuracy: kantor probe judges the features.")
    for teacher in summary.get("teachers", []):
        console.print(f"The teacher ({teacher['name']}) saw {teacher['saw']}.", highlight=False)
    console.print(f"The run is in {run}", highlight=False, soft_wrap=True)


def resume(run: Path, console: Console | None = None, report: Callable[[Path], None] = unreported) -> Path:
    """Finish whatever is unfinished in a run's folder; see :func:`run_study`.

    Raises:
        ConfigError: the folder holds no run.
    """
    config = settings_of(run)
    config.out = str(run)
    return finish(resolve(config), console, report)
