"""Write a report: one page for one run, or for several side by side."""

from collections.abc import Sequence
from pathlib import Path

from kantor.core.errors import ConfigError
from kantor.core.files import write_text
from kantor.report.page import render
from kantor.report.pictures import pictures
from kantor.report.plans import LEVELS, Packed, cells, pack_plans
from kantor.report.run import Run, read_run

LARGEST = 9_000_000
"""Characters that plans may take, so that a page stays well under 15 MB."""
LARGEST_PICTURES = 3_000_000
"""Characters that thumbnails may take."""
MOST_CELLS = 60_000_000
"""Masses that are packed at most: reading and packing them takes some ten seconds."""


def write(run: Path | Sequence[Path], output: Path | None = None) -> Path:
    """Write a run's page from its files: it opens from disk, without a network.

    Args:
        run: a run's folder, or several, whose results are put side by side.
        output: the page; ``report.html`` in the run's folder if left out, beside the first of several.

    Returns:
        The page's path.

    Raises:
        ConfigError: a folder holds no run.
        KantorError: the page cannot be written.
    """
    folders = [run] if isinstance(run, Path) else list(run)
    if not folders:
        raise ConfigError("No run is given. Name the folder of one, for example runs/demo.")
    if output is None:
        output = (folders[0] if len(folders) == 1 else folders[0].parent) / "report.html"
    runs = [read_run(folder) for folder in folders]
    write_text(output, render(runs, fitting(runs, LARGEST), pictures(runs, LARGEST_PICTURES)))
    return output


def fitting(runs: Sequence[Run], largest: int) -> list[Packed | None]:
    """The recorded plans of ``runs``, at the first level of detail at which they take ``largest`` characters or fewer.

    Nothing is packed of plans that are too large at every level.
    """
    for level in LEVELS:
        if sum(cells(run, level) for run in runs) > MOST_CELLS:
            continue
        packed = [pack_plans(run, level) for run in runs]
        if sum(p.size for p in packed if p is not None) <= largest:
            return packed
    return [None for _ in runs]
