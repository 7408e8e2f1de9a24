"""The objective: task loss plus weighted transfer terms, as one module that a loop or DDP can wrap."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kantor.capture import capture
from kantor.capture.hooks import find
from kantor.core import seeds
from kantor.core.errors import ConfigError, NonFiniteError
from kantor.data import Batch
from kantor.losses.base import Features, TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.binding import bind
from kantor.objective.check import StepZero, balanced, check_needs, gradient_shares, look
from kantor.objective.teachers import LiveTeacher, Read, Teacher, faults, inner
from kantor.objective.terms import Bound, Term

Task = Callable[[Float[Tensor, "batch classes"], Int[Tensor, " batch"]], Float[Tensor, ""]]


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

    Owns the student and the losses, so ``parameters()`` and ``state_dict()`` hold those and nothing of a teacher.

    Args:
        student: any module that maps ``batch.inputs["student"]`` to logits.
        teachers: name to network, or to another source of outputs (a cache). Networks see ``batch.inputs["teacher"]``,
            or each ``batch.inputs[NAME]`` where teachers see different things.
        terms: losses bound to layers, and penalties on the student's weights.
        task_weight: weight of the task loss, zero or positive.
        task: task loss on logits and targets; None for transfer without labels.
        samples: sample ids are in ``range(samples)``; needed by losses with a memory.
        seed: seeds the losses' own parameters, apart from the student's.
        source: the weights that the student starts from, by parameter name; what penalties compare with.
        freeze: paths of the student's modules that stay as they are, running statistics included.

    Raises:
        ConfigError: a negative task weight, terms without a teacher, or an unknown path to freeze.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Mapping[str, nn.Module | Teacher],
        terms: Sequence[Term],
        *,
        task_weight: float = 1.0,
        task: Task | None = F.cross_entropy,
        samples: int = 0,
        seed: int = 0,
        source: Mapping[str, Tensor] | None = None,
        freeze: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if task_weight < 0:
            raise ConfigError(f"task_weight is zero or positive, not {task_weight}.")
        for term in terms:
            if isinstance(term.loss, TransferLoss) and not teachers:
                raise ConfigError(f"{term.loss.name} needs a teacher, and none is given.")
            if isinstance(term.loss, WeightPenalty) and not source:
                raise ConfigError(
                    f"{term.loss.name} holds the student to the weights it starts from, and it starts from scratch: "
                    "say where from (start: teacher, in a study), or leave it out."
                )
        self.student = student
        self._owned = nn.ModuleList(term.loss for term in terms)
        # A dictionary and not an attribute each: teachers stay outside modules(), and so outside state_dict().
        self.teachers: dict[str, Teacher] = {}
        for name, teacher in teachers.items():
            self.teachers[name] = LiveTeacher(teacher, name=name) if isinstance(teacher, nn.Module) else teacher
        self.terms = list(terms)
        self.task_weight = task_weight if task is not None else 0.0
        self.task = task
        self.samples = samples
        self.seed = seed
        self.source = dict(source or {})
        self.frozen = [find(inner(student), path) for path in freeze]
        for module in self.frozen:
            module.requires_grad_(False)
        if not any(p.requires_grad for p in student.parameters()):
            raise ConfigError(f"freeze {', '.join(freeze)} leaves nothing of the student to train.")
        self.progress = 0.0
        """Share of training done, for weight schedules; the loop sets it at every step, since warm-ups begin at 0."""
        self.bound: list[Bound] = []

    @property
    def losses(self) -> list[TransferLoss | WeightPenalty]:
        """The terms' losses and penalties, in order."""
        return [term.loss for term in self.terms]

    @property
    def transfers(self) -> list[tuple[TransferLoss, Bound]]:
        """Those that compare layers, with what they are bound to."""
        pairs = zip(self.losses, self.bound, strict=True)
        return [(loss, bound) for loss, bound in pairs if isinstance(loss, TransferLoss)]

    def check(self, batch: Batch, *, quiet: bool = False) -> StepZero:
        """Step 0: bind layers, build the losses' parameters, refuse what cannot work, and say what will happen.

        Call it once, before the optimiser is made. The student's weights and running statistics are left as found.

        Args:
            batch: a training batch.
            quiet: do not print.

        Returns:
            The facts: pairs, shapes, teachers, each term's value, weight and share of the gradient norm.

        Raises:
            ConfigError: unknown layers, other classes under a loss that needs the same, missing ids or targets.
            ShapeError: a loss cannot take its layers' shapes.
            NonFiniteError: a term is not finite on this batch.
        """
        if self.bound:
            raise ConfigError("check() was called before; its losses are built.")
        check_needs(self, batch)
        with torch.random.fork_rng(), _buffers_kept(self.student):
            self.bound = bind(self.terms, self.student, self.teachers, batch)
            try:
                self._build(batch)
                self.bound = balanced(self, batch)
                facts = look(self, batch)
                for loss, _ in self.transfers:
                    loss.forget()  # what was only looked at is no part of the first step
            except Exception:
                self.bound = []
                raise
        if not quiet:
            print(facts)
        return facts

    def forward(self, batch: Batch) -> Result:
        """The loss of one batch. Call :meth:`check` first if there are terms."""
        if self.terms and not self.bound:
            raise ConfigError("Call objective.check(batch) before the first step: it builds the losses' parameters.")
        logits, student = self._student(batch)
        teacher = self._teachers(batch)
        terms: dict[str, Tensor] = {}
        total = logits.new_zeros((), dtype=torch.float32)
        if self.task is not None:
            if batch.targets is None:
                raise ConfigError(
                    "The batch has no targets, which the task loss needs; give task=None to train without."
                )
            terms["task"] = self.task(logits[: len(batch.targets)].float(), batch.targets)
            total = total + self.task_weight * terms["task"]
        for loss, bound in zip(self.losses, self.bound, strict=True):
            if isinstance(loss, WeightPenalty):
                terms[bound.name] = loss(inner(self.student))
            else:
                s, t = self._features(bound, student, teacher)
                terms[bound.name] = loss(s, t, targets=batch.targets, ids=batch.ids)
            total = total + bound.weight.at(self.progress) * terms[bound.name]
        return Result(total, terms, logits)

    def weights(self) -> dict[str, float]:
        """Every term's weight at this point of training, ``task`` first."""
        return {"task": self.task_weight} | {b.name: b.weight.at(self.progress) for b in self.bound}

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
        return gradient_shares(weighted, [p for p in self.student.parameters() if p.requires_grad])

    def after_step(self) -> None:
        """Commit the losses' memories, averages and potentials, after the optimiser's step."""
        for loss, _ in self.transfers:
            loss.after_step()

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Run the first stage of every loss that has one, on batches of training data.

        Args:
            batches: iterated once per loss and epoch of its first stage, so no generator: a DataLoader, or
                :meth:`kantor.data.Loader.epochs`.
        """
        parameters = [p for p in self.student.parameters() if p.requires_grad]
        for loss, bound in self.transfers:
            loss.prepare(_FeatureBatches(self, bound, batches), parameters)

    def _build(self, batch: Batch) -> None:
        with torch.no_grad():
            _, student = self._student(batch)
            teacher = self._teachers(batch)
        if found := faults(teacher, batch.ids):
            raise NonFiniteError(f"{' '.join(found)} Check that teacher, or its data.")
        device = next(iter(batch.inputs.values())).device
        for index, (loss, bound) in enumerate(zip(self.losses, self.bound, strict=True)):
            seeds.seed_all(self.seed, seeds.LOSS, index)
            if isinstance(loss, WeightPenalty):
                loss.build(inner(self.student), self.source)
            else:
                s, t = self._features(bound, student, teacher)
                loss.build(_shapes(s), _shapes(t), self.samples)
            loss.to(device)

    def _student(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        for module in self.frozen:
            module.eval()  # whoever called train() meant the rest
        layers = sorted({layer for bound in self.bound for layer in bound.student_layers})
        with capture(inner(self.student), layers) as taken:
            logits = self.student(batch.inputs["student"])
            return logits, {layer: taken[layer] for layer in layers}

    def _teachers(self, batch: Batch) -> dict[tuple[str, Read], Tensor]:
        outputs: dict[tuple[str, Read], Tensor] = {}
        for name, teacher in self.teachers.items():
            wanted = self.reads(name)
            if wanted:
                outputs |= {(name, read): x for read, x in teacher.outputs(batch, wanted).items()}
        return outputs

    def reads(self, teacher: str) -> list[Read]:
        """What the bound terms want of one teacher, without repeats."""
        return sorted(
            {
                Read(layer, bound.pooled)
                for bound in self.bound
                if bound.teacher == teacher
                for layer in bound.teacher_layers
            },
            key=lambda read: read.key,
        )

    def _features(
        self, bound: Bound, student: Mapping[str, Tensor], teacher: Mapping[tuple[str, Read], Tensor]
    ) -> tuple[Features, Features]:
        s = tuple(student[layer] for layer in bound.student_layers)
        t = tuple(teacher[bound.teacher, Read(layer, bound.pooled)] for layer in bound.teacher_layers)
        return (s, t) if bound.many else (s[0], t[0])


class _FeatureBatches:
    """Batches as (student, teacher) features of one term; iterable as often as the batches are."""

    def __init__(self, objective: Objective, bound: Bound, batches: Iterable[Batch]) -> None:
        self.objective, self.bound, self.batches = objective, bound, batches

    def __iter__(self) -> Iterator[tuple[Features, Features]]:
        for batch in self.batches:
            _, student = self.objective._student(batch)
            yield self.objective._features(self.bound, student, self.objective._teachers(batch))


class _buffers_kept:  # noqa: N801 (a context manager, used like a function)
    """Leave a module's buffers (running statistics) as they were found."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __enter__(self) -> None:
        self.saved = {name: buffer.clone() for name, buffer in self.module.named_buffers()}

    def __exit__(self, *_: object) -> None:
        with torch.no_grad():
            for name, buffer in self.module.named_buffers():
                buffer.copy_(self.saved[name])


def _shapes(features: Features) -> tuple[torch.Size, ...]:
    return tuple(x.shape for x in features) if isinstance(features, tuple) else (features.shape,)
