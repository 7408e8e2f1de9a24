"""Everything a user can get wrong is refused with the argument's name and, where there is one, the index."""

import pytest
import torch

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot import problem_of, solve

METHODS = ["auto", "sinkhorn", "exact", "proximal"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_cost_that_is_not_finite(method, bad):
    cost = torch.rand(2, 3, 4)
    cost[1, 2, 0] = bad
    with pytest.raises(NonFiniteError, match=r"cost is -?(nan|inf) at index \(1, 2, 0\)"):
        solve(cost, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_negative_and_unequal_masses(method):
    with pytest.raises(ConfigError, match=r"a holds a negative mass: -0.25 at index \(1,\)"):
        solve(torch.rand(3, 3), a=torch.tensor([0.75, -0.25, 0.5]), method=method)
    with pytest.raises(ConfigError, match=r"sum\(a\) is 1 and sum\(b\) 1.5 in problem \(1,\)"):
        solve(torch.rand(2, 3), a=torch.tensor([0.5, 0.5]), b=torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0.5]]))
    with pytest.raises(NonFiniteError, match=r"b is nan at index \(2,\)"):
        solve(torch.rand(3, 3), b=torch.tensor([0.5, 0.5, float("nan")]), method=method)
    with pytest.raises(NonFiniteError, match=r"b is inf at index \(0,\)"):
        solve(torch.rand(3, 3), b=torch.tensor([float("inf"), 0.5, 0.5]), method=method)
    with pytest.raises(ConfigError, match=r"b holds no mass at all in problem \(1,\)"):
        solve(torch.rand(3, 3), b=torch.tensor([[0.5, 0.5, 0], [0, 0, 0]]), method=method)


def test_shapes():
    with pytest.raises(ShapeError, match=r"at least one row.*\[0, 3\]"):
        solve(torch.rand(0, 3))
    with pytest.raises(ShapeError, match=r"it is \[3\]"):
        solve(torch.rand(3))
    with pytest.raises(ShapeError, match=r"last dimension must be 3; cost is \[3, 4\], a is \[4\]"):
        solve(torch.rand(3, 4), a=torch.ones(4))
    with pytest.raises(ShapeError, match=r"leading dimensions do not fit.*cost \[2, 3, 4\].*b \[5, 4\]"):
        solve(torch.rand(2, 3, 4), b=torch.ones(5, 4))
    with pytest.raises(ShapeError, match=r"no problem to solve"):
        solve(torch.rand(3, 4), b=torch.ones(0, 4))
    with pytest.raises(ShapeError, match=r"potentials: g must be \[..., 4\]; it is \[3\]"):
        solve(torch.rand(3, 4), potentials=(torch.zeros(3), torch.zeros(3)))
    with pytest.raises(NonFiniteError, match="potentials: f"):
        solve(torch.rand(1, 4), potentials=(torch.tensor([float("nan")]), torch.zeros(4)))


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "proximal"])
@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf")])
def test_epsilon_must_be_positive(method, epsilon):
    with pytest.raises(ConfigError, match=r"(epsilon|beta) must be a positive number"):
        solve(torch.rand(3, 4), epsilon=epsilon, method=method)


def test_tol_and_method():
    with pytest.raises(ConfigError, match="tol must be a positive number"):
        solve(torch.rand(3, 4), tol=0.0)
    with pytest.raises(ConfigError, match="Close to it: sinkhorn"):
        solve(torch.rand(3, 4), method="sinkhron")  # type: ignore[arg-type]


def test_totals_that_differ_by_rounding_are_made_equal():
    a, b = torch.rand(1000).softmax(0) * 1.00003, torch.rand(500).softmax(0)
    problem = problem_of(torch.rand(1000, 500), a, b)
    assert torch.allclose(problem.a.double().sum(), problem.b.double().sum(), rtol=1e-7)
    half = problem_of(torch.rand(1000, 500).half(), torch.rand(1000).softmax(0).bfloat16(), torch.rand(500).softmax(0))
    assert torch.allclose(half.a.sum(), half.b.sum(), rtol=1e-6)
    assert half.cost.dtype == half.a.dtype == torch.float32


def test_masses_left_out_are_uniform_with_the_other_total():
    problem = problem_of(torch.rand(5, 3, 2), a=torch.tensor([1.0, 2.0, 3.0]))
    assert problem.a.shape == (5, 3)
    assert torch.equal(problem.b, torch.full((5, 2), 3.0))
    assert torch.equal(problem_of(torch.rand(3, 2)).b, torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32, torch.float64])
def test_only_half_precision_explains_one_in_a_hundred(dtype):
    a, b = torch.tensor([25] * 4), torch.tensor([20] * 4 + [21])
    with pytest.raises(ConfigError, match=r"sum\(a\) is 100 and sum\(b\) 101"):
        solve(torch.rand(4, 5), a.to(dtype), b.to(dtype))
    assert solve(torch.rand(4, 5), a.half(), b.half()).converged
    with pytest.raises(ConfigError, match=r"sum\(a\) is 4 and sum\(b\) 5"):
        solve(torch.rand(4, 5), torch.ones(4, dtype=torch.bool), torch.ones(5, dtype=torch.bool))


def test_what_is_no_real_tensor():
    cost = torch.rand(2, 2)
    with pytest.raises(ConfigError, match=r"cost must hold real numbers; it is torch.complex64"):
        solve(cost.to(torch.complex64))
    with pytest.raises(ConfigError, match=r"b must hold real numbers; it is torch.complex128"):
        solve(cost, b=torch.ones(2, dtype=torch.complex128))
    with pytest.raises(ConfigError, match=r"cost must be a torch tensor; it is a numpy.ndarray. torch.as_tensor makes"):
        solve(cost.numpy())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"a must be a torch tensor; it is a list. torch.as_tensor makes"):
        solve(cost, [0.5, 0.5])  # type: ignore[arg-type]


def test_potentials_that_are_none():
    cost, f, g = torch.rand(3, 4, 5), torch.zeros(4), torch.zeros(5)
    wrong = (f, "Tensor of length 4"), ((f,), "tuple of length 1"), ((f, g, g), "tuple of length 3"), (3, "int")
    for given, what in wrong:
        with pytest.raises(ConfigError, match=rf"potentials must be the pair \(f, g\).* a {what}"):
            solve(cost, potentials=given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="potentials: g must be a torch tensor; it is a NoneType"):
        solve(cost, potentials=(f, None))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"potentials: f must be a torch tensor; it is a numpy.ndarray"):
        solve(cost, potentials=(f.numpy(), g.numpy()))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"potentials: f is \[2, 4\], which does not expand to the problems' \[3, 4\]"):
        solve(cost, potentials=(f.expand(2, 4), g.expand(2, 5)))
    g = g.expand(3, 5).clone()
    g[2, 1] = float("nan")
    with pytest.raises(NonFiniteError, match=r"potentials: g is nan at index \(2, 1\)"):
        solve(cost, potentials=(f, g))


@pytest.mark.parametrize("epsilon", ["0.05", "small", torch.tensor([0.05, 0.1]), [0.05], None])
def test_epsilon_must_be_a_number(epsilon):
    with pytest.raises(ConfigError, match="epsilon must be a positive number; it is"):
        solve(torch.rand(3, 4), epsilon=epsilon)
