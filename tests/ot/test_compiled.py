"""Every solver inside ``torch.compile``, used again, with and without autocast, gives what eager code gets."""

import pytest
import torch

from kantor.ot import Exact, cost, divergence, partial, solve, unbalanced

# Dynamo looks at gradients and makes an instance of our functions, not we.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated"),
]


@pytest.fixture(autouse=True)
def _fresh():
    torch.manual_seed(0)
    torch._dynamo.reset()


def agree(step, *shape, calls=2):
    compiled = torch.compile(step, backend="aot_eager")
    for _ in range(calls):
        x = torch.rand(*shape, requires_grad=True)
        (found,), (expected,) = (torch.autograd.grad(function(x), x) for function in (compiled, step))
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "number", "autocast"),
    [
        *(("auto", number, autocast) for number in ("value", "cost") for autocast in (False, True)),
        *(
            (method, number, number == "cost")
            for method in ("sinkhorn", "exact", "proximal")
            for number in ("value", "cost")
        ),
    ],
)
def test_used_twice(method, number, autocast):
    def step(x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            matrix = cost(x, x + 1, "cosine")
            first = solve(matrix, epsilon=0.5, method=method)
            # Both numbers again from the same transport, and a second one that starts where the first ended.
            second = solve(2 * matrix, epsilon=0.5, method=method, potentials=first.potentials)
            return getattr(first, number) + 2 * getattr(first, number) + getattr(second, number)

    agree(step, 6, 3)


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "exact"])
def test_masses(method):
    if method == "exact":
        pytest.importorskip("ot", reason="POT is an extra")

    def step(x):
        return solve(cost(x, x[:4] + 1), x.sum(1).softmax(0), epsilon=0.5, method=method).value

    agree(step, 6, 3)


def test_masses_of_a_plan_without_potentials():
    """Its cost has no gradient in the masses, and nobody asked for its value."""

    def step(x):
        return solve(cost(x, x + 1), x.sum(1).softmax(0), epsilon=0.5, method="proximal").cost

    agree(step, 6, 3)


def test_a_transport_from_outside():
    x = torch.rand(6, 3, requires_grad=True)
    for method in ("auto", "exact"):
        transport = solve(cost(x, x + 1), method=method)
        compiled = torch.compile(lambda transport: 2 * transport.value + transport.cost, backend="aot_eager")
        found, expected = compiled(transport), 2 * transport.value + transport.cost
        grads = [torch.autograd.grad(number, x, retain_graph=True)[0] for number in (found, expected)]
        assert torch.allclose(*grads, atol=1e-6)


@pytest.mark.parametrize(
    "step",
    [
        lambda x: Exact()(cost(x, x + 1)).value,
        lambda x: divergence(x, x.flip(0) * 2, epsilon=0.5),
        lambda x: unbalanced(cost(x, x + 1), epsilon=0.5).value,
        lambda x: partial(cost(x, x + 1), epsilon=0.5).cost,
    ],
    ids=["Exact", "divergence", "unbalanced", "partial"],
)
def test_other_kinds(step):
    agree(step, 6, 3)


def test_a_batch():
    agree(lambda x: solve(cost(x, x + 1), epsilon=0.5).value.sum(), 20, 6, 3)
