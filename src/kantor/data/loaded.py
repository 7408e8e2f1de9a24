"""What any loader yields, as a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kantor.core.errors import DataError
from kantor.data.batch import Batch
from kantor.data.views import ROLES

_TARGETS = ("targets", "target", "labels", "label", "y")
_IDS = ("ids", "id", "index", "indices")
_HOW = (
    "A batch is (inputs, targets), a mapping with inputs and labels, or "
    "kantor.Batch({'student': inputs, 'teacher': inputs}, targets, ids)"
)


def as_batch(given: Any) -> Batch:
    """A batch from what a loader yields.

    Args:
        given: a :class:`Batch`, which is returned as it is; inputs alone; ``(inputs, targets)``; or a mapping with
            ``labels`` or ``targets`` (also ``label``, ``target``, ``y``), perhaps ``ids``, and inputs: one tensor under
            any name, or one for each role (``student``, ``teacher``, a teacher's name). In the place of inputs a pair
            may hold such a mapping from roles too. Samples without ids cannot serve losses with a memory.

    Raises:
        DataError: it is something else; says what a batch looks like.
    """
    if isinstance(given, Batch):
        return given
    if isinstance(given, Tensor):
        return Batch(_by_role(given))
    if isinstance(given, tuple | list) and len(given) in (1, 2):
        return _checked(_by_role(given[0]), given[1] if len(given) == 2 else None, None)
    if isinstance(given, Mapping):
        targets, ids = (_only(given, names) for names in (_TARGETS, _IDS))
        rest = {key: x for key, x in given.items() if key not in (*_TARGETS, *_IDS)}
        return _checked(_by_role(rest), targets, ids)
    many = f" of {len(given)}" if isinstance(given, tuple | list) else ""
    raise DataError(f"A {type(given).__name__}{many} is no batch. {_HOW}.")


def _by_role(inputs: Any) -> dict[str, Tensor]:
    if isinstance(inputs, Tensor):
        return dict.fromkeys(ROLES, inputs)
    if not isinstance(inputs, Mapping) or not all(isinstance(x, Tensor) for x in inputs.values()):
        kind = (
            f"a mapping of {', '.join(f'{key} ({type(x).__name__})' for key, x in inputs.items())}"
            if isinstance(inputs, Mapping)
            else f"a {type(inputs).__name__}"
        )
        raise DataError(f"The batch's inputs are {kind}, and must be tensors. {_HOW}.")
    if "student" in inputs:
        return {"teacher": inputs["student"], **inputs} if len(inputs) == 1 else dict(inputs)
    if len(inputs) == 1:
        return dict.fromkeys(ROLES, next(iter(inputs.values())))
    raise DataError(
        f"The batch holds {', '.join(map(str, inputs)) or 'nothing'}, and one input is read, or one for each role: say "
        f"which the student sees, and which the teacher. {_HOW}."
    )


def _only(given: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = [name for name in names if given.get(name) is not None]
    if len(found) > 1:
        raise DataError(f"The batch holds {' and '.join(found)}: leave one of them out. {_HOW}.")
    return given[found[0]] if found else None


def _checked(inputs: dict[str, Tensor], targets: Any, ids: Any) -> Batch:
    samples = len(next(iter(inputs.values())))
    for what, x in (("targets", targets), ("ids", ids)):
        if x is not None and not isinstance(x, Tensor | np.ndarray | list | tuple):
            raise DataError(f"The batch's {what} are a {type(x).__name__}, and must be a tensor. {_HOW}.")
    try:
        targets, ids = (None if x is None else torch.as_tensor(x) for x in (targets, ids))
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"The batch's targets or ids are no numbers ({error}). {_HOW}.") from None
    # Some samples may come without a target; of ids there is one for each.
    if any(len(x) != samples for x in inputs.values()) or (ids is not None and ids.shape != (samples,)):
        sizes = {role: len(x) for role, x in inputs.items()} | ({} if ids is None else {"ids": list(ids.shape)})
        raise DataError(f"The batch's parts have other lengths: {sizes}. {_HOW}.")
    return Batch(inputs, targets, ids)
