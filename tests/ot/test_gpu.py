"""The Triton kernels: on a GPU where there is one, else in Triton's interpreter on the CPU, at tiny sizes."""

import importlib
import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from kantor.ot import cost, plan_of, solve

TOL = 1e-4
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
RUNS_HERE = torch.cuda.is_available() or INTERPRETED

if importlib.util.find_spec("triton") is None:
    pytest.skip("the GPU kernels need triton: pip install 'kantor[gpu]'", allow_module_level=True)


@pytest.mark.skipif(RUNS_HERE, reason="the kernels run in this very process")
def test_in_the_interpreter():
    """Triton reads the variable when it is imported, so the tests below get a process of their own."""
    command = [sys.executable, "-m", "pytest", __file__, "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "10 passed" in done.stdout


@pytest.fixture(scope="module")
def kernels():
    if not RUNS_HERE:
        pytest.skip("needs a GPU or the interpreter; test_in_the_interpreter runs it there")
    device = torch.device("cpu" if INTERPRETED else "cuda")
    return device, *(importlib.import_module(f"kantor.ot.{name}") for name in ("gpu_small", "gpu_dense"))


@pytest.mark.filterwarnings("ignore")  # the interpreter's own, from NumPy
@pytest.mark.parametrize("shape", [(8, 8), (5, 13), (17, 6)])
@pytest.mark.parametrize("epsilon", [0.05, 0.2])
def test_small_problems(kernels, shape, epsilon):
    device, small, _ = kernels
    n, m = shape
    matrix = cost(torch.randn(3, n, 4), torch.randn(3, m, 4), normalise="mean").to(device)
    a, b = (torch.rand(3, size, device=device).double() for size in shape)
    a[0, 2] = b[1, 0] = 0.0
    a, b = a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)
    f, g, error, passes = small.solve_small(matrix, a, b, epsilon, TOL)
    assert (error <= TOL).all()
    assert (passes > 0).all()
    plan = plan_of(matrix.double(), a, b, f, g, epsilon)
    off = (plan.sum(-1) - a).abs().sum(-1) + (plan.sum(-2) - b).abs().sum(-1)
    assert (off <= TOL).all()
    expected = solve(matrix.double(), a, b, epsilon, 1e-9).plan
    assert (plan - expected).abs().sum((-2, -1)).max() < 50 * TOL
    again = small.solve_small(matrix, a, b, epsilon, TOL, g)
    assert (again[3] <= 2).all()


@pytest.mark.filterwarnings("ignore")
def test_small_problems_say_when_they_are_not_done(kernels):
    device, small, _ = kernels
    matrix = cost(torch.randn(2, 8, 4), torch.randn(2, 8, 4), normalise="mean").to(device)
    uniform = torch.full((2, 8), 1 / 8, dtype=torch.float64, device=device)
    *_, error, passes = small.solve_small(matrix, uniform, uniform, 0.002, TOL, rounds=1, sweeps=3)
    assert (error > TOL).all()
    assert (passes == 3).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(1, 20, 33), (2, 16, 16), (1, 40, 300)])
def test_both_products_in_one_pass(kernels, shape):
    device, _, dense = kernels
    matrix = torch.rand(shape, device=device)
    wb, a = torch.rand(shape[0], shape[2], device=device), torch.rand(shape[0], shape[1], device=device)
    kv, columns = dense.both_products(matrix, wb, a)
    expected = torch.einsum("kij,kj->ki", matrix, wb)
    assert torch.allclose(kv, expected, rtol=1e-5)
    assert torch.allclose(columns, torch.einsum("kij,ki->kj", matrix, a / expected), rtol=1e-5)
