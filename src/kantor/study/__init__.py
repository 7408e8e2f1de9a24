"""Methods x seeds on one data set, compared with statistics."""

from kantor.study.config import Study
from kantor.study.run import resume, run_study, terminal

__all__ = ["Study", "resume", "run_study", "terminal"]
