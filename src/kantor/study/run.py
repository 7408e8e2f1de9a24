"""A study from its settings to its table."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from kantor.core import trust
from kantor.core.collectives import rank, wait_for_all, world_size
from kantor.core.files import remove_partial
from kantor.core.terminal import terminal
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
from kantor.study.resume.fingerprints import agree_on_data, moved, settings_of
from kantor.study.resume.folder import locked
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.ranked_teachers import chosen_teachers
from kantor.study.settings.starting_weights import with_student
from kantor.study.settings.study import Study
from kantor.study.teachers.find import open_study_data, study_methods, study_views
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
    trust.wrote(config.codes())
    config = resolved(config)
    trust.keep(config.folder(), config.codes())
    return finish(config, console, report)


def finish(config: Study, console: Console | None = None, report: Callable[[Path], None] = unreported) -> Path:
    """:func:`run_study` of settings that are :func:`resolved`, and that may come from a file: of the code that they
    name no more is imported than a file may ask for (:mod:`kantor.core.trust`).
    """
    trust.check(*config.codes())
    study_methods(config)  # a typo is an error before the run has a folder
    study_views(config)
    console = console or terminal()
    with joined_processes(config.device == "cpu"):
        main = rank() == 0
        run = claim(config) if main else config.folder()
        wait_for_all()
        with Display(console if main else Console(quiet=True)) as display:
            # Every process checks and trains teachers together; the main one alone prints and writes.
            with locked(run) if main else contextlib.nullcontext():
                if main:
                    remove_partial(run, below=False)
                if elsewhere := moved(run):
                    display.say(elsewhere)
                data = open_study_data(config)
                agree_on_data(run, data)
                methods, facts = prepare(config, data, run, display.say, display.stage)
                make_stores(config.trackers if main else None, run)
            # Students that train here share the data; workers open it themselves, and this copy goes.
            alone = world_size() > 1 or jobs_for(config, Prepared.read(run).threads) == 1
            bench = Workbench(run, data) if alone else None
            del data
            if config.tune:
                facts["tuning"] = tune(run, config, methods, display, bench)
            try:
                tasks = [Job(m, seed) for seed in config.seed_list() for m in methods]
                train_all(run, tasks, config, display, bench)
            except BaseException:
                if main:
                    with contextlib.suppress(Exception):  # what failed first is what is said
                        summarise(run, config, methods, facts)
                        report(run)
                raise
        if main:
            summary = summarise(run, config, methods, facts)
            console.print()
            console.print(table(summary))
            for warning in warnings(summary["methods"]):
                console.print(warning, style="bold red", highlight=False, markup=False)
            if config.task == "none":
                console.print("Without labels students have no accuracy: kantor probe judges the features.")
            for teacher in summary.get("teachers", []):
                console.print(f"The teacher ({teacher['name']}) saw {teacher['saw']}.", highlight=False)
            console.print(f"The run is in {run}", highlight=False, soft_wrap=True)
    if main:
        report(run)
    return run


def resolved(config: Study) -> Study:
    """The settings, checked, with the teachers of a ranking and the student's architecture in their places.

    Raises:
        KantorError: something cannot be meant, or not be read.
    """
    config = with_student(chosen_teachers(config))
    config.check()
    return config


def resume(run: Path, console: Console | None = None, report: Callable[[Path], None] = unreported) -> Path:
    """Finish whatever is unfinished in a run's folder; see :func:`run_study`.

    Raises:
        ConfigError: the folder holds no run.
    """
    config = settings_of(run)
    config.out = str(run)
    return finish(resolved(config), console, report)
