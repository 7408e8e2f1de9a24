"""The debiased Sinkhorn divergence: a regularised distance that is zero between equal measures."""

from jaxtyping import Float
from torch import Tensor

from kantor.ot.cost import CostKind
from kantor.ot.cost import cost as ground_cost
from kantor.ot.solve_any import solve


def divergence(
    x: Float[Tensor, "... n d"],
    y: Float[Tensor, "... m d"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    epsilon: float = 0.05,
    kind: CostKind = "sqeuclidean",
    tol: float = 1e-4,
) -> Float[Tensor, "..."]:
    """``S(x, y) = W(x, y) - W(x, x) / 2 - W(y, y) / 2`` with ``W`` the value of ``solve``.

    Differentiable in points and masses. Not negative for the costs that are negative definite (squared Euclidean,
    Euclidean, L1; cosine on unit vectors), and zero where the two measures are equal (Feydy et al., AISTATS 2019).

    Args:
        x: points, one per row.
        y: points of the other measure.
        a: masses of ``x``; uniform where left out, with the total of ``b``.
        b: masses of ``y``, with the same total.
        epsilon: the regularisation, in the units of the cost.
        kind: the ground cost.
        tol: as for ``solve``; the value is off by about ``epsilon * tol``.

    Raises:
        ShapeError: the points have different dimensions, or masses do not fit them.
        NonFiniteError: a cost is not finite; the message holds the index.
        ConfigError: the kind is unknown, epsilon or tol is not positive, or the masses' totals differ.
    """
    between = solve(ground_cost(x, y, kind), a, b, epsilon, tol)
    if a is not None or b is not None:
        # A mass left out has the other's total, among its own points too.
        a, b = (between.problem.a if a is None else a), (between.problem.b if b is None else b)
    within_x = solve(ground_cost(x, x, kind), a, a, epsilon, tol).value
    within_y = solve(ground_cost(y, y, kind), b, b, epsilon, tol).value
    return between.value - 0.5 * within_x - 0.5 * within_y
