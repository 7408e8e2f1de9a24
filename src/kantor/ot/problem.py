"""A transport problem: a cost and two sets of masses, checked once so that no solver has to."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot.precision import upcast

# How far apart the two totals may be before it is a mistake and not rounding, per dtype of the given masses; 1e-6 for
# the others, whose sums are exact (integers, booleans) or nearly so.
_MASS_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Problem:
    """``cost [..., n, m]`` with masses ``a [batch, n]`` and ``b [batch, m]`` of equal total.

    ``cost`` keeps the leading dimensions it was given; a matrix beside batched masses is one cost for all of them.
    ``lowest`` and ``highest`` are the cost's extreme entries.
    """

    cost: Float[Tensor, "... n m"]
    a: Float[Tensor, "*batch n"]
    b: Float[Tensor, "*batch m"]
    lowest: float
    highest: float

    @property
    def batch(self) -> torch.Size:
        """The leading dimensions of the masses and of every result."""
        return self.a.shape[:-1]

    @property
    def shared(self) -> bool:
        """Whether one cost matrix serves several problems."""
        return self.cost.ndim == 2 and self.a.ndim > 1

    @property
    def size(self) -> tuple[int, int]:
        """``(n, m)``."""
        return self.cost.shape[-2], self.cost.shape[-1]


def problem_of(
    cost: Float[Tensor, "... n m"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    balanced: bool = True,
) -> Problem:
    """Check cost and masses and bring them to one dtype, float32 or float64.

    Masses left out are uniform, with the total of the other side (1 where both are left out). Zero masses are legal.
    Totals that differ by rounding (1e-4 of the total in float32, 2e-2 in half precision, 1e-6 in all else) are made
    equal by rescaling ``b``. With ``balanced=False`` the totals may differ.

    Raises:
        ShapeError: the shapes do not fit, or the problem is empty. The message names the argument.
        NonFiniteError: an entry of cost or masses is not finite. The message names its index.
        ConfigError: a mass is negative, a total is zero, the totals differ, or cost or masses are no real tensor.
    """
    check_real("cost", cost)
    if cost.ndim < 2 or cost.numel() == 0:
        raise ShapeError(f"cost must be [..., n, m] with at least one row, column and problem; it is {_shape(cost)}.")
    n, m = cost.shape[-2:]
    cost = upcast(cost)
    lowest, highest = (bound.item() for bound in torch.aminmax(cost.detach()))
    if not math.isfinite(lowest) or not math.isfinite(highest):
        raise NonFiniteError(f"cost is {first_entry(cost, ~torch.isfinite(cost))}. Look for what made it so.")
    for name, mass, length in (("a", a, n), ("b", b, m)):
        if mass is None:
            continue
        check_real(name, mass)
        if mass.ndim < 1 or mass.shape[-1] != length:
            raise ShapeError(
                f"{name} must hold one mass per {'row' if name == 'a' else 'column'} of the cost: its last dimension "
                f"must be {length}; cost is {_shape(cost)}, {name} is {_shape(mass)}."
            )
        if mass.device != cost.device:
            raise ShapeError(f"{name} is on {mass.device} and cost on {cost.device}: move one to the other.")
    batch = _batch_of(cost, a, b)
    a_total = None if a is None else _checked_total("a", a)
    b_total = None if b is None else _checked_total("b", b)
    if balanced and a_total is not None and b_total is not None and b is not None:
        b = _balanced(a_total, b_total, b, _tolerance(a, b))
    a = _masses(a, b_total, n, cost, batch)
    b = _masses(b, a_total, m, cost, batch)
    return Problem(cost, a, b, lowest, highest)


def check_positive(name: str, value: float) -> float:
    """``value`` as a float.

    Raises:
        ConfigError: it is not a positive finite number.
    """
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, RuntimeError):  # what a list, an array and a tensor of several numbers raise
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ConfigError(f"{name} must be a positive number; it is {value!r}.")
    return number


def check_real(name: str, value: object) -> None:
    """Refuse what is no tensor of real numbers.

    Raises:
        ConfigError: with the remedy.
    """
    if not isinstance(value, Tensor):
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise ConfigError(f"{name} must be a torch tensor; it is a {kind}. torch.as_tensor makes it one.")
    if value.is_complex():
        raise ConfigError(
            f"{name} must hold real numbers; it is {value.dtype}. Give its real part or its absolute value."
        )


def first_entry(x: Tensor, where: Tensor) -> str:
    """The first entry of ``x`` at which ``where`` is True, and its index, for a message."""
    index = tuple(torch.nonzero(where)[0].tolist())
    return f"{x[index].item()} at index {index}"


def _shape(x: Tensor) -> str:
    return str(list(x.shape))


def _batch_of(cost: Tensor, a: Tensor | None, b: Tensor | None) -> torch.Size:
    shapes = [
        cost.shape[:-2],
        *(mass.shape[:-1] for mass in (a, b) if mass is not None),
    ]
    try:
        # torch.broadcast_shapes takes longer than a small problem.
        batch = shapes[0] if len(set(shapes)) == 1 else torch.Size(np.broadcast_shapes(*shapes))
    except ValueError as error:
        given = ", ".join(f"{k} {_shape(t)}" for k, t in (("cost", cost), ("a", a), ("b", b)) if t is not None)
        raise ShapeError(f"The leading dimensions do not fit each other: {given}.") from error
    if 0 in batch:
        raise ShapeError(f"There is no problem to solve: the leading dimensions are {list(batch)}.")
    return batch


def _checked_total(name: str, mass: Tensor) -> Tensor:
    held = mass.detach().double()
    total = held.sum(-1, keepdim=True)
    if held.min().item() < 0:  # a NaN is not below 0, and shows in the total
        raise ConfigError(f"{name} holds a negative mass: {first_entry(held, held < 0)}. Masses must be zero or more.")
    least, most = (bound.item() for bound in torch.aminmax(total))
    if not math.isfinite(least) or not math.isfinite(most):
        raise NonFiniteError(f"{name} is {first_entry(held, ~torch.isfinite(held))}. Masses must be finite.")
    if least <= 0:
        where = tuple(torch.nonzero(total[..., 0] <= 0)[0].tolist())
        raise ConfigError(
            f"{name} holds no mass at all{f' in problem {where}' if where else ''}: nothing to transport."
        )
    return total


def _tolerance(*masses: Tensor | None) -> float:
    return max(_MASS_TOLERANCE.get(mass.dtype, 1e-6) for mass in masses if mass is not None)


def _balanced(a_total: Tensor, b_total: Tensor, b: Tensor, tolerance: float) -> Tensor:
    ratio = a_total / b_total
    off = (ratio - 1).abs()
    if off.max().item() > tolerance:
        index = tuple(torch.nonzero(off[..., 0] > tolerance)[0].tolist())
        totals = [t.expand_as(off)[(*index, 0)].item() for t in (a_total, b_total)]
        raise ConfigError(
            f"a and b must have the same total mass: sum(a) is {totals[0]:.6g} and sum(b) {totals[1]:.6g}"
            f"{f' in problem {index}' if index else ''}. Normalise them, or use unbalanced transport."
        )
    return upcast(b) * ratio.to(upcast(b).dtype)


def _masses(
    mass: Tensor | None,
    other_total: Tensor | None,
    length: int,
    cost: Tensor,
    batch: torch.Size,
) -> Tensor:
    if mass is None:
        if other_total is None:
            uniform = cost.new_full((length,), 1.0 / length)
            return uniform.expand(*batch, length) if batch else uniform
        return (other_total / length).to(cost.dtype).expand(*batch, length)
    return mass.to(cost.dtype).expand(*batch, length)
