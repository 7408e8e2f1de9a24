"""The format of a run's folder: its number, in ``began.json``, and how whoever reads a run asks for it."""

from pathlib import Path
from typing import Any

from kantor.core.errors import ConfigError
from kantor.core.reading import check_shape, read_json, read_yaml
from kantor.results.files import BEGAN
from kantor.results.records import Began
from kantor.training.config import LACKED

FORMAT = 4
"""Of the folders that this version writes.

1. Until November 2026, with ``began.json`` or without. ``config.yaml`` lacks the settings that came meanwhile
   (``LACKED`` of the training settings), and the terms in ``plan.json`` say neither loss nor settings.
2. ``config.yaml`` and ``began.json`` hold every setting, and ``plan.json`` terms that are made from what it says. The
   samples that plans are recorded on lie in ``probe.npz``.
3. They lie in ``plan-samples.npz``.
4. ``config.yaml`` says ``top_logits``, and ``plan.json`` the type of what is cached.

What is read is always of this format: :func:`read_settings` adds what an earlier one lacks,
:func:`~kantor.results.files.plan_samples_file` finds a file under its earlier name, and a run that goes on is written
anew as its parts are (settings as it begins, ``plan.json`` at step 0).
"""


def read_began(run: Path) -> dict[str, Any]:
    """What the run began with; empty where an early version kept nothing.

    Raises:
        ConfigError: a later version made the run; says of which format it is, and what to do.
        DataError: the file is damaged.
    """
    remedy = "Bring it back from a copy; or delete it, and the run is taken as it is found."
    content = read_json(run / BEGAN, dict[str, Any], remedy)
    number = _number(content)
    if isinstance(number, int) and number > FORMAT:  # before its shape, which may be another one
        raise ConfigError(
            f"{run} is a run's folder of format {number}, and this version of kantor reads formats up to {FORMAT}. Use "
            "the version that made it, which its environment.json names, or a later one; nothing was changed."
        )
    return check_shape(content, Began, str(run / BEGAN), remedy)


def read_settings(run: Path, remedy: str) -> dict[str, Any]:
    """What a run's ``config.yaml`` says, and what an earlier format leaves unsaid.

    Args:
        run: its folder.
        remedy: what to do where the file was damaged, a sentence.

    Raises:
        ConfigError: there is no such file; or see :func:`read_began`.
        DataError: it is no YAML.
    """
    path = run / "config.yaml"
    if not path.exists():
        raise ConfigError(f"{run} holds no run: there is no {path.name} in it.")
    number = _number(read_began(run))
    content = read_yaml(path, dict[str, Any], remedy)
    for earlier in range(number, FORMAT):
        content = LACKED[earlier] | content
    return content


def _number(began: dict[str, Any]) -> int:
    return began.get("format", 1)  # early versions wrote none
