"""Checkpoints: everything a run needs to go on bitwise as if it had never stopped."""

import hashlib
import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.core.files import write_with

_SEAL = b"\nkantor-sha256:"
_RENAMED = {"accuracy": "reached", "best_accuracy": "best"}
"""What checkpoints were called in that were written when accuracy was the only metric."""
_SEALED = len(_SEAL) + 64


@dataclass
class Position:
    """Where training stands. Order, augmentation and dropout are functions of it, so no generator state is kept."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    """Running sums of this epoch's metrics."""
    counts: dict[str, Tensor] = field(default_factory=dict)
    """Of every metric of the task, what its sums over this epoch's batches are."""
    reached: float | None = None
    """The task's metric on the validation part, at the last look; that of the last epoch once it is over."""
    best: float | None = None
    best_epoch: int = -1
    since: int = 0
    """The first of the epochs at chance that lasted until now; 0 for none (:mod:`kantor.training.collapse`)."""
    first_loss: float | None = None
    """Mean task loss of the first epoch."""
    last_loss: float | None = None
    """The same of the last one."""
    metrics_bytes: int = 0
    """How much of metrics.jsonl had been written; what a killed run wrote after that is cut."""
    metrics_digest: str = ""
    """SHA-256 of that much of it."""


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
    # Behind the archive, where torch does not look: it reads flipped bits as other numbers.
    buffer.write(_SEAL + hashlib.sha256(buffer.getbuffer()).hexdigest().encode())
    write_with(path, lambda file: file.write(buffer.getbuffer()))


def load(path: Path, run: str) -> tuple[Position, dict[str, Any]] | None:
    """The checkpoint at ``path``, on the CPU, or None if there is none.

    Raises:
        ConfigError: the file cannot be read, or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        raw = path.read_bytes()
        body, sealed = raw[:-_SEALED], raw[-_SEALED:]
        if sealed != _SEAL + hashlib.sha256(body).hexdigest().encode():
            raise ConfigError("it is damaged or cut short, or an older version wrote it: its checksum does not fit")
        content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(f"The checkpoint {path} cannot be read: {error}. {anew(path)}") from error
    if content.pop("run") != run:
        raise ConfigError(f"The checkpoint {path} was written with other settings. {anew(path)}")
    known = {f.name for f in fields(Position)}
    restored = {_RENAMED.get(key, key): value for key, value in content.pop("position").items()}
    if "accuracy" in restored["sums"]:  # from the middle of an epoch, when it was summed as a mean a batch
        restored["counts"] = {"accuracy": torch.tensor([restored["sums"].pop("accuracy"), restored["sums"]["samples"]])}
    return Position(**{key: value for key, value in restored.items() if key in known}), content


def required(path: Path, run: str) -> dict[str, Any]:
    """The state in the checkpoint at ``path``, which another one says is there.

    Raises:
        ConfigError: it is missing; see also :func:`load`.
    """
    found = load(path, run)
    if found is None:
        raise ConfigError(
            f"The checkpoint {path} is missing, which {path.with_name('last.pt')} goes with. {anew(path)}"
        )
    return found[1]


def anew(path: Path) -> str:
    """What to do where a checkpoint cannot be used, a sentence."""
    return f"Delete {path.parent.parent} to train this seed from its start."


def clone_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a state dictionary on the CPU."""
    return {key: value.detach().cpu().clone() for key, value in state.items()}
