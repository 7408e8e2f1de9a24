"""The contract of a solver: frozen settings, callable on a cost and masses, returns a transport."""

import math
import sys
from collections.abc import Sized
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.core.uncompiled import outside_graphs
from kantor.ot.problem import Problem, check_real, first_entry, problem_of
from kantor.ot.transport import Potentials, Transport


@dataclass(frozen=True)
class Solver:
    """Frozen settings. Subclasses implement ``run`` on a checked problem."""

    def __call__(
        self,
        cost: Float[Tensor, "... n m"],
        a: Float[Tensor, "... n"] | None = None,
        b: Float[Tensor, "... m"] | None = None,
        potentials: Potentials | None = None,
    ) -> Transport:
        """Solve the problem. See ``kantor.ot.solve`` for the arguments and what is raised."""
        if torch.compiler.is_compiling():
            return _outside_the_graph(self, cost, a, b, potentials)
        return self._solve(cost, a, b, potentials)

    def _solve(self, cost: Tensor, a: Tensor | None, b: Tensor | None, potentials: Potentials | None) -> Transport:
        problem = problem_of(cost, a, b)
        transport = self.run(problem, None if potentials is None else _checked(potentials, problem))
        if transport.epsilon is not None and _rounding(problem, transport.epsilon) > getattr(self, "tol", math.inf):
            return replace(transport, converged=torch.zeros_like(transport.converged))
        return transport

    def run(self, problem: Problem, potentials: Potentials | None) -> Transport:
        """Solve a checked problem, from ``potentials`` (float64, detached, of the problem's batch) if given."""
        raise NotImplementedError


def _rounding(problem: Problem, epsilon: float) -> float:
    """By how much float64 rounds a plan's entries, whose exponents are costs over epsilon: nobody can see beyond."""
    return sys.float_info.epsilon * max(abs(problem.lowest), abs(problem.highest)) / epsilon


def _eager(solver: Solver, *arguments: Any) -> Transport:
    # How long a solver works depends on the numbers, which no graph can hold. Its value joins the graph again.
    transport = solver._solve(*arguments)
    # What nobody may ask for must not refuse masses that have no gradient here.
    _ = transport.cost if transport.potentials is None else transport.value
    return transport


_outside_the_graph = outside_graphs(_eager)


def _checked(potentials: Potentials, problem: Problem) -> Potentials:
    if not isinstance(potentials, tuple | list) or len(potentials) != 2:
        raise ConfigError(
            f"potentials must be the pair (f, g) of an earlier transport; they are a {type(potentials).__name__}"
            f"{f' of length {len(potentials)}' if isinstance(potentials, Sized) else ''}."
        )
    batch, checked = problem.batch, []
    for name, potential, length in zip("fg", potentials, problem.size, strict=True):
        check_real(f"potentials: {name}", potential)
        if potential.ndim < 1 or potential.shape[-1] != length:
            raise ShapeError(f"potentials: {name} must be [..., {length}]; it is {list(potential.shape)}.")
        potential = potential.detach().to(problem.cost.device, torch.float64)
        # The sum takes one pass; that of large but finite entries may overflow.
        if not math.isfinite(potential.sum().item()) and (bad := ~potential.isfinite()).any():
            raise NonFiniteError(f"potentials: {name} is {first_entry(potential, bad)}; start from None instead.")
        try:
            checked.append(potential.expand(*batch, length))
        except RuntimeError as error:
            raise ShapeError(
                f"potentials: {name} is {list(potential.shape)}, which does not expand to the problems' "
                f"{[*batch, length]}."
            ) from error
    return checked[0], checked[1]
