"""Write a report: one page for one run, ranking or comparison, or for several runs side by side."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from kantor.core.errors import ConfigError, DataError
from kantor.core.files import write_text
from kantor.report.analysis import write_analysis
from kantor.report.comparison import write_comparison
from kantor.report.page import render
from kantor.report.pictures import pictures
from kantor.report.plans import LEVELS, Packed, cells, pack_plans
from kantor.report.ranking import write_ranking
from kantor.report.run import Run, read_run

LARGEST = 9_000_000
"""Characters that plans may take, so that a page stays well under 15 MB."""
LARGEST_PICTURES = 3_000_000
"""Characters that thumbnails may take."""
MOST_CELLS = 60_000_000
"""Masses that are packed at most: reading and packing them takes some ten seconds."""
OTHERS = {"ranking.json": write_ranking, "compare.json": write_comparison}
"""What a folder may hold in the place of a run, by the file that says so."""


def write(run: Path | Sequence[Path], output: Path | None = None) -> Path:
    """Write a folder's page from its files: it opens from disk, without a network.

    A run that was analysed also gets its ``analysis.html`` anew, which the page links to.

    Args:
        run: the folder of a run, of a ranking or of a comparison; or several runs', whose results are put side by side.
        output: the page; ``report.html`` in the run's folder if left out, beside the first of several.

    Returns:
        The page's path.

    Raises:
        ConfigError: a folder holds no run, or several are given and one is no run.
        DataError: a file in it is damaged.
        KantorError: the page cannot be written.
    """
    folders = [run] if isinstance(run, Path) else list(run)
    if not folders:
        raise ConfigError("No run is given. Name the folder of one, for example runs/demo.")
    try:
        return _write(folders, output)
    except (LookupError, TypeError, AttributeError, ValueError, jinja2.UndefinedError) as error:
        # A page shows hundreds of entries of its files; where one is gone or of another kind, the file is damaged.
        raise DataError(
            f"{', '.join(map(str, folders))}: the page cannot be made, since a file lacks something that it shows, or "
            f"holds something else in its place ({type(error).__name__}: {error}). Undo what was changed there, or "
            "write it anew."
        ) from error


def _write(folders: list[Path], output: Path | None) -> Path:
    if len(folders) == 1 and not (folders[0] / "config.yaml").exists():
        for name, write_other in OTHERS.items():
            if (folders[0] / name).exists():
                return write_other(folders[0], output)
    if output is None:
        output = (folders[0] if len(folders) == 1 else folders[0].parent) / "report.html"
    runs = [read_run(folder) for folder in folders]
    for folder in folders:
        if (folder / "analysis.json").exists():
            write_analysis(folder)
    write_text(output, render(runs, fitting(runs, LARGEST), pictures(runs, LARGEST_PICTURES), output.parent))
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
