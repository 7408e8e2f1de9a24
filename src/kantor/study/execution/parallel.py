"""How many students train at once, and on how many threads each."""

from pathlib import Path

from kantor.core.cores import cores
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.study import Study

SMALL = 5e7
"""Multiply-adds a sample below which two threads cost more than they give (measured on ResNet-8 to ResNet-56)."""


def threads_for(config: Study, run: Path, work: float, students: int) -> int:
    """Threads of each student: as asked for, or as the run began with, since the last digits depend on them.

    Args:
        config: the study's settings.
        run: its folder.
        work: multiply-adds of one sample.
        students: how many there are to train.
    """
    if config.threads or (run / "plan.json").exists():
        return config.threads or Prepared.read(run).threads
    return 1 if work < SMALL else max(1, cores() // (config.jobs or min(cores(), students)))


def jobs_for(config: Study, threads: int) -> int:
    """How many students train at once: as asked for, else as many as the cores carry with so many threads each."""
    return config.jobs or max(1, cores() // threads)
