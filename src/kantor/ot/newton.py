"""Newton steps on the dual, by conjugate gradients or, for small problems, by a Cholesky factor.

With rows scaled exactly the dual is a concave function of the column potentials alone. Its Newton step solves
``(diag(c) - P^T diag(1/a) P) x = b - c``, where ``c`` are the plan's column sums and ``x`` is the step over epsilon.
Conjugate gradients see the spectrum that slows Sinkhorn's sweeps under a square root, at the price of one sweep per
iteration and without forming the plan.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kantor.ot.kernel import Array, Kernel, there_and_back
from kantor.ot.precision import no_autocast

Vector = NDArray[Any]
_CPU = torch.device("cpu")
# Entries of the Hessians that are formed at once.
_FACTOR_ENTRIES = 2**22


def gradients_one(
    matrix: NDArray[Any],
    ua: Vector,
    a: Vector,
    wb: Vector,
    sums: Vector,
    b: Vector,
    goal: float,
    most: int,
    damping: float = 0.0,
) -> tuple[Vector, int]:
    """The step for one problem in NumPy, and the iterations it took.

    Args:
        matrix: the kernel ``K``; the plan is ``ua_i K_ij wb_j``.
        ua: row scalings times masses.
        a: row masses.
        wb: column scalings times masses.
        sums: the plan's column sums.
        b: column masses.
        goal: L1 norm of the residual to reach.
        most: iterations to give up after; the step so far is still one of ascent.
        damping: share of ``diag(c)`` added to the Hessian, which shortens the step where it is flat.
    """
    # Rows and columns without mass take no part: their weight is zero, not its reciprocal.
    weight = np.divide(ua * ua, a, out=np.zeros_like(a), where=a > 0)
    scale = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
    residual = b - sums
    residual[sums <= 0] = 0
    step = np.zeros_like(residual)
    scaled = scale * residual
    direction = scaled
    power = float(np.dot(residual, scaled))
    diagonal = sums * sums.dtype.type(1 + damping)
    for iteration in range(1, most + 1):
        _, image = there_and_back(matrix, wb * direction, lambda x, at: x * weight[at])
        image *= wb
        np.subtract(diagonal * direction, image, out=image)
        curvature = float(np.dot(direction, image))
        if not curvature > 0:  # nothing left to gain but rounding
            return step, iteration
        length = power / curvature
        step += length * direction
        image *= length
        residual -= image
        if np.abs(residual).sum() <= goal:
            return step, iteration
        scaled = scale * residual
        power, last = float(np.dot(residual, scaled)), power
        direction = scaled + (power / last) * direction
    return step, most


def gradients(
    kernel: Kernel,
    ua: Array,
    a: Array,
    wb: Array,
    sums: Array,
    b: Array,
    goal: Array,
    most: int,
) -> tuple[Array, int]:
    """The same for a batch, in NumPy or torch: arrays are ``[problems, ...]``, ``goal`` is ``[problems, 1]``."""
    xp = kernel.xp
    weight = xp.where(a > 0, ua * ua / xp.where(a > 0, a, 1.0), 0.0)
    scale = xp.where(sums > 0, 1.0 / xp.where(sums > 0, sums, 1.0), 0.0)
    residual = xp.where(sums > 0, b - sums, 0.0)
    step = xp.zeros_like(residual)
    scaled = scale * residual
    direction = scaled
    power = _dot(residual, scaled)
    iteration = 0
    for iteration in range(1, most + 1):  # noqa: B007
        image = sums * direction - wb * kernel.columns(weight * kernel.rows(wb * direction))
        curvature = _dot(direction, image)
        # Where nothing is left to gain the curvature is rounding: stand still.
        moving = curvature > 0
        length = xp.where(moving, power / xp.where(moving, curvature, 1.0), 0.0)
        step = step + length * direction
        residual = residual - length * image
        if bool((abs(residual).sum(-1)[:, None] <= goal).all()):
            break
        scaled = scale * residual
        power, last = _dot(residual, scaled), power
        direction = scaled + xp.where(moving, power / xp.where(last > 0, last, 1.0), 0.0) * direction
    return step, iteration


def newton_by_factor(
    matrix: NDArray[Any],
    ua: Vector,
    a: Vector,
    wb: Vector,
    sums: Vector,
    b: Vector,
    damping: float = 0.0,
) -> Vector | None:
    """The step for one problem from a Cholesky factor in float64, or None where there is no such factor."""
    held = sums > 0
    all_held = bool(held.all())
    if not all_held:
        matrix, wb, sums, b = matrix[:, held], wb[held], sums[held], b[held]
    part = matrix * np.divide(ua, np.sqrt(a), out=np.zeros_like(a), where=a > 0)[:, None]
    part *= wb
    # torch's products and factors, since its threads are those the user has set.
    with no_autocast(_CPU):
        system = (torch.from_numpy(part.T) @ torch.from_numpy(part)).double().numpy()
    # The diagonal is the sum of what leaves it, so that a common shift changes nothing to the last digit; the rank
    # that is added then fixes the shift and leaves the step.
    np.negative(system, out=system)
    size = len(system)
    system.flat[:: size + 1] = 0.0
    diagonal = -system.sum(1)
    system.flat[:: size + 1] = diagonal
    system += diagonal[:, None] * (diagonal / diagonal.sum())
    system.flat[:: size + 1] += damping * sums
    right = (b - sums).astype(np.float64)
    right -= right.mean()
    factor, failed = torch.linalg.cholesky_ex(torch.from_numpy(system))
    if failed:
        return None
    solution = torch.cholesky_solve(torch.from_numpy(right)[:, None], factor)[:, 0].numpy()
    if all_held:
        return solution
    step = np.zeros(len(held))
    step[held] = solution
    return step


def newton_by_factors(kernel: Kernel, ua: Array, a: Array, wb: Array, sums: Array, b: Array, damping: Array) -> Array:
    """The same for a batch, in NumPy or torch, ``damping`` being ``[problems, 1]``; NaN where there is no factor."""
    given = kernel.matrix, ua, a, wb, sums, b, damping
    group = max(1, _FACTOR_ENTRIES // b.shape[-1] ** 2)
    with no_autocast(_CPU):
        groups = [[torch.as_tensor(x[k : k + group]) for x in given] for k in range(0, len(b), group)]
        parts = [
            _by_factors(matrix * torch.where(a > 0, ua / a.sqrt(), 0.0).unsqueeze(-1), *rest)
            for matrix, ua, a, *rest in groups
        ]
    step = torch.cat(parts)
    return step.numpy() if kernel.xp is np else step


def _by_factors(part: Tensor, wb: Tensor, sums: Tensor, b: Tensor, damping: Tensor) -> Tensor:
    """``part`` is the kernel with its rows scaled; it is overwritten."""
    held = sums > 0
    part *= wb.unsqueeze(-2)
    system = (part.mT @ part).double().neg_()
    # The diagonal is the sum of what leaves it, so that a common shift changes nothing to the last digit; the rank
    # that is added then fixes the shift and leaves the step.
    corner = system.diagonal(dim1=-2, dim2=-1)
    corner.zero_()
    diagonal = -system.sum(-1)
    system += diagonal.unsqueeze(-1) * (diagonal / diagonal.sum(-1, keepdim=True)).unsqueeze(-2)
    # Columns without mass take no part.
    corner += torch.where(held, diagonal + damping * sums, 1.0)
    right = torch.where(held, b - sums, 0.0).double()
    right -= held * (right.sum(-1, keepdim=True) / held.sum(-1, keepdim=True))
    factor, failed = torch.linalg.cholesky_ex(system)
    step = torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)
    return torch.where((failed == 0).unsqueeze(-1), step, torch.nan).to(b.dtype)


def _dot(x: Array, y: Array) -> Array:
    return (x * y).sum(-1)[:, None]
