"""Neuron transport: match the neurons of two layers by optimal transport (Li et al., arXiv 2007.06737)."""

import math
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ConfigError, ShapeError, suggest
from kantor.losses.base import Mask, Shapes, TransferLoss
from kantor.losses.checks import DROP_LAST, same_samples
from kantor.losses.features import as_map, pool
from kantor.losses.masks import common_positions, kept_rows, single_mask
from kantor.losses.precision import transfer
from kantor.losses.settings import not_negative, positive, share
from kantor.losses.slow_plan import SlowPlan, SolveSettings, activation_masses
from kantor.losses.stages import single
from kantor.ot.cost import CostKind, Normaliser, normalised
from kantor.ot.moments import Moments, cost_from, moments

Spatial = Literal["pooled", "positions"]
PlanKind = Literal["optimal", "identity", "random", "uniform", "start"]
Masses = Literal["uniform", "activation"]

_EPSILON: dict[Spatial, float | None] = {"pooled": None, "positions": 0.005}
"""Of the optimal plan, by default, where it is not :class:`~kantor.losses.slow_plan.SolveSettings`' own. Correlations
over positions lie closer together than those of means, and a softer plan is a blur there (docs/default-epsilon.md)."""


@transfer
def neuron_transport(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    *,
    cost: CostKind = "correlation",
    normalise: Normaliser | None = None,
    spatial: Spatial = "pooled",
    masses: Masses = "uniform",
    plan: Float[Tensor, "teacher_neurons student_neurons"] | None = None,
    solve: SolveSettings | None = None,
    student_mask: Mask = None,
    teacher_mask: Mask = None,
) -> Float[Tensor, ""]:
    """``sum_ij P_ij M_ij`` with ``M_ij`` the cost between teacher neuron i and student neuron j over the samples.

    A neuron is a function, seen through its activations; ``P`` is the transport plan between the two sets of
    neurons, held fixed, so the gradient flows through ``M`` alone: ``sum_i P_ij dM_ij/dB_j`` for student neuron j.
    The value is blind to the order of neurons and needs no equal number of them. No section of the paper is cited,
    since we could not read its text: the choices of cost, masses and layers are ours.

    Args:
        student: ``[batch, neurons]``, ``[batch, channels, h, w]`` or ``[batch, tokens, dim]``.
        teacher: the same for the teacher, of any width.
        cost: how two activation vectors are compared. The paper does not state it where we could read; we use
            ``correlation``, which does not see a neuron's scale and offset. Squared Euclidean is the mean over samples.
        normalise: divide the cost by its detached ``mean`` or ``max``.
        spatial: a channel is one neuron; ``pooled`` averages it over positions, ``positions`` takes every position of
            every image as a sample (the finer map is averaged to the coarser grid).
        masses: each neuron's share: ``uniform``, or in proportion to its ``activation`` norm.
        plan: a plan to hold, instead of the optimal plan of this batch; rows are teacher neurons.
        solve: how the optimal plan is found.
        student_mask: positions of the student's that count, ``[batch, positions]``; all where left out. Over
            ``positions`` both sides must have the same ones.
        teacher_mask: the same of the teacher's.

    Returns:
        The transport cost, a scalar in the units of ``cost``. Under several processes that of the global batch.

    Raises:
        ShapeError: the layers have other samples, ``positions`` is asked of vectors, a correlation of one sample, or
            the plan has other neurons.
        ConfigError: an unknown cost, spatial mode or kind of masses.
    """
    masks = {"student_mask": student_mask, "teacher_mask": teacher_mask}
    batch = neuron_moments(student, teacher, cost, spatial, **masks).map(sum_over_ranks)
    if plan is None:
        held = batch.map(torch.Tensor.detach)
        a, b = activation_masses(held) if masses == "activation" else (None, None)
        plan = (solve or SolveSettings(epsilon=_EPSILON[spatial]))(cost_from(held, cost), a, b).plan
    elif plan.shape != batch.cross.shape:
        raise ShapeError(
            f"neuron_transport: a plan is [teacher neurons, student neurons], here {tuple(batch.cross.shape)}; the "
            f"given one is {tuple(plan.shape)}."
        )
    return _transported(plan, batch, cost, normalise, student.dtype)


