"""``solve``, for everyday use."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, suggest
from kantor.ot.auto import Auto
from kantor.ot.exact import Exact
from kantor.ot.proximal import Proximal
from kantor.ot.sinkhorn import Sinkhorn
from kantor.ot.solver import Solver
from kantor.ot.transport import Potentials, Transport

Method = Literal["auto", "sinkhorn", "exact", "proximal"]


def solve(
    cost: Float[Tensor, "... n m"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    epsilon: float = 0.05,
    tol: float = 1e-3,
    method: Method = "auto",
    potentials: Potentials | None = None,
) -> Transport:
    """Transport masses ``a`` to masses ``b`` at a cost.

    ``P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)`` minimises ``<P, C> + epsilon KL(P | a b^T)``.

    Args:
        cost: any leading dimensions are problems of their own. Half precision is computed in float32.
        a: masses of the rows, zero or more; uniform where left out. Leading dimensions broadcast against the
            cost's, so one cost can serve a batch of masses.
        b: masses of the columns, with the same total.
        epsilon: the regularisation, in the units of the cost (``kantor.ot.cost(..., normalise="mean")`` makes .05 a
            moderate choice). ``proximal`` takes it as its step beta; ``exact`` does not read it.
        tol: L1 marginal error, over the total mass, at which a problem is done. ``proximal`` takes all its steps and
            is judged by it; ``exact`` does not read it.
        method: ``auto`` chooses how to solve the regularised problem; ``sinkhorn`` is the plain log-domain iteration
            in float64; ``exact`` is unregularised; ``proximal`` (IPOT) nearly so.
        potentials: ``(f, g)`` to start from, as an earlier transport returned them. They are not changed.

    Returns:
        The transport, with ``converged`` and ``marginal_error`` for each problem: check them.

    Raises:
        ShapeError, NonFiniteError, ConfigError: what was given cannot be solved; the message names the argument and,
            where there is one, the index.
        KantorError: ``exact`` needs POT and it is not installed.
    """
    return solver_for(method, epsilon, tol)(cost, a, b, potentials)


def solver_for(method: Method = "auto", epsilon: float = 0.05, tol: float = 1e-3) -> Solver:
    """The frozen solver behind ``solve``, for settings that are made once and used at every step.

    Raises:
        ConfigError: the method is unknown, or epsilon or tol is not positive where the method reads it.
    """
    if method == "auto":
        return Auto(epsilon, tol)
    if method == "sinkhorn":
        return Sinkhorn(epsilon, tol)
    if method == "exact":
        return Exact()
    if method == "proximal":
        return Proximal(beta=epsilon, tol=tol)
    raise ConfigError(f"Unknown transport method {method!r}. {suggest(str(method), get_args(Method))}")
