"""The objective: task loss plus weighted transfer terms, as one module that a loop or DDP can wrap."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture import path_root
from kantor.capture.hooks import find
from kantor.capture.masks import Meaning, check_meanings, refuse_unknown_masks
from kantor.core import seeds
from kantor.core.errors import ConfigError, NonFiniteError
from kantor.core.modes import as_trained, buffers_kept, modes_kept
from kantor.core.names import printable
from kantor.data import Batch, as_batch
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.binding import bind
from kantor.objective.check import Look, balanced, described
from kantor.objective.compared import ComparedBatches, compared, refuse_masks, value_of
from kantor.objective.facts import StepZero
from kantor.objective.following import FirstStep, Following
from kantor.objective.gradients import gradient_shares, reached, refuse_without_gradient
from kantor.objective.limits import Limits
from kantor.objective.needs import (
    refuse_made_in_inference_mode,
    refuse_other_classes,
    refuse_other_types,
    refuse_unmet,
)
from kantor.objective.outputs import Networks, Outputs, outputs_of, reads_of
from kantor.objective.sharing import refuse_shared
from kantor.objective.state import known_keys, plain_keys
from kantor.objective.task_term import task_value
from kantor.objective.teachers import LiveTeacher, Read, Teacher, faults
from kantor.objective.terms import Bound, Term
from kantor.tasks import Classification, Task, as_task, check_task

_CLASSIFICATION = Classification()


@dataclass
class Result:
    """What the objective says of one batch."""

    loss: Float[Tensor, ""]
    """The weighted sum, to call ``backward`` on."""
    terms: dict[str, Float[Tensor, ""]]
    """Each term's value before its weight; ``task`` first."""
    logits: Float[Tensor, "batch classes"]
    """The student's."""


