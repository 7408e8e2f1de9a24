"""The facts of step 0: what is printed before the first step and kept in a run's folder."""

from dataclasses import asdict, dataclass, field
from typing import Any

from kantor.core.numbers import roughly


@dataclass(frozen=True)
class TermFacts:
    """One term at step 0."""

    name: str
    student: list[str]
    """``layer [shape]`` of each student layer."""
    teacher: list[str]
    """``teacher:layer [shape]`` of each teacher layer."""
    value: float
    weight: float
    """As it acts on this batch: lowered where it is limited."""
    gradient_share: float
    """Norm of the weighted term's gradient in the student's parameters, over the sum of all terms' norms."""
    settings: str
    reason: str
    lowered_from: float | None = None
    """What the weight is lowered from on this batch; None where it acts as it is."""


@dataclass(frozen=True)
class TeacherFacts:
    """One teacher at step 0."""

    name: str
    parameters: int
    ratio: float
    """Its parameters over the student's."""
    mode: str
    sees: str
    """Its own view and the shape of a sample; empty where all teachers see the same."""
    source: str
    """Run on every batch, or cached and keyed by what."""
    accuracy: float | None
    """On this one batch, in [0, 1]; None without labels, where its classes are not the student's, or where the task is
    judged by another metric."""
    scored: str = ""
    """What it reaches on this batch by the task's metric, in words; empty where it is not scored."""
    unnamed: int = 0
    """How many classes it has, where their number is all that is known and the student's classes have names: class i
    of the one is taken for class i of the other."""


@dataclass(frozen=True)
class StepZero:
    """The facts of step 0; ``str()`` is what is printed, ``record()`` what is kept in ``step0.json``."""

    student_parameters: int
    trained_parameters: int
    """Student and losses: what the optimiser moves."""
    teachers: list[TeacherFacts]
    terms: list[TermFacts]
    notes: list[str] = field(default_factory=list)
    """What else one should know: how the student's output was read, which of its parts are in eval mode."""

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"Student: {self.student_parameters:,} parameters; {self.trained_parameters:,} trained with the losses'."
        ]
        for t in self.teachers:
            seen = f"{t.scored} on this batch" if t.scored else "not scored (other classes, or no labels)"
            size = f"{t.parameters:,} parameters ({t.ratio:.1f} x the student's)"
            sees = f"sees {t.sees}, " if t.sees else ""
            lines.append(f"Teacher {t.name}: {size}, {sees}{t.mode}, {seen}; {t.source}.")
            if t.unnamed:
                lines.append(
                    f"Teacher {t.name} does not name its {t.unnamed} classes: they are taken for the student's, in the "
                    "same order. If they are others, say so (teacher_classes)."
                )
        for t in self.terms:
            few = f" ({t.reason})" if t.reason else ""
            compared = t.reason if t.name != "task" else f"logits <- labels{few}"
            pairs = ", ".join(f"{s} <- {u}" for s, u in zip(t.student, t.teacher, strict=True)) or compared
            lowered = (
                "" if t.lowered_from is None else f" (lowered from {t.lowered_from:.4g} while it outweighs the task)"
            )
            share = f"value {t.value:.4g}, weight {t.weight:.4g}{lowered}, {roughly(t.gradient_share)} of the gradient"
            why = f" ({t.reason})" if t.reason and t.student else ""
            settings = f"; {t.settings}" if t.settings else ""
            lines.append(f"Term {t.name}: {share}; {pairs}{why}{settings}")
        lines += self.notes
        return "\n".join(lines)
