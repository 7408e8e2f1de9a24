"""The door for programs: a study in one call, with objects where the command line takes names."""

from kantor.in_python.call import study
from kantor.in_python.comparison import Comparison
from kantor.in_python.taking_out import export

__all__ = ["Comparison", "export", "study"]
