"""Checkpoints: everything a run needs to go on bitwise as if it had never stopped."""

import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.core.files import write_with


@dataclass
class Position:
    """Where training stands. Order, augmentation and dropout are functions of it, so no generator state is kept."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    """Running sums of this epoch's metrics."""
    accuracy: float = -1.0
    """On the validation part, at the last look; that of the last epoch once it is over."""
    best_accuracy: float = -1.0
    best_epoch: int = -1
    since: int = 0
    """The first of the epochs at chance that lasted until now; 0 for none (:mod:`kantor.training.collapse`)."""
    first_loss: float | None = None
    """Mean task loss of the first epoch."""
    last_loss: float | None = None
    """The same of the last one."""
    metrics_bytes: int = 0
    """How much of metrics.jsonl had been written; what a killed run wrote after that is cut."""


def save(path: Path, position: Position, state: dict[str, Any], run: str) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the file.
        position: where training stands.
        state: state dictionaries (objective, optimiser, gradient scaler), by name.
        run: digest of what is being trained, so that another run's checkpoint is not taken for this one's.
    """
    content = {"run": run, "position": asdict(position), **state}
    # Through a buffer: torch.save writes the target's file name into the archive, which would differ each time.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_with(path, lambda file: file.write(buffer.getbuffer()))


def load(path: Path, run: str) -> tuple[Position, dict[str, Any]] | None:
    """The checkpoint at ``path``, on the CPU, or None if there is none.

    Raises:
        ConfigError: the file cannot be read, or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(
            f"The checkpoint {path} cannot be read ({error}). Delete it to train this seed from its start."
        ) from error
    if content.pop("run") != run:
        raise ConfigError(f"The checkpoint {path} was written with other settings. Give another --out, or delete it.")
    known = {f.name for f in fields(Position)}
    position = Position(**{key: value for key, value in content.pop("position").items() if key in known})
    return position, content


def clone_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a state dictionary on the CPU."""
    return {key: value.detach().cpu().clone() for key, value in state.items()}
