"""Limits: under its default weight a term never pulls on the student much harder than the task does.

No one weight fits every pair of networks. Correlations of small activations have huge gradients: where a network has
neither norm nor bias, a weight that suits a ResNet leaves the task a hundredth of the gradient, and what was learned is
gone. A limit lowers the weight while that is so. It never raises one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.objective.gradients import gradient_norm
from kantor.objective.terms import Bound
from kantor.objective.weights import automatic_limit

FLOOR = 0.1
"""Where the task's gradient has all but vanished (few labels, learned by heart), a term is measured against this share
of its peak: transfer goes on."""
LOOSENED = 0.5
"""Of the way back up, what is gone at each look; the way down is gone at once."""
_EVERY_STEP = 8
_PRECISION = 2.0**10
"""Gradients of half precision are taken of a loss that is so much larger, lest they underflow."""


class Limits(nn.Module):
    """How far each limited term's weight is lowered, looked at anew now and then. Its state is saved with the losses.

    A look costs a backward pass for the task and each limited term. There is one at each of the first eight steps, then
    eight as often as the number of steps doubles: 90 in ten thousand.

    Args:
        limits: by term, the largest norm of its weighted gradient in the student's parameters, as a multiple of the
            task's under weight 1; ``"auto"`` for :func:`~kantor.objective.weights.automatic_limit`, which takes the
            optimiser for SGD until :meth:`stepped_by` is told of another.
        task_weight: the task's, positive.
    """

    factors: Tensor
    peak: Tensor
    steps: Tensor
    adaptive: Tensor

    def __init__(self, limits: Mapping[str, float | Literal["auto"]], task_weight: float = 1.0) -> None:
        super().__init__()
        self.limits, self.task_weight = dict(limits), task_weight
        self.register_buffer("adaptive", torch.zeros((), dtype=torch.bool))
        self.register_buffer("factors", torch.ones(len(limits), dtype=torch.float64))
        self.register_buffer("peak", torch.zeros((), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self._pending: tuple[Tensor, Tensor] | None = None
        self._before: Tensor | None = None

    @classmethod
    def of(cls, bound: Iterable[Bound], task_weight: float) -> "Limits | None":
        """The limits of bound terms' weights; None where nothing is limited, or no task has a weight to measure by."""
        limits: dict[str, float | Literal["auto"]] = {}
        for term in bound:
            if term.weight.limit is not None:
                limits[term.name] = term.weight.limit
        return cls(limits, task_weight) if limits and task_weight > 0 else None

    def stepped_by(self, *, adaptive: bool) -> None:
        """Learn which kind of optimiser makes the steps; where that changes a limit, the next step takes a look."""
        if adaptive != bool(self.adaptive) and "auto" in self.limits.values():
            self.steps.zero_()
        self.adaptive.fill_(adaptive)

    def due(self) -> bool:
        """Whether this step takes a look, and has taken none.

        There is one a step: where a batch comes in parts whose gradients add up, on the first of them.
        """
        steps = int(self.steps)
        return self._pending is None and steps % (1 << max(0, (steps // _EVERY_STEP).bit_length() - 1)) == 0

    def look(
        self, terms: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float], parameters: Sequence[Tensor]
    ) -> None:
        """Measure the gradients of one batch. With several processes every one of them calls it.

        What is not finite, or has no task to be measured by, changes no factor.

        Args:
            terms: each term's value, with its graph; ``task`` among them.
            weights: each term's weight without its limit.
            parameters: the student's, as far as they are trained.
        """
        task = gradient_norm(terms["task"] * _PRECISION, parameters) / _PRECISION
        peak = torch.clamp(self.peak, min=task)
        allowed = max(task, FLOOR * float(peak))
        if not (math.isfinite(task) and allowed > 0):
            return  # an overflow, whose step is left out, or a batch without a task: there is nothing to measure by
        factors = self.factors.clone()
        automatic = automatic_limit(adaptive=bool(self.adaptive), task_weight=self.task_weight)
        for place, (name, given) in enumerate(self.limits.items()):
            limit = automatic if given == "auto" else given
            pull = weights[name] * gradient_norm(terms[name] * _PRECISION, parameters) / _PRECISION
            if not math.isfinite(pull):
                continue
            factor = min(1.0, limit * allowed / pull) if pull > 0 else 1.0
            before = float(self.factors[place])
            first = int(self.steps) == 0
            factors[place] = factor if first or factor < before else before + LOOSENED * (factor - before)
        self._pending = factors, peak

    def now(self) -> dict[str, float]:
        """What each limited term's weight is multiplied by, in (0, 1]: of the last look, committed or not. Before the
        first step it is that of the look at step 0, so that who computes a value then computes what is printed."""
        factors = self.factors if self._pending is None else self._pending[0]
        if self._pending is None and self._before is not None and int(self.steps) == 0:
            factors = self._before
        return dict(zip(self.limits, factors.tolist(), strict=True))

    def forget(self) -> None:
        """Drop a look that no step followed; the first one stands for what is computed before there is a step."""
        if self._pending is not None and self._before is None:
            self._before = self._pending[0]
        self._pending = None

    def after_step(self) -> None:
        """Commit the last look."""
        if self._pending is not None:
            self.factors.copy_(self._pending[0])
            self.peak.copy_(self._pending[1])
            self._pending = None
        self.steps += 1
