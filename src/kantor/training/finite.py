"""What became NaN or infinite, by name, before it is written anywhere."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from kantor.core.errors import NonFiniteError
from kantor.core.inputs import finite_rows
from kantor.data import Batch
from kantor.objective import Objective, Result
from kantor.objective.outputs import teacher_outputs
from kantor.objective.teachers import faults, some_ids


def check_loss(values: dict[str, float], result: Result, objective: Objective, batch: Batch, last: Path) -> None:
    """Refuse a loss that is not finite.

    Args:
        values: loss and terms of the global batch.
        result: the objective's, of this process's share.
        objective: what was asked.
        batch: what it was asked of.
        last: the last checkpoint.

    Raises:
        NonFiniteError: names the terms, the samples, and the teacher where it is one's outputs.
    """
    if math.isfinite(values["loss"]):
        return
    bad = [name for name in result.terms if not math.isfinite(values[name])] or ["the weighted sum"]
    rows = ~finite_rows(result.logits)
    for inputs in batch.inputs.values():
        rows |= ~finite_rows(inputs)
    where = "at" if bool(rows.any()) else "somewhere among"
    ids = some_ids(batch.ids, rows if bool(rows.any()) else torch.ones_like(rows))
    said = f"The loss is {values['loss']}: {', '.join(bad)} is not finite, {where} sample ids {ids}."
    raise explained(NonFiniteError(said), objective, batch, last)


def explained(error: NonFiniteError, objective: Objective, batch: Batch, last: Path) -> NonFiniteError:
    """The error with the teacher whose outputs are not finite, where it is one, and with what to do."""
    found = faults(teacher_outputs(objective.teachers, objective.bound, batch), batch.ids)
    if found:
        return NonFiniteError(f"{error} {' '.join(found)} {_stays(last)} Check that teacher, or its data.")
    return NonFiniteError(f"{error} {_stays(last)} {_REMEDY}")


def check_gradient(norm: Tensor | None, step: int, last: Path) -> None:
    """Refuse a gradient whose norm is not finite: clipped to zero, it would leave the student standing without a word.

    Args:
        norm: before clipping; None where nothing was clipped.
        step: how many steps the student has trained.
        last: the last checkpoint.

    Raises:
        NonFiniteError: the norm is NaN or infinite.
    """
    if norm is not None and not bool(torch.isfinite(norm)):
        raise NonFiniteError(
            f"At step {step + 1} the gradient's norm is {float(norm)}, more than its precision holds. "
            f"{_stays(last)} {_REMEDY}"
        )


def check_weights(student: nn.Module, step: int, last: Path) -> None:
    """Refuse a student with weights that are not finite, before it is validated or saved.

    Args:
        student: the network.
        step: how many steps it has trained.
        last: the last checkpoint.

    Raises:
        NonFiniteError: names the weights.
    """
    known = dict(student.named_parameters())
    finite = torch.stack([x.detach().isfinite().all() for x in known.values()]).tolist()  # a GPU waits once
    bad = [name for name, good in zip(known, finite, strict=True) if not good]
    if bad:
        some = f"{', '.join(bad[:3])}{', ...' if len(bad) > 3 else ''}"
        raise NonFiniteError(
            f"After step {step} {len(bad)} of the student's {len(known)} weights are not finite ({some}): training has "
            f"diverged. {_stays(last)} {_REMEDY}"
        )


@contextlib.contextmanager
def looked_at(step: int, last: Path) -> Iterator[None]:
    """Add to what is not finite when a student is looked at, at which step that was and what to do."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"After step {step}: {error} {_stays(last)} {_REMEDY}") from error


_REMEDY = "Lower lr or the term's weight, or set clip."


def _stays(last: Path) -> str:
    return f"The last good checkpoint stays in {last}."
