"""Inverse transport: the cost under which an observed coupling is a regularised plan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError, suggest
from kantor.ot.problem import check_positive, check_real, first_entry

CostForm = Literal["mahalanobis", "bilinear"]


@dataclass(frozen=True)
class Inverse:
    """What a coupling says of its cost."""

    cost: Float64[Tensor, "n m"]
    """As far as it can be known: its rows and columns sum to zero, since no plan tells ``C`` from ``C + u 1^T + 1
    v^T``."""
    matrix: Float64[Tensor, "d e"] | None
    """That of a cost between features; None for a free cost."""
    plan: Float64[Tensor, "n m"]
    """The plan of that cost, with the coupling's marginals and total 1."""
    divergence: float
    """``KL(coupling || plan)`` in nats: 0 where the cost explains the coupling wholly."""
    parameters: int
    """Numbers that the cost has."""
    identifiable: int
    """How many of them, or of their combinations, such a plan depends on; the others are the regulariser's."""


def inverse(
    coupling: Float[Tensor, "n m"],
    x: Float[Tensor, "n d"] | None = None,
    y: Float[Tensor, "m e"] | None = None,
    *,
    epsilon: float = 1.0,
    form: CostForm = "bilinear",
    penalty: float = 1e-6,
    steps: int = 500,
) -> Inverse:
    """The cost whose regularised plan (:func:`kantor.ot.solve`) is nearest to a coupling.

    ``KL(coupling || plan)`` is minimised over the cost's parameters and the potentials at once: ``-sum K (f + g - C) /
    epsilon + sum a b exp((f + g - C) / epsilon) + penalty |theta|^2 / 2``, which needs no plan on the way and is convex
    where the cost is linear in its parameters (Ma et al., arXiv 2002.09650; Dupuy and Galichon 2014).

    Without features every entry of the cost is free. With them a handful of observed pairs is enough, and the cost
    holds for other points too: ``bilinear``, ``C = -X A Y^T``; or ``mahalanobis``, ``C_ij = (x_i - y_j)^T M (x_i -
    y_j)`` with ``M`` positive semi-definite (then not convex, in a factor of ``M``).

    Args:
        coupling: what was observed: masses or counts, zero or more; scaled to a total of 1.
        x, y: features of rows and columns; both or none.
        epsilon: the regularisation of the plan, in the units of the cost that is found.
        form: of the cost between features.
        penalty: on the parameters; it chooses among those that explain the coupling alike, and keeps pairs that were
            never seen finite.
        steps: of L-BFGS at most.

    Raises:
        ConfigError: one of ``x`` and ``y`` alone, an unknown form, epsilon or the penalty is not positive, or the
            coupling is no coupling.
        ShapeError: sizes that do not fit.
        NonFiniteError: an entry is not finite; the message holds the index.
    """
    check_positive("epsilon", epsilon)
    check_positive("penalty", penalty)
    if form not in get_args(CostForm):
        raise ConfigError(f"inverse: unknown form {form!r}. {suggest(str(form), get_args(CostForm))}")
    joint = _checked(coupling, x, y, form)
    cost_of, theta, effects = _parametrised(joint, x, y, form)
    a, b = joint.sum(1), joint.sum(0)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    product = a[:, None] * b
    variables = [one.requires_grad_() for one in (f, g, theta)]
    optimizer = torch.optim.LBFGS(
        variables, max_iter=steps, history_size=30, tolerance_grad=1e-10, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def objective() -> Tensor:
        optimizer.zero_grad()
        exponent = (f[:, None] + g - cost_of(theta)) / epsilon
        value = (product * exponent.exp()).sum() - (joint * exponent).sum() + penalty * theta.square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(objective)  # type: ignore[arg-type] (it gives a tensor)
    with torch.no_grad():
        cost = cost_of(theta)
        plan = product * ((f[:, None] + g - cost) / epsilon).exp()
        plan = plan / plan.sum()
        seen = joint > 0
        divergence = float((joint[seen] * (joint[seen] / plan[seen]).log()).sum())
        if effects is None:
            n, m = joint.shape
            return Inverse(_centred(cost), None, plan, divergence, n * m, (n - 1) * (m - 1))
        directions, strengths, _ = torch.linalg.svd(effects, full_matrices=False)
        known = directions[:, strengths > 1e-9 * strengths.max()]
        if form == "mahalanobis":
            matrix = theta @ theta.T
        else:  # exactly the penalty's choice: along what no plan tells the objective is nearly flat
            matrix = (known @ (known.T @ theta.flatten())).reshape(theta.shape)
        return Inverse(_centred(cost), matrix, plan, divergence, len(effects), known.shape[1])


def _checked(coupling: Tensor, x: Tensor | None, y: Tensor | None, form: CostForm) -> Float64[Tensor, "n m"]:
    """The coupling as shares, once all that was given fits."""
    if (x is None) != (y is None):
        raise ConfigError("inverse: give the features of both sides, x and y, or of none.")
    check_real("coupling", coupling)
    if coupling.ndim != 2 or coupling.numel() == 0:
        raise ShapeError(f"coupling must be [n, m]; it is {list(coupling.shape)}.")
    for name, values in (("coupling", coupling), ("x", x), ("y", y)):
        if values is not None and bool((bad := ~values.isfinite()).any()):
            raise NonFiniteError(f"{name} is {first_entry(values, bad)}. Look for what made it so.")
    for name, values, side in (("x", x, 0), ("y", y, 1)):
        if values is not None and (values.ndim != 2 or len(values) != coupling.shape[side]):
            raise ShapeError(
                f"{name} must be [{coupling.shape[side]}, features] for a coupling of {list(coupling.shape)}; it is "
                f"{list(values.shape)}."
            )
    if x is not None and y is not None and form == "mahalanobis" and x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"x and y have {x.shape[1]} and {y.shape[1]} features; a Mahalanobis cost takes equal numbers."
        )
    joint = coupling.detach().double()
    if bool((joint < 0).any()) or not float(joint.sum()) > 0:
        raise ConfigError("coupling must hold masses or counts, zero or more, and some of them above zero.")
    return joint / joint.sum()


