"""Runs a script as ``python SCRIPT`` does, with torchvision importable beside a CPU build of torch."""

import importlib.util
import runpy
import sys

from tests.torchvision_operators import define

if importlib.util.find_spec("torchvision") is not None:
    define()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
