"""A study from its settings to its table."""

from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from kantor.core.collectives import rank, wait_for_all
from kantor.study.chosen import chosen_teachers
from kantor.study.config import Study
from kantor.study.execute import train_all
from kantor.study.folder import Task, claim, locked
from kantor.study.prepare import prepare
from kantor.study.progress import Display
from kantor.study.start import with_student
from kantor.study.summary import summarise, table
from kantor.study.teachers import study_methods
from kantor.study.tuning import tune
from kantor.training.processes import joined_processes


def run_study(config: Study, console: Console | None = None) -> Path:
    """Train every method with every seed, compare them, and print the table. The same call again goes on.

    Args:
        config: what to do.
        console: where to print; standard output if left out.

    Returns:
        The run's folder.

    Raises:
        KantorError: what cannot be done, before hours are spent where that is possible.
    """
    config = resolved(config)
    methods = study_methods(config)
    console = console or terminal()
    with joined_processes(config.device == "cpu"):
        main = rank() == 0
        run = claim(config) if main else config.folder()
        wait_for_all()
        with Display(console if main else Console(quiet=True)) as display:
            # Every process checks and trains teachers together; the main one alone prints and writes.
            with locked(run) if main else nullcontext():
                facts = prepare(config, run, display.say, display.stage)
            if config.tune:
                facts["tuning"] = tune(run, config, methods, display)
            try:
                train_all(run, [Task(m, seed) for seed in config.seed_list() for m in methods], config, display)
            finally:
                summary = summarise(run, config, methods, facts) if main else {}
        if main:
            console.print()
            console.print(table(summary))
            for teacher in summary.get("teachers", []):
                console.print(f"The teacher ({teacher['name']}) saw {teacher['saw']}.", highlight=False)
            console.print(f"The run is in {run}", highlight=False, soft_wrap=True)
    return run


def resolved(config: Study) -> Study:
    """The settings, checked, with the teachers of a ranking and the student's architecture in their places.

    Raises:
        KantorError: something cannot be meant, or not be read.
    """
    config = with_student(chosen_teachers(config))
    config.check()
    return config


def terminal() -> Console:
    """Standard output; wide enough for the table where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def resume(run: Path, console: Console | None = None) -> Path:
    """Finish whatever is unfinished in a run's folder.

    Raises:
        ConfigError: the folder holds no run.
    """
    config = Study.from_yaml(run / "config.yaml")
    config.out = str(run)
    return run_study(config, console)
