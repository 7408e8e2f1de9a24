"""Smaller networks with the weights of a teacher's units: some of them kept, or all put together, side by side."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from rich.table import Table
from torch import Tensor

from kantor.carry import Carried, Choice, pruned, transported
from kantor.core import seeds
from kantor.core.errors import ConfigError, suggest
from kantor.core.files import refuse_file
from kantor.data import DataSet
from kantor.faculty.roster import spec_of
from kantor.models import Model, has_weights
from kantor.models.builtin import BUILTIN
from kantor.models.loading import architecture, load_named, load_trained
from kantor.models.spec import parse
from kantor.study.afterwards.evaluate import Reading, evaluate_model
from kantor.training import Scores

TRANSPORT = "transport"
"""Units that say the same are put together, and none is left out."""
MOST = 10**9
"""Largest number that a setting here may be."""
WAYS = (*get_args(Choice), TRANSPORT)


@dataclass(frozen=True)
class Prune:
    """What is asked for.

    Raises:
        ConfigError: not just one of ``student`` and ``keep`` is given; an unknown way; a number that is out of range; a
            network is there already, which is not written over.
    """

    teacher: str
    """As NAME:FILE, or RUN/METHOD/seed-K."""
    student: str | None
    """The smaller network's name."""
    keep: float | None
    """In its place, for kantor's own networks that have a width: to what the teacher's is brought down."""
    by: Sequence[str]
    """Ways to choose, of ``WAYS``."""
    out: Path
    """Folder of the smaller networks."""
    samples: int = 1000
    """Of the training part, that are looked at."""
    steps: int = 300
    """Of learning which units to keep."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.student is None) == (self.keep is None):
            raise ConfigError("Give either --keep WIDTH, for one of kantor's own networks, or --student NAME.")
        if self.keep is not None and not 0 < self.keep <= MOST:
            raise ConfigError(f"--keep is a width above 0, up to {MOST:,}, not {self.keep:g}.")
        if self.student is not None and has_weights(self.student):
            raise ConfigError(f"--student {self.student} names weights, which would be overwritten: name the network.")
        refuse_file(self.out)
        for name, value, least in (("samples", self.samples, 2), ("steps", self.steps, 1), ("seed", self.seed, 0)):
            if not least <= value <= MOST:
                raise ConfigError(f"--{name} is from {least} to {MOST:,}, not {value}.")
        if not self.by:
            raise ConfigError(f"--by names no way: give some of {', '.join(WAYS)}.")
        for way in self.by:
            if way not in WAYS:
                raise ConfigError(f"--by: there is no {way!r}. {suggest(way, WAYS)}")
            if self.file(way).exists():
                raise ConfigError(f"{self.file(way)} is there already. Name another folder by --out, or delete it.")

    def file(self, way: str) -> Path:
        """Where the network of that way is written."""
        return self.out / f"{way}.safetensors"

    def student_spec(self, teacher: Model) -> str:
        """The smaller network's name.

        Raises:
            ConfigError: the teacher has no width to choose.
        """
        if self.student is not None:
            return parse(self.student).architecture
        spec = parse(architecture(teacher.spec or self.teacher))
        if spec.family != "builtin" or "width" not in inspect.signature(BUILTIN[spec.name]).parameters:
            raise ConfigError(
                "--keep is the width of kantor's own networks that have one, such as cnn and resnet8. Name the smaller "
                f"{spec.name} by --student."
            )
        return replace(spec, options={**spec.options, "width": f"{self.keep:g}"}).architecture


@dataclass(frozen=True)
class Smaller:
    """A smaller network with weights of the teacher's, in a file."""

    spec: str
    """Its name."""
    way: str
    file: Path
    carried: Carried
    scores: Scores | None
    """On the test part; None where there is none, or it has no labels."""


def prune_model(asked: Prune, data: str, reading: Reading, say: Callable[[str], None] = print) -> list[Smaller]:
    """Make the smaller network in every way that is asked for, and say how good each is before any training.

    Args:
        asked: what to make of what.
        data: its training part tells which units matter, its test part what is left.
        reading: how the data are read; of the task ``none`` no label is needed, and nobody looks at the test part.
        say: told of each.

    Raises:
        ConfigError: see :class:`Prune`, :func:`kantor.carry.pruned` and :func:`kantor.transported`.
        DataError: see :func:`kantor.study.afterwards.evaluate.evaluate_model`.
    """
    spec = spec_of(asked.teacher)
    opened = reading.open(data, spec, need_labels=reading.task != "none")
    tokenizer = opened.train.tokenizers.get("student")
    teacher = load_trained(spec, opened.train.input_shapes["student"], tokenizer=tokenizer, answers=opened.kind)
    name = asked.student_spec(teacher)
    if not isinstance(opened.train.read(np.arange(1))["student"], Tensor):
        raise ConfigError(
            f"{opened.name} has inputs of several parts; units are followed where an input is one tensor."
        )
    labelled = reading.task != "none" and opened.test is not None and opened.test.labelled
    before = f": {evaluate_model(spec, data, 'test', reading, say).said('test')}" if labelled else ""
    say(f"{teacher.name}, {_parameters(teacher):,} parameters{before}")
    found = []
    for way in dict.fromkeys(asked.by):
        seeds.seed_all(asked.seed, seeds.INIT)
        classes = teacher.class_names or teacher.num_classes
        student = load_named(name, classes=classes, input_shape=teacher.input_shape)
        if _parameters(student) >= _parameters(teacher):
            raise ConfigError(f"{name} is no smaller than the teacher: it has {_parameters(student):,} parameters.")
        carried, file = _carried(asked, way, teacher, student, opened, reading), asked.file(way)
        student.save(file)
        scores = evaluate_model(f"{name}:{file}", data, "test", reading, lambda _: None) if labelled else None
        reached = f": {scores.said('test')} before any training" if scores is not None else ""
        say(f"{name} by {way}, {_parameters(student):,} parameters{reached}")
        found.append(Smaller(name, way, file, carried, scores))
    return found


def _carried(asked: Prune, way: str, teacher: Model, student: Model, data: DataSet, reading: Reading) -> Carried:
    if way == TRANSPORT:
        return transported(teacher, student, data, samples=asked.samples, seed=asked.seed)
    choice = next(choice for choice in get_args(Choice) if choice == way)
    numbers = reading.learned().labels in ("numbers", "several")
    how = {"samples": asked.samples, "steps": asked.steps, "seed": asked.seed}
    return pruned(teacher, student, data, by=choice, numbers=numbers or None, **how)


def table(found: Sequence[Smaller]) -> Table:
    """The smaller networks, one a row."""
    made = Table(header_style="bold")
    for heading in ("by", "units", "test before training", "weights"):
        made.add_column(heading, overflow="fold")
    for one in found:
        units = sum(group.units for group in one.carried.groups), sum(group.made for group in one.carried.groups)
        reached = "" if one.scores is None else one.scores.said("test")
        made.add_row(one.way, f"{units[1]:,} of {units[0]:,}", reached, str(one.file))
    return made


def _parameters(model: Model) -> int:
    return sum(p.numel() for p in model.network.parameters())
