"""A run's folder -> a self-contained page, or a live view. Reads files only, never live objects."""

from kantor.report.analysis import write_analysis
from kantor.report.comparison import write_comparison
from kantor.report.ranking import write_ranking
from kantor.report.watch import watch
from kantor.report.write import write

__all__ = ["watch", "write", "write_analysis", "write_comparison", "write_ranking"]
