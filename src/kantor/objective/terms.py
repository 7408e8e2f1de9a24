"""Terms: a transfer loss bound to a layer of the student and a layer of a teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from kantor import losses
from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.losses import LOSSES
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.weights import Balanced, Weight

PAPER: Final = "paper"
"""In the place of a weight: the loss's default, held as it is."""


@dataclass(frozen=True)
class Recipe:
    """How a loss is made: by which name, with which settings."""

    loss: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Term:
    """A loss, the layers it compares, and its weight.

    The command line, YAML, Python and a run's files all mean this object. One that was made by name
    (:meth:`named`) can be written down (:meth:`record`) and made anew, with a loss of its own (:meth:`fresh`).

    Args:
        loss: the transfer loss, or a penalty on the student's weights, which takes no layers. Its state belongs to
            this term: give each term its own.
        student: module path of the student's layer, ``logits`` or ``penultimate``; a sequence of them for a loss
            over several layers; None lets the loss choose (its ``reads``).
        teacher: the same for the teacher, as ``NAME:PATH``; ``NAME:`` is left out when there is one teacher.
        weight: the term's weight; held as it is; None takes the loss's default, whose pull is limited
            (:func:`~kantor.objective.weights.automatic_limit`); ``"paper"`` takes the default without a limit;
            Balanced finds it at step 0.
        name: how the term is called in logs; the loss's name if left out, and what tells them apart (a layer, or the
            teacher) where several terms have that loss.
        reason: why these layers are compared, for the print at step 0; where they are left out, it says itself.
        stages: in the place of layers: one term for each of the last so many paired stages, or of ``"all"``, each
            with this weight and with a copy of the loss.
        recipe: how the loss was made, where it was made by name.

    Raises:
        ConfigError: ``stages`` beside layers, of a loss that does not compare one layer with one, or not positive.
    """

    loss: TransferLoss | WeightPenalty
    student: str | Sequence[str] | None = None
    teacher: str | Sequence[str] | None = None
    weight: float | Weight | Balanced | Literal["paper"] | None = None
    name: str | None = None
    reason: str = "as given"
    stages: int | Literal["all"] | None = None
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if self.stages is not None:
            _check_stages(self)

    @classmethod
    def named(cls, loss: str, settings: Mapping[str, Any] | None = None, **rest: Any) -> "Term":
        """A term whose loss is made by name, as on the command line.

        Args:
            loss: a name that `kantor methods` lists, or a class of your own, ``package.module:MyLoss``.
            settings: the loss's, by name.
            rest: what else a term takes: ``student``, ``teacher``, ``weight``, ``name``, ``stages``.

        Raises:
            ConfigError: no loss or setting has that name, or a setting's value is not of its type.
        """
        trust.wrote(losses.codes_of(loss, settings or {}))
        return cls.made(loss, settings or {}, **rest)

    @classmethod
    def made(cls, loss: str, settings: Mapping[str, Any], **rest: Any) -> "Term":
        """:meth:`named` for a name that may stand in a file, which decides no code that runs
        (:mod:`kantor.core.trust`).

        Raises:
            ConfigError: it names code that the user did not write; or see :meth:`named`.
        """
        recipe = Recipe(loss, dict(settings))
        return cls(losses.made(loss, recipe.settings), **rest, recipe=recipe)

    def fresh(self) -> "Term":
        """The same with a loss of its own, which has seen nothing.

        Raises:
            ConfigError: the loss was not made by name.
        """
        made = self._recipe()
        return replace(self, loss=losses.made(made.loss, made.settings))

    def times(self, factor: float) -> "Term":
        """The same, its weight multiplied; where it is limited it may also pull so much more or less."""
        return replace(self, weight=resolved_weight(self).times(factor))

    def record(self) -> dict[str, Any]:
        """As a file keeps it.

        Raises:
            ConfigError: the loss was not made by name.
        """
        return {
            "loss": self._recipe().loss,
            "settings": self._recipe().settings,
            "weight": asdict(resolved_weight(self)),
            "student": _plain(self.student),
            "teacher": _plain(self.teacher),
            "name": self.label,
            "reason": self.reason,
        }

    @classmethod
    def parse(cls, kept: Mapping[str, Any]) -> "Term":
        """What :meth:`record` wrote, with a loss of its own."""
        rest = {key: kept[key] for key in ("student", "teacher", "name", "reason")}
        return cls.made(kept["loss"], kept["settings"], weight=Weight(**kept["weight"]), **rest)

    def _recipe(self) -> Recipe:
        if self.recipe is None:
            raise ConfigError(
                f"The loss of term {self.label} was given as an object, which cannot be written down: make the term by "
                f"Term.named({self.loss.name!r}, settings)."
            )
        return self.recipe

    @property
    def label(self) -> str:
        """Its name, or its loss's."""
        return self.name or self.loss.name

    @property
    def names_layers(self) -> bool:
        """Whether the user said which layers meet; ``NAME:`` alone says which teacher."""
        return self.student is not None or not (self.teacher is None or str(self.teacher).endswith(":"))


