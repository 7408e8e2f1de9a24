"""What any loader yields, as a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kantor.core.errors import DataError, ShapeError
from kantor.core.inputs import Inputs, samples_in
from kantor.data.batch import Batch
from kantor.data.views import ROLES

_TARGETS = ("targets", "target", "labels", "label", "y")
_IDS = ("ids", "id", "index", "indices")
_HOW = (
    "A batch is (inputs, targets), a mapping with inputs and labels, or "
    "kantor.Batch({'student': inputs, 'teacher': inputs}, targets, ids)"
)


def as_batch(*given: Any, **named: Any) -> Batch:
    """A batch from what a loader yields, or from what a module is called with.

    ``as_batch(batch)``, ``as_batch(inputs, targets)`` and ``as_batch(input_ids=..., labels=...)`` are all read.

    Args:
        given: a :class:`Batch`, which is returned as it is; inputs alone; ``(inputs, targets)``, as one pair or as two
            arguments; or a mapping with ``labels`` or ``targets`` (also ``label``, ``target``, ``y``), perhaps ``ids``,
            and inputs. Inputs are one tensor under any name; several tensors, which every network takes as keyword
            arguments under their names; or one of either for each role (``student``, ``teacher``, a teacher's name).
            In the place of inputs a pair may hold such a mapping too. Samples without ids cannot serve losses with a
            memory.
        named: the entries of such a mapping; beside inputs in ``given`` the targets and ids alone.

    Raises:
        DataError: it is something else, which says what a batch looks like; or it holds no sample.
    """
    batch = _called(given, named) if named else _loaded(given[0] if len(given) == 1 else given)
    if len(batch) == 0:
        raise DataError("The batch holds no sample, of which nothing can be said: leave it out.")
    return batch


def _called(given: Sequence[Any], named: dict[str, Any]) -> Batch:
    if not given:
        return _loaded(named["batch"] if set(named) == {"batch"} else named)
    beside = [name for name in named if name not in (*_TARGETS, *_IDS)]
    if len(given) > 1 or beside or isinstance(given[0], Batch):
        raise DataError(
            f"Called with {len(given)} arguments and {', '.join(named)}: beside inputs only targets and ids have names."
            f" {_HOW}."
        )
    return _loaded({"inputs": given[0], **named})


def _loaded(given: Any) -> Batch:
    if isinstance(given, Batch):
        return given
    if isinstance(given, Tensor):
        return Batch(_by_role(given))
    if isinstance(given, tuple | list) and len(given) in (1, 2):
        return _checked(_by_role(given[0]), given[1] if len(given) == 2 else None, None)
    if isinstance(given, Mapping):
        targets, ids = (_only(given, names) for names in (_TARGETS, _IDS))
        rest = {key: x for key, x in given.items() if key not in (*_TARGETS, *_IDS) and x is not None}
        return _checked(_by_role(rest), targets, ids)
    many = f" of {len(given)}" if isinstance(given, tuple | list) else ""
    raise DataError(f"A {type(given).__name__}{many} is no batch. {_HOW}.")


def _by_role(inputs: Any) -> dict[str, Inputs]:
    if isinstance(inputs, Tensor):
        return dict.fromkeys(ROLES, _padded(inputs, "the input"))
    if not isinstance(inputs, Mapping):
        raise DataError(f"The batch's inputs are a {type(inputs).__name__}, and must be tensors. {_HOW}.")
    if not inputs:
        raise DataError(f"The batch holds nothing that a network sees. {_HOW}.")
    if "student" in inputs:
        roles = {str(role): _one(given, f"what {role} sees") for role, given in inputs.items()}
        return {"teacher": roles["student"], **roles} if len(roles) == 1 else roles
    if len(inputs) == 1:
        (only,) = inputs.values()
        return _by_role(only) if isinstance(only, Mapping) else dict.fromkeys(ROLES, _one(only, "the inputs"))
    return dict.fromkeys(ROLES, _one(inputs, "the inputs"))


def _one(given: Any, what: str) -> Inputs:
    """One role's input."""
    if isinstance(given, Tensor):
        return _padded(given, what)
    if isinstance(given, Mapping) and given and all(isinstance(x, Tensor) for x in given.values()):
        return {name: _padded(x, f"{what}, {name}") for name, x in given.items()}
    kind = f"a {type(given).__name__}"
    if isinstance(given, Mapping):
        kind = f"a mapping of {', '.join(f'{key} ({type(x).__name__})' for key, x in given.items()) or 'nothing'}"
    raise DataError(f"Of the batch {what} must be tensors, and are {kind}. {_HOW}.")


def _padded(x: Tensor, what: str) -> Tensor:
    if x.is_nested:
        raise DataError(
            f"Of the batch {what} is a nested tensor, which is not read: layers are compared at positions that every "
            "sample has. Pad it (torch.nested.to_padded_tensor), and give an attention_mask beside it."
        )
    return x


def _only(given: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = [name for name in names if given.get(name) is not None]
    if len(found) > 1:
        raise DataError(f"The batch holds {' and '.join(found)}: leave one of them out. {_HOW}.")
    return given[found[0]] if found else None


def _checked(inputs: dict[str, Inputs], targets: Any, ids: Any) -> Batch:
    for what, x in (("targets", targets), ("ids", ids)):
        if x is not None and not isinstance(x, Tensor | np.ndarray | list | tuple):
            raise DataError(f"The batch's {what} are a {type(x).__name__}, and must be a tensor. {_HOW}.")
    try:
        targets, ids = (None if x is None else torch.as_tensor(x) for x in (targets, ids))
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"The batch's targets or ids are no numbers ({error}). {_HOW}.") from None
    try:
        sizes: dict[str, Any] = {role: samples_in(x) for role, x in inputs.items()}
    except ShapeError as error:
        raise DataError(f"{error} {_HOW}.") from None
    samples = next(iter(sizes.values()))
    # Some samples may come without a target; of ids there is one for each.
    if any(size != samples for size in sizes.values()) or (ids is not None and ids.shape != (samples,)):
        sizes |= {} if ids is None else {"ids": list(ids.shape)}
        raise DataError(f"The batch's parts have other lengths: {sizes}. {_HOW}.")
    return Batch(inputs, targets, ids)
