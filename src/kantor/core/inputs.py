"""What a network is given: a tensor, or a mapping of tensors by the name of an argument."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError

Inputs = Shaped[Tensor, "batch ..."] | Mapping[str, Shaped[Tensor, "batch ..."]]
"""Given to a network as its first argument, or as keyword arguments: ``input_ids``, ``attention_mask``."""


def tensors_of(inputs: Inputs) -> list[Tensor]:
    """Every tensor of the inputs, in order."""
    return [inputs] if isinstance(inputs, Tensor) else list(inputs.values())


def samples_in(inputs: Inputs) -> int:
    """How many samples the inputs hold.

    Raises:
        ShapeError: there is no tensor, or they are not of the same samples; says which.
    """
    if isinstance(inputs, Tensor):
        return len(inputs)
    counts = {x.shape[0] if x.ndim else None for x in inputs.values()}
    if len(counts) != 1 or None in counts:
        raise ShapeError(
            f"A mapping of inputs has a row for each sample in every tensor; this one has {shown(inputs) or 'none'}."
        )
    return len(next(iter(inputs.values())))


def changed(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """The inputs with ``change`` made to every tensor: a cast, a move."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    return {name: change(x) for name, x in inputs.items()}


def joined(first: Inputs, then: Inputs) -> Inputs:
    """Samples one after the other; of sequences in mappings the shorter are filled with zeros at the end."""
    if isinstance(first, Tensor):
        assert isinstance(then, Tensor)
        return torch.cat([first, then])
    assert not isinstance(then, Tensor)
    return {name: torch.cat(_of_one_length(x, then[name])) for name, x in first.items()}


def rows(inputs: Inputs, of: slice | Tensor) -> Inputs:
    """Some samples of the inputs."""
    return changed(inputs, lambda x: x[of])


def on_device(inputs: Inputs, device: torch.device | str) -> Inputs:
    """The inputs on ``device``."""
    return changed(inputs, lambda x: x.to(device, non_blocking=True))


def device_of(inputs: Inputs) -> torch.device:
    """Where the inputs are."""
    return tensors_of(inputs)[0].device


def finite_rows(inputs: Inputs) -> Bool[Tensor, " batch"]:
    """Which samples hold no NaN and no infinity."""
    return torch.stack([_finite_rows(x) for x in _wide(inputs)]).all(dim=0)


def shown(inputs: Inputs, *, batch: bool = True) -> str:
    """Shapes as they are said: ``[8, 3, 32, 32]``; of a mapping ``input_ids [8, 16], attention_mask [8, 16]``.

    Args:
        inputs: what is described.
        batch: with the number of samples.
    """
    first = 0 if batch else 1
    if isinstance(inputs, Tensor):
        return str(list(inputs.shape[first:]))
    return ", ".join(f"{name} {list(x.shape[first:])}" for name, x in inputs.items())


def _finite_rows(x: Tensor) -> Bool[Tensor, " batch"]:
    if not x.is_sparse:
        return x.flatten(1).isfinite().all(dim=1)
    finite = torch.ones(len(x), dtype=torch.bool, device=x.device)
    finite[x.indices()[0][~x.values().isfinite()]] = False
    return finite


def _of_one_length(*given: Tensor) -> list[Tensor]:
    longest = max(x.shape[1] for x in given)
    return [torch.nn.functional.pad(x, (0, longest - x.shape[1])) for x in given]


def _wide(inputs: Inputs) -> list[Tensor]:
    """The tensors with a dimension beside the batch's."""
    return [x.unsqueeze(1) if x.ndim == 1 else x for x in tensors_of(inputs)]