class Objective(nn.Module):
    """``task_weight * task + sum of weight_k * term_k``, with the checks that come before the first step.

    Owns the student and the losses, so ``parameters()`` and ``state_dict()`` hold those and nothing of a teacher. A
    state dict has the student under ``student.`` and each term's loss under ``losses.NAME.``, ``/`` in the place of the
    name's dots; it is loaded after :meth:`check`.

    Args:
        student: any module that maps ``batch.inputs["student"]``, a tensor or a mapping of keyword arguments, to
            logits, or to something that holds them (:func:`kantor.capture.layout.logits_of`).
        teachers: name to network, or to another source of outputs (a cache). Networks see ``batch.inputs["teacher"]``,
            or each ``batch.inputs[NAME]`` where teachers see different things.
        terms: losses bound to layers, and penalties on the student's weights.
        task_weight: weight of the task loss, zero or positive.
        task: a :class:`kantor.tasks.Task`, classification if left out; a plain loss on logits and targets; None for
            transfer without labels.
        samples: sample ids are in ``range(samples)``; needed by losses with a memory.
        seed: seeds the losses' own parameters, apart from the student's.
        source: the weights that the student starts from, by parameter name; what penalties compare with.
        start_plans: by the student's layer, the plans of its start (:func:`kantor.transported`), for ``@plan=start``.
        freeze: paths of the student's modules that stay as they are, running statistics included.
        masks: what inputs that are masks say where they are true, by their names: ``kept``, ``padding`` or ``other``
            (:mod:`kantor.capture.masks`, which knows the usual names).

    Raises:
        ConfigError: something of another type than is asked for, a negative task weight, terms without a teacher, an
            unknown path to freeze, a mask of unknown meaning, a teacher that is partly the student, or a student that
            was made in inference mode.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Mapping[str, nn.Module | Teacher],
        terms: Sequence[Term],
        *,
        task_weight: float = 1.0,
        task: Task | Callable[[Tensor, Tensor], Tensor] | None = _CLASSIFICATION,
        samples: int = 0,
        seed: int = 0,
        source: Mapping[str, Tensor] | None = None,
        start_plans: Mapping[str, Tensor] | None = None,
        freeze: Sequence[str] = (),
        masks: Mapping[str, Meaning] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        refuse_other_types(teachers, terms, task_weight)
        for term in terms:
            if isinstance(term.loss, TransferLoss) and not teachers:
                raise ConfigError(f"{term.loss.name} needs a teacher, and none is given.")
            if isinstance(term.loss, WeightPenalty) and not source:
                raise ConfigError(
                    f"{term.loss.name} holds the student to the weights it starts from, and it starts from scratch: "
                    "say where from (start: teacher, in a study), or leave it out."
                )
        for name, teacher in teachers.items():
            network = teacher.network if isinstance(teacher, LiveTeacher) else teacher
            if isinstance(network, nn.Module):
                refuse_shared(student, network, name)
        weights = (*student.parameters(), *student.buffers())
        refuse_made_in_inference_mode("The student was made", weights, "make it, and load its weights, outside.")
        self.student = student
        self.losses = nn.ModuleDict()
        """Each term's loss or penalty, in order; filled by :meth:`check`."""
        # A dictionary and not an attribute each: teachers stay outside modules(), and so outside state_dict().
        self.teachers: dict[str, Teacher] = {}
        for name, teacher in teachers.items():
            self.teachers[name] = LiveTeacher(teacher, name=name) if isinstance(teacher, nn.Module) else teacher
        self.terms = list(terms)
        self.task_weight = task_weight if task is not None else 0.0
        self.task = as_task(task)
        self.samples, self.seed = samples, seed
        check_meanings(masks)
        self.masks = dict(masks)
        self.source, self.start_plans = dict(source or {}), start_plans or {}
        self.frozen = [find(path_root(student), path) for path in freeze]
        for module in self.frozen:
            module.requires_grad_(False)
        if not self.trained:
            what = f"freeze {', '.join(freeze)}" if freeze else "requires_grad=False on all parameters"
            raise ConfigError(f"{what} leaves nothing of the student to train.")
        self.progress = 0.0
        """Share of training done, for weight schedules; the loop sets it before each step: warm-ups begin at 0."""
        self.labels_expected: float | None = None
        """Of a part of a step's batch, see :func:`~kantor.objective.task_term.task_value`; the loop sets it."""
        self.bound: list[Bound] = []
        self.limits: Limits | None = None
        """Of terms under a default weight; made by :meth:`check`, where there is a task to measure against."""
        self._following = Following()
        self.register_state_dict_post_hook(_plain_keys)
        self.register_load_state_dict_pre_hook(_known_keys)

    @property
    def networks(self) -> Networks:
        """The student and its teachers."""
        return Networks(self.student, self.teachers, self.frozen)

    @property
    def trained(self) -> list[nn.Parameter]:
        """What of the student learns."""
        return [p for p in self.student.parameters() if p.requires_grad]

    @property
    def transfers(self) -> list[tuple[TransferLoss, Bound]]:
        """The losses that compare layers, with what they are bound to."""
        return [(bound.loss, bound) for bound in self.bound if isinstance(bound.loss, TransferLoss)]

    def check(self, *given: Any, quiet: bool = False, **named: Any) -> StepZero:
        """Step 0: bind layers, build the losses' parameters, refuse what cannot work, and say what will happen.

        Call it once, before the optimiser is made. The student's weights and running statistics are left as found.

        Args:
            given: a training batch, as :meth:`forward` takes it.
            quiet: do not print.
            named: the same.

        Returns:
            The facts: pairs, shapes, teachers, each term's value, weight and share of the gradient norm.

        Raises:
            ConfigError: unknown layers, other classes under a loss that needs the same, missing ids or targets, or a
                term from which no gradient reaches the student.
            ShapeError: a loss cannot take its layers' shapes, or the task the targets.
            NonFiniteError: a term is not finite on this batch.
        """
        if self.bound:
            raise ConfigError("check() was called before; its losses are built.")
        batch = self._batch(*given, **named)
        for inputs in batch.inputs.values():
            refuse_unknown_masks(inputs, batch.masks)
        refuse_unmet(self.terms, batch, self.samples)
        refuse_other_classes(self.terms, self.student, self.teachers, self.task)
        with torch.random.fork_rng(), buffers_kept(self.student):
            try:
                self.bound = bind(self.terms, self.student, self.teachers, batch)
                self._build(batch)
                if any(b.balance is not None for b in self.bound):
                    terms, _ = self._looked_at(batch)
                    self.bound = balanced(self.bound, terms, self.task_weight, self.trained)
                self.limits = Limits.of(self.bound, self.task_weight)
                terms, outputs = self._looked_at(batch)
                self.limit(terms)
                look = Look(self.networks, self.bound, self.task, outputs, terms, self.weights(), self._asked())
                facts = described(look)
                self._watch(terms)
                for part in self._kept():
                    part.forget()  # what was only looked at is no part of the first step
            except Exception:
                self.bound, self.limits = [], None
                self.losses.clear()
                raise
        if not quiet:
            print(printable(str(facts)))
        return facts

    def forward(self, *given: Any, **named: Any) -> Result:
        """The loss of one batch. Call :meth:`check` first if there are terms.

        ``objective(batch)``, ``objective(inputs, targets)`` and ``objective(input_ids=..., labels=...)`` are all read.

        Args:
            given: a :class:`~kantor.data.Batch`, or what a loader yields: ``(inputs, targets)``, or a mapping
                (:func:`kantor.data.as_batch`).
            named: in its place, the entries of such a mapping.
        """
        batch = self._batch(*given, **named)
        if self.terms and not self.bound:
            raise ConfigError("Call objective.check(batch) before the first step: it builds the losses' parameters.")
        if self.training and torch.is_grad_enabled():
            self._stepped_by(self._following.before_step(self, self.student, self.bound, self.progress))
        terms, outputs = self._values(batch)
        if self.training and torch.is_grad_enabled():
            self.limit(terms)
        logits, weights = outputs.logits, self.weights()
        total = logits.new_zeros((), dtype=torch.promote_types(logits.dtype, torch.float32))
        if "task" in terms:
            total = total + self.task_weight * terms["task"]
        total = total + sum(weights[b.name] * terms[b.name] for b in self.bound)
        return Result(total, terms, logits)

    def weights(self) -> dict[str, float]:
        """Every term's weight as it acts at this point of training, ``task`` first."""
        lowered = {} if self.limits is None else self.limits.now()
        acting = {b.name: lowered.get(b.name, 1.0) * b.weight.at(self.progress) for b in self.bound}
        return {"task": self.task_weight} | acting

    def gradient_shares(self, result: Result, scale: float = 1.0) -> dict[str, float]:
        """Each term's share of the gradient norm in the student's parameters, in [0, 1]; they sum to 1.

        Call it between :meth:`forward` and ``backward``; nothing changes. It costs a backward pass for each term. With
        several processes every one of them calls it.

        Args:
            result: what :meth:`forward` said of a batch.
            scale: a gradient scaler's, which keeps half precision from underflow; shares do not depend on it.
        """
        weights = self.weights()
        weighted = {name: scale * weights[name] * value for name, value in result.terms.items()}
        return gradient_shares(weighted, self.trained)

    def after_step(self) -> None:
        """Commit the losses' memories, averages and potentials, after the optimiser's step.

        Raises:
            ConfigError: the optimiser moves the student and leaves out what the losses learn, or nothing was learned in
                training mode since the last step.
        """
        adaptive = self._following.after_step(self)
        for part in self._kept():
            part.after_step()
        self._stepped_by(adaptive)

    def _stepped_by(self, adaptive: bool | None) -> None:
        if adaptive is not None and self.limits is not None:
            self.limits.stepped_by(adaptive=adaptive)

    def prepare(self, batches: Iterable[Any]) -> None:
        """Run the pretraining of every loss that has one, on batches of training data, the student in training mode.

        Args:
            batches: iterated once per loss and epoch of its pretraining, so no generator: a DataLoader, or
                :meth:`kantor.data.Loader.epochs`.
        """
        with modes_kept(self.student):
            if not self.student.training:
                as_trained(self.student)
            for loss, bound in self.transfers:
                loss.prepare(ComparedBatches(self.networks, self.bound, bound, batches, self._batch), self.trained)

    def reads(self, teacher: str) -> list[Read]:
        """What the bound terms want of one teacher, without repeats."""
        return reads_of(self.bound, teacher)

    def limit(self, terms: Mapping[str, Float[Tensor, ""]]) -> None:
        """Lower the weights of limited terms to what their gradients on this batch allow, where a look is due.

        Args:
            terms: each term's value, with its graph.
        """
        if self.limits is not None and self.limits.due():
            self.limits.look(terms, self._asked(), self.trained)

    def _batch(self, *given: Any, **named: Any) -> Batch:
        """What the objective is called with, with what it knows of masks."""
        batch = as_batch(*given, **named)
        return replace(batch, masks={**batch.masks, **self.masks}) if self.masks else batch

    def _values(self, batch: Batch) -> tuple[dict[str, Float[Tensor, ""]], Outputs]:
        """Each term's value before its weight, ``task`` first, and the outputs that it was taken of."""
        outputs = outputs_of(self.networks, self.bound, batch)
        terms: dict[str, Tensor] = {}
        if self.task is not None:
            if batch.targets is None:
                raise ConfigError(
                    "The batch has no targets, which the task loss needs; give task=None to train without."
                )
            learning, expected = self.training and torch.is_grad_enabled(), self.labels_expected
            terms["task"] = task_value(self.task, outputs.logits, batch.targets, expected=expected, learning=learning)
        for bound in self.bound:
            if isinstance(bound.loss, WeightPenalty):
                terms[bound.name] = bound.loss(path_root(self.student))
            else:
                in_place = self.task is not None and self.task.labels == "maps"
                terms[bound.name] = value_of(bound, outputs, in_place=in_place)
        return terms, outputs

    def _looked_at(self, batch: Batch) -> tuple[dict[str, Float[Tensor, ""]], Outputs]:
        """The values and outputs of a batch that is no part of training, every term with a gradient in the student.

        Raises:
            ConfigError: one has none.
        """
        try:
            with torch.enable_grad():
                terms, outputs = self._values(batch)
        finally:
            for loss, _ in self.transfers:
                loss.forget()
        bound = [bound for _, bound in self.transfers]
        refuse_without_gradient(terms, bound, outputs.student, self.task_weight, self.trained)
        return terms, outputs

    def _watch(self, terms: Mapping[str, Float[Tensor, ""]]) -> None:
        """Watch over the parameters that should move at the first step, and over what is kept from step to step."""
        own = {bound.name: [p for p in loss.parameters() if p.requires_grad] for loss, bound in self.transfers}
        keeping = [b.name for loss, b in self.transfers if type(loss).after_step is not TransferLoss.after_step]
        keeping += [] if self.limits is None else ["a limited weight"]
        learning = {name: reached(terms[name], found) for name, found in own.items()}
        self._following.first, self._following.keeping = FirstStep(self, self.trained, learning, keeping), keeping

    def _asked(self) -> dict[str, float]:
        """Every term's weight before its limit."""
        return {bound.name: bound.weight.at(self.progress) for bound in self.bound}

    def _kept(self) -> list[TransferLoss | Limits]:
        """What keeps something from step to step."""
        return [*(loss for loss, _ in self.transfers), *([] if self.limits is None else [self.limits])]

    def _build(self, batch: Batch) -> None:
        with torch.no_grad():
            outputs = outputs_of(self.networks, self.bound, batch)
        if found := faults(outputs.teachers, batch.ids):
            raise NonFiniteError(f"{' '.join(found)} Check that teacher, or its data.")
        logits = outputs.logits
        if self.task is not None and batch.targets is not None:
            check_task(self.task, logits, batch.targets)
            if not self.task.counted(batch.targets):
                raise ConfigError("No label of this batch counts: all are ignored. Check a batch that has some.")
        for index, bound in enumerate(self.bound):
            seeds.seed_all(self.seed, seeds.LOSS, index)
            if isinstance(bound.loss, WeightPenalty):
                bound.loss.build(path_root(self.student), self.source)
            else:
                sides = compared(bound, outputs)
                bound.loss.hold(self.start_plans.get(bound.layer_of_both))
                bound.loss.build(*sides.shapes, self.samples)
                refuse_masks(bound, sides)
            # In half precision they would not learn; losses compute in float32 at least.
            bound.loss.to(logits.device, torch.float64 if logits.dtype == torch.float64 else None)
            self.losses[bound.key] = bound.loss


def _plain_keys(objective: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:  # noqa: ARG001
    plain_keys(state, prefix)


def _known_keys(objective: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    assert isinstance(objective, Objective)
    if objective.terms and not objective.bound:
        raise ConfigError(
            "Call objective.check(batch) before load_state_dict(): it makes the losses' parameters, which are loaded."
        )
    known_keys(state, prefix, [key for key, _ in _entries(objective)], list(objective.losses))
    if objective.limits is not None:  # a state that was saved before there were limits begins them anew
        for key, value in objective.limits.state_dict(prefix=f"{prefix}limits.").items():
            state.setdefault(key, value)


def _entries(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
