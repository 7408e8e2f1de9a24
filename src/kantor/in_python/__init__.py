"""The door for programs: a study in one call, with objects where the command line takes names."""

from kantor.in_python.call import study
from kantor.in_python.comparison import Comparison

__all__ = ["Comparison", "study"]
