"""``--label-cost``: where the cost between a teacher's classes and the student's comes from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Int
from torch import Tensor

from kantor.core.errors import ConfigError, suggest
from kantor.core.files import is_file
from kantor.faculty.centres import label_centres, prediction_centres
from kantor.faculty.inverse import label_costs_of, learned_cost
from kantor.faculty.matrix import matrix_costs
from kantor.faculty.roster import spec_of
from kantor.faculty.sentences import sentence_vectors
from kantor.faculty.space import costs_in
from kantor.faculty.words import word_vectors
from kantor.losses import LabelCost

KINDS = {
    "glove": "word vectors of the class names, from a text file or an npz",
    "sentences": "a sentence-embedding model of transformers",
    "matrix": "a matrix of your own, csv or npz",
    "centres": "class centres in the features of one model, NAME:FILE",
    "learned": "learned from which teacher classes are said for which training labels",
}


@dataclass(frozen=True)
class CostSource:
    """A label cost as the user names it: ``KIND:ARGUMENT``.

    Args:
        kind: one of ``KINDS``.
        argument: a file or model; empty for ``learned``.
    """

    kind: str
    argument: str = ""

    @classmethod
    def parse(cls, text: str) -> "CostSource":
        """``glove:FILE``, ``sentences:MODEL``, ``matrix:FILE``, ``centres:NAME:FILE`` or ``learned``.

        Raises:
            ConfigError: an unknown kind, or one without the argument it needs.
        """
        kind, _, argument = text.partition(":")
        if kind not in KINDS:
            raise ConfigError(f"There is no label cost {kind!r}. {suggest(kind, KINDS)}")
        if bool(argument) == (kind == "learned"):
            form = "learned, alone" if kind == "learned" else f"{kind}:..., {KINDS[kind]}"
            raise ConfigError(f"The label cost {text!r} is written {form}.")
        return cls(kind, spec_of(argument) if kind == "centres" else argument)

    def check(self) -> None:
        """Refuse a file that is not there: without it nobody could be judged by the cost that was asked for.

        Raises:
            ConfigError: names it.
        """
        if self.kind in ("glove", "matrix") and not is_file(Path(self.argument)):
            raise ConfigError(
                f"The label cost {self.kind}:{self.argument} needs {KINDS[self.kind]}: there is no such file."
            )

    @property
    def sees_outputs(self) -> bool:
        """Whether it is made of the teachers' outputs, and not of class names alone."""
        return self.kind in ("centres", "learned")


class CostMaker:
    """Label costs of one task for any number of teachers, in one space and on one scale.

    Args:
        source: where they come from.
        classes: the student's class names.
        labels: classes of the training samples.
        features: ``features(spec)``, a model's features of the training samples, in their order.
    """

    def __init__(
        self,
        source: CostSource,
        classes: Sequence[str],
        labels: Int[Tensor, " samples"],
        features: Callable[[str], Float[Tensor, "samples dim"]],
    ) -> None:
        self.source, self.classes, self.labels = source, list(classes), labels
        self._features = features(source.argument) if source.kind == "centres" else None

    def own(self, predictions: Float[Tensor, "samples teacher_classes"]) -> Float[Tensor, "teacher_classes _"] | None:
        """What the cost is made of that only one teacher's outputs say; None where names say all."""
        if self.source.kind == "learned":
            return learned_cost(predictions, self.labels, len(self.classes)).cost
        if self._features is not None:
            return prediction_centres(self._features, predictions)
        return None

    def costs(
        self,
        teachers: Mapping[str, Sequence[str]],
        own: Mapping[str, Float[Tensor, "teacher_classes _"] | None],
    ) -> dict[str, LabelCost]:
        """The cost of every teacher.

        Args:
            teachers: class names of each.
            own: what :meth:`own` gave of each.

        Raises:
            DataError: a name has no vector, or is missing from the matrix.
        """
        kind, path = self.source.kind, Path(self.source.argument)
        if kind == "matrix":
            return matrix_costs(path, self.classes, teachers)
        if kind == "learned":
            return label_costs_of({name: cost for name, cost in own.items() if cost is not None})
        if self._features is not None:
            mine = label_centres(self._features, self.labels, len(self.classes)).numpy()
            return costs_in(mine, {name: x.numpy() for name, x in own.items() if x is not None})
        if not teachers:
            return {}

        def vectors(names: Sequence[str]) -> Float64[np.ndarray, "names dim"]:
            return sentence_vectors(self.source.argument, names) if kind == "sentences" else word_vectors(path, names)

        # Together, since a file of word vectors may hold gigabytes to be read through.
        union = sorted({*self.classes, *(name for names in teachers.values() for name in names)})
        place = {name: k for k, name in enumerate(union)}
        of_union = vectors(union)
        return costs_in(
            of_union[[place[name] for name in self.classes]],
            {teacher: of_union[[place[name] for name in names]] for teacher, names in teachers.items()},
        )