@dataclass(frozen=True)
class Bound:
    """A term whose names are resolved: which teacher, which module paths, which weight."""

    name: str
    loss: TransferLoss | WeightPenalty
    term: int
    """The place of the term that it is of: one that names stages is bound several times."""
    teacher: str
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]
    weight: Weight
    balance: float | None
    """Share of the task's gradient norm that ``weight`` is set to give at step 0; None where it was given."""
    reason: str
    """Why these layers were paired."""

    @property
    def many(self) -> bool:
        """The loss takes a tuple of layers, even of one."""
        return isinstance(self.loss, TransferLoss) and self.loss.reads == "stages"

    @property
    def layer_of_both(self) -> str:
        """The one layer of both networks that is compared; empty where they are of other names, or several."""
        same = len(self.student_layers) == 1 and self.student_layers == self.teacher_layers
        return self.student_layers[0] if same else ""

    @property
    def pooled(self) -> bool:
        """The loss sees maps only through their mean over positions."""
        return isinstance(self.loss, TransferLoss) and self.loss.pooled

    def of(self, term: Term) -> Term:
        """The term that it was bound from, with the layers, weight and name that it is bound to."""

        def layers(names: Sequence[str]) -> str | tuple[str, ...] | None:
            return tuple(names) if self.many else next(iter(names), None)

        return replace(
            term,
            student=layers(self.student_layers),
            teacher=layers([f"{self.teacher}:{layer}" for layer in self.teacher_layers]),
            weight=self.weight,
            name=self.name,
            reason=self.reason,
            stages=None,
        )

    @property
    def key(self) -> str:
        """Its name as that of a module, which holds no dot."""
        return self.name.replace(".", "/")


def split_teacher(layer: str, teachers: Sequence[str]) -> tuple[str, str]:
    """``NAME:PATH`` as (name, path); the name may be left out when there is one teacher.

    Raises:
        ConfigError: no teacher has that name, or the name is missing and there are several.
    """
    name, colon, path = layer.partition(":")
    if colon:
        if name not in teachers:
            raise ConfigError(f"Layer {layer!r} names no known teacher. {suggest(name, teachers)}")
        return name, path
    if len(teachers) != 1:
        raise ConfigError(f"Layer {layer!r}: say whose it is, as NAME:PATH. Teachers: {', '.join(teachers)}.")
    return teachers[0], layer


def resolved_weight(term: Term) -> Weight:
    """The term's weight, the loss's default where none is given (or is to be found)."""
    if term.weight is None or term.weight == PAPER or isinstance(term.weight, Balanced):
        limited = term.weight is None and isinstance(term.loss, TransferLoss)
        return Weight(term.loss.default_weight, limit="auto" if limited else None)
    return term.weight if isinstance(term.weight, Weight) else Weight(float(term.weight))


def _plain(layers: str | Sequence[str] | None) -> str | list[str] | None:
    return layers if layers is None or isinstance(layers, str) else list(layers)


def _check_stages(term: Term) -> None:
    name = term.loss.name
    if term.stages != "all" and not (type(term.stages) is int and term.stages > 0):
        raise ConfigError(f"{name}: stages is how many of the last ones, or all, not {term.stages!r}.")
    if term.names_layers:
        raise ConfigError(f"{name}: stages and layers both say where it compares. Give one of them.")
    reads = "the student's weights" if isinstance(term.loss, WeightPenalty) else term.loss.reads
    if reads != "feature":
        able = ", ".join(name for name, loss in LOSSES.items() if loss.reads == "feature")
        raise ConfigError(
            f"{name} reads {'every paired stage as it is' if reads == 'stages' else reads}: leave stages out. "
            f"Those that take it: {able}."
        )
