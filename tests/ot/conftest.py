"""A reference that shares no code with the library, and one checker for everything a transport promises."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kantor.ot import Transport


@pytest.fixture(autouse=True)
def _seeded() -> None:
    # The same numbers whatever ran before, alone or spread over workers.
    torch.manual_seed(0)


@pytest.fixture(params=["compiled", "calls"])
def compiled_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Numba, and as where it is not installed."""
    if request.param == "compiled":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    else:
        for module in ("auto", "transport"):
            monkeypatch.setattr(f"kantor.ot.{module}.numba_on", lambda: False)


def _log_domain(cost: Tensor, a: Tensor, b: Tensor, epsilon: float, sweeps: int) -> tuple[Tensor, Tensor]:
    cost, a, b = cost.double(), a.double(), b.double()
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    schedule = [epsilon * 2.0**k for k in range(12, 0, -1)]
    for level, count in [*((e, 20) for e in schedule), (epsilon, sweeps)]:
        for _ in range(count):
            f = -level * torch.logsumexp((g[..., None, :] - cost) / level + b.log()[..., None, :], dim=-1)
            g = -level * torch.logsumexp((f[..., :, None] - cost) / level + a.log()[..., :, None], dim=-2)
    return f, g


@pytest.fixture(scope="session")
def reference() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """``(cost, a, b, epsilon) -> plan, <P, C>, value`` by plain float64 log-domain sweeps, for masses of total 1.

    They are slow: what was solved for one tolerance or way of computing is not solved for the next.
    """
    solved: dict[tuple[bytes | float, ...], tuple[Tensor, Tensor]] = {}

    def solve(cost: Tensor, a: Tensor, b: Tensor, epsilon: float, sweeps: int = 3000) -> tuple[Tensor, Tensor, Tensor]:
        key = (*(x.detach().double().numpy().tobytes() for x in (cost, a, b)), epsilon, sweeps)
        if key not in solved:
            solved[key] = _log_domain(cost.detach(), a.detach(), b.detach(), epsilon, sweeps)
        f, g = solved[key]
        cost, a, b = cost.double(), a.double(), b.double()
        plan = a[..., :, None] * b[..., None, :] * ((f[..., :, None] + g[..., None, :] - cost) / epsilon).exp()
        return plan, (plan * cost).sum((-2, -1)), (a * f).sum(-1) + (b * g).sum(-1)

    return solve


@pytest.fixture(scope="session")
def check() -> Callable[..., None]:
    """Checks a converged entropic transport against its own definition, in float64, from its potentials."""

    def check_transport(transport: Transport, tol: float) -> None:
        problem, epsilon = transport.problem, transport.epsilon
        assert transport.converged.all()
        assert transport.potentials is not None
        assert epsilon is not None
        f, g = transport.potentials
        assert f.dtype == g.dtype == torch.float64
        assert f.isfinite().all()
        assert g.isfinite().all()
        cost, a, b = problem.cost.double(), problem.a.double(), problem.b.double()
        plan = a[..., :, None] * b[..., None, :] * ((f[..., :, None] + g[..., None, :] - cost) / epsilon).exp()
        total = a.sum(-1)
        error = ((plan.sum(-1) - a).abs().sum(-1) + (plan.sum(-2) - b).abs().sum(-1)) / total
        # Masses in float32 do not add up to the same total to the last digit.
        dust = 5e-8 if problem.a.dtype == torch.float32 else 1e-12
        assert (error <= 1.01 * tol + dust).all(), f"marginals are off by {error.max():.2e}, tol {tol:.0e}"
        assert (error <= 1.01 * transport.marginal_error + dust).all(), "the error was worse than was said"
        assert (transport.marginal_error <= 1.3 * error + 1e-6 + 0.05 * tol).all(), "the error was better than was said"
        rounding = 1e-5 if problem.cost.dtype == torch.float32 else 1e-10
        assert torch.allclose(transport.plan.double(), plan, rtol=rounding, atol=rounding * plan.max().item())
        scale = cost.abs().mean().clamp_min(epsilon)
        assert ((transport.cost - (plan * cost).sum((-2, -1))).abs() <= 10 * rounding * scale * total).all()
        mass_a_b = (a[..., :, None] * b[..., None, :]).clamp_min(1e-300)
        kl = (plan * (plan.clamp_min(1e-300) / mass_a_b).log() - plan).sum((-2, -1)) + total.square()
        primal = (plan * cost).sum((-2, -1)) + epsilon * kl
        # Primal and dual differ by what the marginals are off, times the potentials.
        size = torch.maximum(f.amax(-1) - f.amin(-1), g.amax(-1) - g.amin(-1)) + epsilon
        gap = (transport.value.double() - primal).abs()
        assert (gap <= (2 * tol + 10 * rounding) * (size + scale) * total.clamp_min(1)).all()

    return check_transport
