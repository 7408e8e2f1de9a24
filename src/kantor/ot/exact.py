"""Unregularised transport: SciPy's assignment where it is one, POT's network simplex elsewhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kantor.core.errors import KantorError
from kantor.core.optional import optional
from kantor.ot.problem import Problem
from kantor.ot.solver import Solver
from kantor.ot.transport import Potentials, Transport


@dataclass(frozen=True)
class Exact(Solver):
    """The plan that minimises ``<P, C>``, one problem after the other, on the CPU.

    Equal sizes with equal masses are an assignment (``scipy.optimize.linear_sum_assignment``), which needs nothing
    beyond the core and gives no potentials. All else, and masses that require a gradient, go to POT's network
    simplex (``pip install 'kantor[emd]'``), which does.

    Raises:
        KantorError: POT is needed and missing, or its simplex did not finish.
    """

    @torch.no_grad()
    def run(self, problem: Problem, potentials: Potentials | None) -> Transport:  # noqa: ARG002
        """Solve a checked problem; an exact solver has no use for a start."""
        n, m = problem.size
        cost = _array(problem.cost.expand(*problem.batch, n, m)).reshape(-1, n, m)
        a, b = _array(problem.a).reshape(-1, n), _array(problem.b).reshape(-1, m)
        needs_potentials = problem.a.requires_grad or problem.b.requires_grad
        if n == m and not needs_potentials and _equal(a) and _equal(b):
            plans, duals = _assignments(cost, a), None
        else:
            plans, duals = _simplex(cost, a, b)
        errors = np.abs(plans.sum(2) - a).sum(1) + np.abs(plans.sum(1) - b).sum(1)
        device, batch = problem.cost.device, problem.batch
        error = torch.from_numpy(errors / a.sum(1)).to(device).reshape(batch)
        return Transport(
            problem,
            None,
            None if duals is None else (_tensor(duals[0], device, batch), _tensor(duals[1], device, batch)),
            error,
            torch.zeros(batch, dtype=torch.int64, device=device),
            torch.ones(batch, dtype=torch.bool, device=device),
            given_plan=torch.from_numpy(plans).to(device, problem.cost.dtype).reshape(*batch, n, m),
        )


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().double().numpy()


def _tensor(x: np.ndarray, device: torch.device, batch: torch.Size) -> Tensor:
    return torch.from_numpy(x).to(device).reshape(*batch, -1)


def _equal(mass: np.ndarray) -> bool:
    return bool((mass == mass[:, :1]).all())


def _assignments(cost: np.ndarray, a: np.ndarray) -> np.ndarray:
    from scipy.optimize import (
        linear_sum_assignment,
    )  # takes longer to import than most assignments to solve

    plans = np.zeros_like(cost)
    for k, matrix in enumerate(cost):
        rows, columns = linear_sum_assignment(matrix)
        plans[k, rows, columns] = a[k, rows]
    return plans


def _simplex(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    emd = _emd()
    plans, f, g = np.empty_like(cost), np.empty_like(a), np.empty_like(b)
    for k, matrix in enumerate(cost):
        total = a[k].sum()
        target = b[k] / b[k].sum()
        plan, log = emd(
            a[k] / total,
            target,
            matrix,
            numItermax=10_000_000,
            log=True,
            center_dual=False,
        )
        if log["warning"] is not None:
            raise KantorError(f"POT's network simplex did not finish: {log['warning']}")
        plans[k] = plan * total
        # The simplex leaves arbitrary duals where there is no mass: the c-transform defines them.
        g[k] = log["v"]
        f[k] = (matrix - g[k])[:, b[k] > 0].min(1)
        g[k] = (matrix - f[k][:, None])[a[k] > 0].min(0)
    return plans, (f, g)


def _emd() -> Any:
    need = "Exact transport between unequal sizes or masses needs POT's network simplex"
    with optional(need, "emd", 'Or use method="auto" with a small epsilon.'):
        from ot import emd
    return emd
