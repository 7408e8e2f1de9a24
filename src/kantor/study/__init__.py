"""Methods x seeds on one data set, compared with statistics."""

from kantor.core.terminal import terminal
from kantor.study.run import resume, run_study
from kantor.study.settings.study import Study
from kantor.study.sweep import resume_sweep, run_sweep

__all__ = ["Study", "resume", "resume_sweep", "run_study", "run_sweep", "terminal"]