def _parametrised(
    joint: Float64[Tensor, "n m"], x: Tensor | None, y: Tensor | None, form: CostForm
) -> tuple[Callable[[Tensor], Tensor], Tensor, Float64[Tensor, "parameters entries"] | None]:
    """The cost as a function of its parameters, those to begin with, and what each does to the centred cost.

    Of a free cost that is known: None.
    """
    n, m = joint.shape
    if x is None or y is None:
        return lambda theta: theta, torch.zeros(n, m, dtype=torch.float64), None
    x, y = x.detach().double(), y.detach().double()
    d, e = x.shape[1], y.shape[1]
    # Of a cost between features no plan sees more than how they multiply.
    products = _centred(torch.einsum("ni,mj->ijnm", x, y))
    if form == "bilinear":
        return lambda theta: -x @ theta @ y.T, torch.zeros(d, e, dtype=torch.float64), products.flatten(2).flatten(0, 1)
    i, j = torch.triu_indices(d, d)
    both = products[i, j] + products[j, i]

    def mahalanobis(factor: Tensor) -> Tensor:
        left, right = x @ factor, y @ factor
        return left.square().sum(1)[:, None] + right.square().sum(1) - 2 * left @ right.T

    return mahalanobis, 0.1 * torch.eye(d, dtype=torch.float64), both.flatten(1)


def _centred(cost: Float64[Tensor, "... n m"]) -> Float64[Tensor, "... n m"]:
    rows, columns = cost.mean(-1, keepdim=True), cost.mean(-2, keepdim=True)
    return cost - rows - columns + rows.mean(-2, keepdim=True)
