"""Live dashboards: TensorBoard, Weights & Biases and MLflow are told what ``metrics.jsonl`` is told."""

import dataclasses
import importlib
import importlib.util
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from accelerate.utils import ProjectConfiguration

from kantor.core.errors import ConfigError, suggest

if TYPE_CHECKING:
    from accelerate import Accelerator

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "mlflow": ("mlflow",)}
"""What each needs: any one of its packages."""


def tracker_names(given: str | None) -> list[str]:
    """The trackers asked for.

    Args:
        given: names separated by commas; None for none.

    Raises:
        ConfigError: an unknown name, or its package is not installed.
    """
    names = [name.strip() for name in given.split(",")] if given else []
    for name in names:
        if name not in PACKAGES:
            raise ConfigError(f"There is no tracker {name!r}. {suggest(name, PACKAGES)}")
        if not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
            raise ConfigError(f"The tracker {name} is not installed: pip install {PACKAGES[name][0]}.")
    return names


def accelerator_settings(given: str | None, folder: Path) -> dict[str, Any]:
    """Arguments of the Accelerator that will track; what trackers keep on disk is in ``folder/trackers``."""
    names = tracker_names(given)
    if not names:
        return {}
    place = ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "trackers"))
    return {"log_with": names, "project_config": place}


def make_stores(given: str | None, run: Path) -> None:
    """Make what students that train side by side would trip over making: MLflow's tables and the run's experiment.

    Args:
        given: names separated by commas; None for none.
        run: the run's folder.
    """
    if "mlflow" in tracker_names(given):
        importlib.import_module("mlflow").set_experiment(run.resolve().name)


class Trackers:
    """Open while a student trains; silent where no tracker is asked for, and on all processes but the main one.

    Args:
        accelerator: made with :func:`accelerator_settings`.
        folder: the student's, ``RUN/METHOD/seed-K``: project RUN, run METHOD/seed-K.
        settings: a dataclass; its plain values are shown with the run.
    """

    def __init__(self, accelerator: "Accelerator", folder: Path, settings: Any) -> None:
        self._accelerator = accelerator
        self._folder = folder
        self._settings = settings

    def __enter__(self) -> "Trackers":
        if self._accelerator.log_with:
            place = self._folder.resolve()
            name = f"{place.parent.name}/{place.name}"
            plain = {
                key: value
                for key, value in dataclasses.asdict(self._settings).items()
                if isinstance(value, bool | int | float | str)
            }
            self._accelerator.init_trackers(
                place.parent.parent.name,
                plain,
                {"wandb": {"name": name, "dir": str(place)}, "mlflow": {"run_name": name}},
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not Accelerator.end_training: it would part the processes too.
        for tracker in self._accelerator.trackers:
            tracker.finish()

    def log(self, line: dict[str, Any]) -> None:
        """Pass on a line of metrics, at its step."""
        self._accelerator.log({key: value for key, value in line.items() if key != "step"}, step=line["step"])
