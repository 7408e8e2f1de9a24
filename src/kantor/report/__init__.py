"""A run's folder -> a self-contained page, or a live view. Reads files only, never live objects."""

from kantor.report.watch import watch
from kantor.report.write import write

__all__ = ["watch", "write"]
