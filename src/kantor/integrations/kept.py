"""What an objective holds beside the student: what a trainer's own checkpoint lacks."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from kantor.core.errors import DataError
from kantor.models.weights import read_weights, write_weights
from kantor.objective import Objective, Weight

_STUDENT = "student."


def losses_state(objective: Objective) -> dict[str, Tensor]:
    """The tensors of losses and limits, by their names in the objective's state dict."""
    return {name: x for name, x in objective.state_dict().items() if not name.startswith(_STUDENT)}


def load_losses_state(objective: Objective, state: Mapping[str, Tensor], source: str) -> None:
    """Take up what :func:`losses_state` gave; the student stays as it is.

    Args:
        objective: after its check.
        state: the tensors.
        source: where they come from, for the message.

    Raises:
        DataError: they are of other losses.
    """
    own = losses_state(objective)
    wrong = sorted(set(own) ^ set(state)) or [name for name in own if own[name].shape != state[name].shape]
    if wrong:
        raise DataError(
            f"{source} is of another method: in one of them alone, or of another shape, are {', '.join(wrong[:4])}. "
            "Resume with the method, teachers and layers that the run began with."
        )
    student = {name: x for name, x in objective.state_dict().items() if name.startswith(_STUDENT)}
    objective.load_state_dict({**student, **state})


def write_losses(path: Path, objective: Objective) -> None:
    """Write what losses and limits hold, and the weights that step 0 found, atomically.

    Raises:
        KantorError: the disk is full, or the folder cannot be written.
    """
    write_weights(path, losses_state(objective), {"weights": found_weights(objective)})


def read_losses(path: Path, objective: Objective) -> None:
    """Take up what :func:`write_losses` wrote.

    Raises:
        DataError: there is no such file, it is damaged, or it is of another method.
    """
    if not path.exists():
        raise DataError(
            f"{path.parent} has no {path.name}, which holds what losses keep: it is no checkpoint of a distillation. "
            "Give the checkpoint of one, or load its weights into the student and start anew."
        )
    state, known = read_weights(path)
    load_losses_state(objective, state, str(path))
    take_weights(objective, known.get("weights", {}))


def found_weights(objective: Objective) -> dict[str, Any]:
    """The terms' weights, as JSON holds them: those that step 0 found cannot be found again of a trained student."""
    return {bound.name: asdict(bound.weight) for bound in objective.bound}


def take_weights(objective: Objective, weights: Mapping[str, Any]) -> None:
    """Give the terms whose weights step 0 finds those that :func:`found_weights` told of."""
    objective.bound = [
        replace(b, weight=Weight(**weights[b.name])) if b.balance is not None and b.name in weights else b
        for b in objective.bound
    ]