def neuron_moments(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    cost: CostKind,
    spatial: Spatial,
    *,
    student_mask: Mask = None,
    teacher_mask: Mask = None,
) -> Moments:
    """What the cost between teacher neurons (x) and student neurons (y) is made of, on this process's samples.

    Args:
        student: see :func:`neuron_transport`, as the others.
        teacher: see there.
        cost: see there.
        spatial: see there.
        student_mask: positions of the student's that count; all where left out. Over ``positions`` both sides must have
            the same ones.
        teacher_mask: the same of the teacher's.
    """
    same_samples("neuron_transport", student, teacher)
    if spatial == "pooled":
        s, t = pool(student, student_mask), pool(teacher, teacher_mask)
    elif spatial == "positions":
        s, t, mask = common_positions("neuron_transport", student, teacher, student_mask, teacher_mask)
        s, t = (x.flatten(2).mT if mask is None else kept_rows(x, mask) for x in (s, t))
    else:
        raise ConfigError(f"neuron_transport: spatial is pooled or positions, not {spatial!r}.")
    if cost == "correlation" and math.prod(s.shape[:-1]) * world_size() < 2:
        raise ShapeError(
            "neuron_transport: a neuron's correlation is over samples, and here is one: the student's output is "
            f"{tuple(student.shape)}. Give two or more, or another cost. {DROP_LAST}"
        )
    return moments(t, s, cost)


