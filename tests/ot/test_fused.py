"""What is compiled says the same as what is called, in one problem and in many, and hands over what it cannot end."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="the extra fast is not installed")

from kantor.ot import Auto, Transport, cost, plan_of, solve
from kantor.ot.compiled import READ, compiled, fill, plans
from kantor.ot.fused import _solve, solve_fused
from kantor.ot.kernel import CEILING, FLOOR
from kantor.ot.level import _eliminate
from kantor.ot.problem import problem_of


def some_cost(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(*shape[:-2], size, 16, generator=generator) for size in shape[-2:])
    return cost(x, y, normalise="mean")


def potentials(transport: Transport) -> tuple[torch.Tensor, torch.Tensor]:
    assert transport.potentials is not None
    return transport.potentials


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_are_exact_to_the_last_digit_and_stop_at_the_bounds(dtype):
    exponents = np.linspace(-130, 100, 4001).astype(dtype)
    matrix = np.empty((1, len(exponents)), np.float32)
    fill(matrix, np.zeros_like(matrix), np.zeros(1, dtype), exponents, dtype(1))
    low, high = FLOOR / np.log(2), CEILING / np.log(2)
    truth = np.exp2(exponents.astype(np.float64).clip(low, high))
    # Where exponents are float32 the bounds are, too.
    assert np.abs(matrix[0] / truth - 1).max() < (1e-7 if dtype is np.float64 else 4e-6)
    held = np.abs(exponents) < 60
    assert np.abs(matrix[0] / truth - 1)[held].max() < 1e-7


@pytest.mark.parametrize("epsilon", [0.005, 0.05])
@pytest.mark.parametrize("shared", [False, True])
def test_plans_are_those_of_the_potentials(epsilon, shared):
    matrix = some_cost(3, 30, 50)
    matrix = matrix[0] if shared else matrix
    a = torch.rand(3, 30)
    a[:, 4] = 0
    transport = solve(matrix, a / a.sum(-1, keepdim=True), epsilon=epsilon, tol=1e-5)
    problem, (f, g) = transport.problem, potentials(transport)
    plan = plans(problem.cost, problem.a, problem.b, f, g, epsilon)
    truth = plan_of(problem.cost.double(), problem.a.double(), problem.b.double(), f, g, epsilon)
    assert (plan.double() - truth).abs().sum() < 1e-6
    assert (plan[:, 4] == 0).all()
    tiny = plan[(plan > 0) & (plan < torch.finfo(torch.float32).tiny)]
    assert len(tiny) == 0, "denormal entries slow all that reads the plan"


def test_plans_of_masses_and_potentials_that_broadcast_or_do_not_fit():
    matrix, a, b = some_cost(30, 40), torch.full((3, 30), 1 / 30), torch.full((40,), 1 / 40)
    f, g = potentials(solve(matrix, tol=1e-5))
    one = plan_of(matrix, a[0], b, f, g, 0.05)
    for given in ((a, b, f.expand(3, 30), g.expand(3, 40)), (a, b.expand(3, 40), f, g)):
        assert torch.equal(plan_of(matrix, *given, 0.05), one.expand(3, 30, 40))
    with pytest.raises(RuntimeError):
        plan_of(matrix, a[0], b, f[:-1], g, 0.05)


@pytest.mark.parametrize("total", [1e-28, 1e4, 1e30])
def test_plans_of_any_total(total):
    transport = solve(some_cost(20, 30), torch.full((20,), total / 20), epsilon=0.05, tol=1e-5)
    assert transport.converged
    assert transport.plan.double().sum().item() == pytest.approx(total, rel=1e-4)
    f, g = potentials(transport)
    a, b = transport.problem.a.double(), transport.problem.b.double()
    assert (a @ f).item() == pytest.approx((b @ g).item(), rel=1e-6), "each side has half of the dual value"


def test_a_plan_where_nothing_bounds_the_exponent():
    a = torch.tensor([1.0, 0.0])
    f = g = torch.tensor([0.0, 1e4], dtype=torch.float64)
    assert plans(torch.zeros(2, 2), a, a, f, g, 0.1).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_every_problem_of_a_batch_is_solved_by_itself(batch, tol, check):
    matrix = some_cost(*batch, 13, 21)
    transport = solve_fused(problem_of(matrix), 0.05, tol, 2000, None)
    check(transport, tol)
    for at in np.ndindex(*batch):
        alone = solve_fused(problem_of(matrix[at]), 0.05, tol, 2000, None)
        assert transport.iterations[at] == alone.iterations
        assert (transport.plan[at] - alone.plan).abs().sum() < 2 * tol


def test_costs_and_masses_as_they_lie():
    """Transposed, strided, broadcast and in float64: the same answer as for a copy in order."""
    matrix = some_cost(4, 20, 20)
    given = matrix.double().transpose(-1, -2)[::2, 1:], torch.full((1,), 1 / 19).expand(19)
    strided = solve(*given, epsilon=0.05, tol=1e-5)
    copied = solve(*(x.contiguous() for x in given), epsilon=0.05, tol=1e-5)
    assert torch.equal(strided.plan, copied.plan)
    one = solve(matrix[:1], torch.full((3, 20), 0.5), epsilon=0.05, tol=1e-5)
    assert torch.equal(one.plan[0], one.plan[2])
    assert torch.allclose(one.plan.sum((1, 2)), torch.tensor(10.0))


def test_what_it_cannot_end_goes_on_by_calls(check):
    """A cost that is large beside epsilon, among small ones."""
    matrix = some_cost(3, 256, 256) * torch.tensor([0.1, 1.0, 0.1])[:, None, None]
    fused = solve_fused(problem_of(matrix), 0.005, 1e-6, 2000, None)
    assert fused.converged.tolist() == [True, False, True]
    whole = solve(matrix, epsilon=0.005, tol=1e-6)
    check(whole, 1e-6)
    assert torch.equal(whole.iterations > fused.iterations, ~fused.converged), "only that one went on"
    assert torch.equal(whole.potentials[0][0], fused.potentials[0][0])


def test_a_poor_start_from_what_was_compiled_is_given_up_for_none(monkeypatch, check):
    """Problems that come back from the compiled sweeps anywhere at all are solved as if they had not been tried."""
    matrix = some_cost(2, 40, 40)

    def astray(problem, *given):
        transport = solve_fused(problem, *given)
        f, g = potentials(transport)
        f += 1e3 * torch.randn_like(f)
        g[0] = torch.nan
        transport.marginal_error.fill_(torch.inf)
        transport.converged.fill_(False)
        return transport

    monkeypatch.setattr("kantor.ot.fused.solve_fused", astray)
    for given in (matrix, matrix[1]):
        check(solve(given, epsilon=0.05, tol=1e-5), 1e-5)


def test_masses_so_small_that_a_scaling_vanishes():
    """A share of 1e-38 is nothing in float32, where its column has no scaling; what is said of the plan is true."""
    b = torch.full((8,), 1 / 7, dtype=torch.float64)
    b[3] = 1e-38
    transport = solve(some_cost(8, 8).double() * 50, b=b / b.sum(), epsilon=0.05, tol=1e-5)
    error = (transport.plan.sum(0) - b / b.sum()).abs().sum() + (transport.plan.sum(1) - 1 / 8).abs().sum()
    assert transport.converged and error < 1.1e-5
    assert transport.plan[:, 3].sum() < 1e-37 and all(x.isfinite().all() for x in potentials(transport))


def test_one_compilation_serves_any_leading_dimensions():
    solve(some_cost(5, 6))
    before = len(_solve.signatures)
    for given in (some_cost(2, 3, 5, 6), some_cost(4, 5, 6), some_cost(1, 5, 6)):
        solve(given, torch.full((given.shape[0], *(1,) * (given.ndim - 3), 5), 0.2))
    Auto(0.05, 1e-3, max_iterations=1e3)(some_cost(5, 6))
    assert len(_solve.signatures) == before


def test_a_budget_is_kept():
    few = Auto(0.001, 1e-6, max_iterations=3)(some_cost(40, 40))
    assert not few.converged
    assert few.marginal_error > 1e-6


def test_a_direction_that_others_span_takes_no_part():
    vectors = np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0], [0.0, 1.0, 3.0]])
    right = vectors @ np.array([1.0, 1.0, 1.0])
    system, solution = vectors @ vectors.T, right.copy()
    _eliminate(system, solution, 3)
    assert np.isfinite(solution).all()
    assert np.allclose(vectors @ (solution @ vectors), right)


def test_without_a_folder_to_keep_it_in(monkeypatch):
    """In a container that nobody may write to, every process compiles for itself."""
    monkeypatch.setattr("numba.core.caching.FunctionCache._impl_class._locator_classes", [])
    assert compiled(_twice)(2.0) == 4.0


def test_what_is_kept_is_made_anew_when_any_of_its_sources_changes():
    folder = Path(solve_fused.__code__.co_filename).parent
    for name in ("compiled", "fused", "level"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kantor.ot."):
                used = {alias.name for alias in node.names} - {"Problem", "Transport", "Potentials"}
                assert not used or node.module.rpartition(".")[2] in READ


@pytest.mark.slow
def test_the_process_that_compiles_finds_what_later_ones_find(tmp_path: Path):
    """To the bit, also where loops have a rest: a run that began in the first must resume in the second."""
    code = """
import torch
from kantor.ot import solve
torch.manual_seed(0)
for tol in (1e-3, 1e-6):
    print(solve(torch.rand(13, 21), epsilon=0.02, tol=tol).potentials)
    print(solve(torch.rand(13, 21).double(), epsilon=0.02, tol=tol).plan.double().sum(0).tolist())
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", f"import torch; torch.set_printoptions(precision=20)\n{code}"]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first == second


def _twice(x):
    return 2 * x


@pytest.mark.parametrize("how", ["broken", "switched off"])
def test_without_numba_the_answer_is_the_same(tmp_path: Path, how: str):
    """An installed Numba that refuses this NumPy raises ImportError; switched off, its loops would take minutes."""
    code = "import torch; from kantor.ot import solve; print(float(solve(torch.eye(5), tol=1e-6).cost))"
    if how == "broken":
        (tmp_path / "numba.py").write_text("raise ImportError('Numba needs another NumPy')", encoding="utf-8")
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"
    else:
        code = f"import os; os.environ['NUMBA_DISABLE_JIT'] = '1'; {code}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(said) == pytest.approx(float(solve(torch.eye(5), tol=1e-6).cost), abs=1e-6)
