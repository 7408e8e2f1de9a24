"""What all solvers share."""

import torch

from kantor import ot


def test_no_plan_is_converged_whose_exponents_are_rounded_by_more_than_the_tolerance():
    matrix = torch.rand(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1.0
    for method in ("auto", "sinkhorn"):
        assert ot.solve(matrix, epsilon=1e-11, method=method, tol=1e-2).converged
        assert not ot.solve(matrix, epsilon=1e-15, method=method).converged
        assert not ot.solve(matrix.expand(2, 5, 5), epsilon=1e-15, method=method).converged.any()
