"""The slow plan: a transport plan between neurons that stands still while batches come and go.

Neurons persist from step to step, the batch does not: with few samples the best plan of one batch is not that of
the next, and a plan that moves with every batch is a moving target. So the plan is solved on statistics gathered
over many samples, from the last potentials; the gradient flows through the current batch's cost alone.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor import ot
from kantor.core.errors import ConfigError
from kantor.losses.settings import positive
from kantor.ot.cost import CostKind
from kantor.ot.moments import Moments, cost_from, moments

DRIFT = 0.3
"""Weight of the last step in how the potentials move from step to step."""


@dataclass(frozen=True)
class Solved:
    """A plan and what it was solved on."""

    plan: Float[Tensor, "teacher_neurons student_neurons"]
    potentials: tuple[Float[Tensor, " teacher_neurons"], Float[Tensor, " student_neurons"]] | None
    statistics: Moments


@dataclass(frozen=True)
class Held:
    """What the forwards of a step saw, until the step is made."""

    batch: Moments
    rows: int
    solved: Solved | None
    """What their plan was solved on; None where they were several."""


class SlowPlan(nn.Module):
    """Statistics, potentials and plan between two sets of neurons, kept over training and saved with it.

    Two ways to be slow:

    - ``momentum`` in (0, 1): statistics are a running average over batches, the plan is solved at every step.
    - ``every`` > 0: every so many steps the statistics of the next ``samples`` samples are gathered (from training
      batches as they pass, which costs no forward pass), then the plan is solved once and stands until the next time.

    With neither (momentum 0) the plan is solved afresh on each batch.

    Args:
        teacher: number of teacher neurons.
        student: number of student neurons.
        kind: the ground cost, which says what statistics it is made of.
        solve: settings for :func:`kantor.ot.solve`; ``epsilon`` is a share of the mean cost.
        momentum: weight of the past in the running average, in [0, 1).
        every: steps between refreshes; 0 for the running average.
        samples: rows of the batch (images) gathered for a refresh.
        activation: masses in proportion to each neuron's activation norm, instead of uniform.
    """

    plan: Tensor
    f: Tensor
    g: Tensor
    drift: Tensor
    steps: Tensor
    gathered: Tensor

    def __init__(
        self,
        teacher: int,
        student: int,
        kind: CostKind,
        *,
        solve: "SolveSettings",
        momentum: float = 0.99,
        every: int = 0,
        samples: int = 0,
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.kind: CostKind = kind
        self.solve = solve
        self.momentum = momentum
        self.every, self.samples = every, samples
        self.activation = activation
        template = moments(torch.zeros(1, teacher), torch.zeros(1, student), kind)
        self._fields = [field.name for field in fields(Moments) if getattr(template, field.name) is not None]
        for name in self._fields:
            self.register_buffer(f"seen_{name}", torch.zeros_like(getattr(template, name)))
        self.register_buffer("plan", torch.full((teacher, student), 1.0 / (teacher * student)))
        self.register_buffer("f", torch.zeros(teacher, dtype=torch.float64))
        self.register_buffer("g", torch.zeros(student, dtype=torch.float64))
        self.register_buffer("drift", torch.zeros(student, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("gathered", torch.zeros((), dtype=torch.long))
        self._held: Held | None = None

    def forward(self, batch: Moments, rows: int) -> Float[Tensor, "teacher_neurons student_neurons"]:
        """The plan for this step, given the current batch's (detached, global) statistics. Changes no state.

        What it was solved on is held for :meth:`after_step`, unless under ``no_grad`` or in eval mode: somebody is only
        looking.

        Args:
            batch: statistics of this step's global batch, or of one of its micro-batches.
            rows: how many samples that is.
        """
        solved = self._solved_on(batch, rows)
        if self.training and torch.is_grad_enabled():
            before = self._held
            self._held = (
                Held(batch, rows, solved) if before is None else Held(before.batch + batch, before.rows + rows, None)
            )
        return solved.plan

    def _solved_on(self, batch: Moments, rows: int) -> Solved:
        first = int(self.steps) == 0
        if not self.every:
            statistics = batch if first else self.seen().scaled(self.momentum) + batch
            return self._solved(statistics, warm=not first)
        if self._gathering():
            statistics = batch if int(self.gathered) == 0 else self.seen() + batch
            complete = int(self.gathered) + rows >= self.samples
            # Until the first sample is complete there is no plan to keep: solve on what there is.
            never_complete = int(self.steps) * rows < self.samples
            return self._solved(statistics, warm=not first) if complete or never_complete else self._kept(statistics)
        return self._kept(self.seen())

    @torch.no_grad()
    def after_step(self) -> None:
        """Commit the statistics of the step's batch, and the potentials and plan of what has been gathered with it.

        The plan of several micro-batches is solved once more, on all of them: the one of the whole batch.
        """
        held = self._held
        if held is None:
            return
        solved = held.solved or self._solved_on(held.batch, held.rows)
        if self.every:
            self.gathered += held.rows if self._gathering() else 0
        self.plan.copy_(solved.plan)
        if solved.potentials is not None:
            f, g = solved.potentials
            # A running average goes on moving as it moved in the last steps, and the potentials with it; a step alone
            # also moves by what its batch happens to hold. What is renewed from a fresh sample jumps.
            if self.momentum > 0 and not self.every and int(self.steps) > 0:
                self.drift += DRIFT * (g - self.g - self.drift)
            self.f.copy_(f)
            self.g.copy_(g)
        for name in self._fields:
            getattr(self, f"seen_{name}").copy_(getattr(solved.statistics, name))
        self.steps += 1
        # A sample that outlasts the period is completed first: the plan would never be renewed otherwise.
        if self.every and int(self.steps) % self.every == 0 and not self._gathering():
            self.gathered.zero_()
        self.forget()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.forget()  # it belongs to the state that is replaced
        super()._load_from_state_dict(*args, **kwargs)

    def forget(self) -> None:
        """Drop what is held for :meth:`after_step`."""
        self._held = None

    def seen(self) -> Moments:
        """The statistics gathered so far."""
        return Moments(**{name: getattr(self, f"seen_{name}") for name in self._fields})

    def _gathering(self) -> bool:
        return int(self.gathered) < self.samples

    def _kept(self, statistics: Moments) -> Solved:
        return Solved(self.plan.clone(), None, statistics)

    def _solved(self, statistics: Moments, warm: bool) -> Solved:
        cost = cost_from(statistics, self.kind)
        a, b = activation_masses(statistics) if self.activation else (None, None)
        transport = self.solve(cost, a, b, potentials=(self.f, self.g + self.drift) if warm else None)
        return Solved(transport.plan.to(self.plan.dtype), transport.potentials, statistics)


@dataclass(frozen=True)
class SolveSettings:
    """How plans between neurons are solved.

    Args:
        method: ``sinkhorn``, ``exact`` (linear assignment; unequal widths need POT) or ``proximal`` (IPOT, the solver
            of the WCoRD authors).
        epsilon: regularisation of ``sinkhorn`` (default .02), or beta of each ``proximal`` step (default .5), as a
            share of the mean cost. ``exact`` does not read it.
        tol: accepted L1 error of the plan's marginals.
    """

    method: str = "sinkhorn"
    epsilon: float | None = None
    tol: float = 1e-3

    def __post_init__(self) -> None:
        if self.method not in ("sinkhorn", "exact", "proximal"):
            raise ConfigError(f"neuron_transport: solver is sinkhorn, exact or proximal, not {self.method!r}.")
        if self.epsilon is not None:
            positive("neuron_transport", epsilon=self.epsilon)
        positive("neuron_transport", tol=self.tol)

    def __call__(
        self,
        cost: Float[Tensor, "n m"],
        a: Float[Tensor, " n"] | None = None,
        b: Float[Tensor, " m"] | None = None,
        potentials: tuple[Tensor, Tensor] | None = None,
    ) -> "ot.Transport":
        """Solve one problem."""
        if self.method == "exact":
            return ot.solve(cost, a, b, method="exact")
        share = self.epsilon or (0.5 if self.method == "proximal" else 0.02)
        mean = cost.detach().abs().mean().item()
        # A cost of zeros (both sides equal) has no scale of its own; solve refuses one that is not finite.
        epsilon = share * (max(mean, 1e-12) if math.isfinite(mean) else 1.0)
        if self.method == "proximal":
            return ot.solve(cost, a, b, epsilon=epsilon, tol=self.tol, method="proximal")
        return ot.solve(cost, a, b, epsilon=epsilon, tol=self.tol, potentials=potentials)


def activation_masses(
    statistics: Moments,
) -> tuple[Float[Tensor, " teacher_neurons"], Float[Tensor, " student_neurons"]]:
    """Masses in proportion to each neuron's root mean square activation; uniform where all are zero."""
    return _shares(statistics.x_square.sqrt()), _shares(statistics.y_square.sqrt())


def _shares(norms: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    total = norms.sum()
    return norms / total if total > 0 else torch.full_like(norms, 1.0 / len(norms))