def identity_plan(teacher: int, student: int) -> Float[Tensor, "teacher_neurons student_neurons"]:
    """The control that ignores what neurons do: teacher unit i with student unit ``floor(i d_S / d_T)``.

    With more student than teacher units it is the student's unit j with teacher unit ``floor(j d_T / d_S)``, so that
    every unit has a partner. The wider side's masses are uniform, and so are the other's where the widths divide.
    """
    if teacher < student:
        return identity_plan(student, teacher).mT
    plan = torch.zeros(teacher, student)
    rows = torch.arange(teacher)
    plan[rows, rows * student // teacher] = 1.0 / teacher
    return plan


class NeuronTransport(TransferLoss):
    """:func:`neuron_transport` with a plan that stands still (:class:`~kantor.losses.slow_plan.SlowPlan`).

    The default weight comes from a search on validation data (``docs/default-weights.md``). State: the statistics,
    ``2 (d_T + d_S) + d_T d_S`` doubles (``d_T d_S`` more for the cost l1), ``d_T + d_S`` doubles of potentials, and
    the plan, ``d_T d_S`` floats; for a control its fixed plan alone.

    Args:
        cost, normalise, spatial, masses: see :func:`neuron_transport`.
        solver, epsilon, tol: see :class:`~kantor.losses.slow_plan.SolveSettings`; over ``positions`` epsilon
            is .005 unless given.
        plan: ``optimal``; ``start``, the plan by which the student's start was carried from this teacher
            (:func:`kantor.transported`); or a control that never looks at activations: ``identity`` (unit i with unit
            i; blocks when widths differ), ``random`` (one fixed permutation of it), ``uniform`` (every unit with every
            unit).
        plan_momentum: weight of the past in the statistics the plan is solved on; 0 solves afresh on each batch.
        plan_every: instead, steps between refreshes of the plan from ``plan_samples`` samples.
        plan_samples: how many samples a refresh gathers.

    Raises:
        ConfigError: a setting is unknown, or settings contradict each other.
    """

    name: ClassVar = "neuron_transport"
    paper: ClassVar = "arXiv 2007.06737"
    default_weight: ClassVar = 20.0
    reads: ClassVar = "feature"
    takes_mask = True

    def __init__(
        self,
        cost: CostKind = "correlation",
        normalise: Normaliser | None = None,
        spatial: Spatial = "pooled",
        masses: Masses = "uniform",
        plan: PlanKind = "optimal",
        solver: str = "sinkhorn",
        epsilon: float | None = None,
        tol: float = 1e-3,
        plan_momentum: float = 0.99,
        plan_every: int = 0,
        plan_samples: int = 2000,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("cost", cost, CostKind),
            ("spatial", spatial, Spatial),
            ("masses", masses, Masses),
            ("plan", plan, PlanKind),
        ):
            if value not in get_args(known):
                raise ConfigError(f"neuron_transport: unknown {name} {value!r}. {suggest(str(value), get_args(known))}")
        if normalise is not None and normalise not in get_args(Normaliser):
            raise ConfigError(f"neuron_transport: normalise is mean, max or None, not {normalise!r}.")
        share(self.name, plan_momentum=plan_momentum)
        not_negative(self.name, plan_every=plan_every)
        positive(self.name, plan_samples=plan_samples)
        if plan != "optimal" and masses != "uniform":
            raise ConfigError(f"neuron_transport: the {plan} plan has uniform masses; leave `masses` out.")
        self.cost: CostKind = cost
        self.normalise: Normaliser | None = normalise
        self.spatial: Spatial = spatial
        self.masses: Masses = masses
        self.plan_kind: PlanKind = plan
        sharp = _EPSILON[spatial] if epsilon is None and solver == "sinkhorn" else epsilon
        self.solve = SolveSettings(solver, sharp, tol)
        self.plan_momentum, self.plan_every, self.plan_samples = plan_momentum, plan_every, plan_samples
        self.needs_start_plan = plan == "start"
        self._held: Tensor | None = None

    @property
    def usual_stages(self) -> int:  # type: ignore[override]
        """Three stages teach more than the last alone (docs/defaults.md). The plan of a start is of layers of one name,
        which all three need not be."""
        return 1 if self.needs_start_plan else 3

    @property
    def pooled(self) -> bool:  # type: ignore[override]
        """Whether maps are seen only through their mean over positions."""
        return self.spatial == "pooled"

    @property
    def by_position(self) -> bool:  # type: ignore[override]
        """Whether every position is a sample."""
        return self.spatial == "positions"

    @property
    def on_grid(self) -> bool:  # type: ignore[override]
        """Whether it matters where positions lie."""
        return self.by_position

    def hold(self, plan: Float[Tensor, "teacher_neurons student_neurons"] | None) -> None:
        """Take the plan of the start, for these layers; None where there is none.

        Raises:
            ConfigError: there is none.
        """
        if plan is None and self.needs_start_plan:
            raise ConfigError(
                "neuron_transport@plan=start holds the plan by which the student's start was carried, and for these "
                "layers there is none: start the student by transport (--start transport), and pair layers of one name."
            )
        self._held = plan

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make the slow plan's state, or the control's fixed plan."""
        (s,), (t,) = student_shapes, teacher_shapes
        student, teacher = (_width(shape, self.spatial) for shape in (s, t))
        if self.plan_kind == "optimal":
            self.slow = SlowPlan(
                teacher,
                student,
                self.cost,
                solve=self.solve,
                momentum=self.plan_momentum,
                every=self.plan_every,
                samples=self.plan_samples,
                activation=self.masses == "activation",
            )
        elif self.plan_kind == "start":
            if self._held is None or self._held.shape != (teacher, student):
                shape = None if self._held is None else tuple(self._held.shape)
                raise ShapeError(
                    f"neuron_transport@plan=start has {teacher} teacher and {student} student neurons here, and the "
                    f"start's plan is {shape}."
                )
            self.register_buffer("fixed", self._held.clone())
        elif self.plan_kind == "uniform":
            self.register_buffer("fixed", torch.full((teacher, student), 1.0 / (teacher * student)))
        else:
            plan = identity_plan(teacher, student)
            if self.plan_kind == "random":
                plan = plan[torch.randperm(teacher)] if teacher >= student else plan[:, torch.randperm(student)]
            self.register_buffer("fixed", plan)

    def after_step(self) -> None:
        """Commit the slow plan's statistics and potentials."""
        if self.plan_kind == "optimal":
            self.slow.after_step()

    def forget(self) -> None:
        """Drop the statistics that are held for :meth:`after_step`."""
        if self.plan_kind == "optimal":
            self.slow.forget()

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`neuron_transport`; the plan is the slow one."""
        student, teacher = single(student), single(teacher)
        masks = {"student_mask": single_mask(student_mask), "teacher_mask": single_mask(teacher_mask)}
        batch = neuron_moments(student, teacher, self.cost, self.spatial, **masks).map(sum_over_ranks)
        if self.plan_kind == "optimal":
            plan = self.slow(batch.map(torch.Tensor.detach), student.shape[0] * world_size())
        else:
            plan = self.get_buffer("fixed")
        return _transported(plan, batch, self.cost, self.normalise, student.dtype)

    def settings(self) -> dict[str, Any]:
        """Every setting that matters for this kind of plan."""
        said: dict[str, Any] = {"cost": self.cost, "spatial": self.spatial, "plan": self.plan_kind}
        if self.normalise:
            said["normalise"] = self.normalise
        if self.plan_kind == "optimal":
            said |= {"masses": self.masses, "solver": self.solve.method}
            if self.solve.epsilon is not None:
                said["epsilon"] = self.solve.epsilon
            said |= (
                {"plan_every": self.plan_every, "plan_samples": self.plan_samples}
                if self.plan_every
                else {"plan_momentum": self.plan_momentum}
            )
        return said


def _transported(
    plan: Tensor, batch: Moments, cost: CostKind, normalise: Normaliser | None, dtype: torch.dtype
) -> Tensor:
    matrix = normalised(cost_from(batch, cost), normalise)
    return (plan.detach().to(matrix.dtype) * matrix).sum().to(torch.promote_types(dtype, torch.float32))


def _width(shape: torch.Size, spatial: Spatial) -> int:
    if len(shape) not in (2, 3, 4, 5) or (spatial == "positions" and len(shape) == 2):
        raise ShapeError(
            f"neuron_transport over {spatial} takes a map or tokens{'' if spatial == 'positions' else ' or vectors'}; "
            f"this layer's output is {tuple(shape)}."
        )
    if spatial == "positions" and len(shape) == 3:
        return as_map(torch.empty(shape, device="meta")).shape[1]
    return shape[2] if len(shape) == 3 else shape[1]
