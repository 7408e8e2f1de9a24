"""Lets the tests of this folder share cases.py, however pytest is started."""

import sys
from pathlib import Path

root = str(Path(__file__).parents[2])
if root not in sys.path:
    sys.path.insert(0, root)
