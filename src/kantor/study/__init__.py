"""Methods x seeds on one data set, compared with statistics."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from kantor.core.terminal import terminal
from kantor.study.run import resume, run_study
from kantor.study.settings.study import Study
from kantor.study.sweep import resume_sweep, run_sweep

__all__ = ["Study", "resume", "resume_sweep", "run_study", "run_sweep", "terminal"]


class _Door(ModuleType):
    """The package, which a program also calls: :func:`kantor.in_python.study`, whose room lies above this one."""

    def __call__(self, **given: Any) -> Any:
        return import_module("kantor.in_python").study(**given)


sys.modules[__name__].__class__ = _Door
