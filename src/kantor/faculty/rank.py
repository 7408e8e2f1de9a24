"""Rank a faculty: one forward pass per teacher and sample, then every score, shared out among processes."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from kantor.core import seeds, trust
from kantor.core.collectives import rank, world_size
from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.core.seeds import SPLIT, hash64
from kantor.data import DataSet, Part, open_data
from kantor.data.label_kinds import counted
from kantor.data.views import ROLES
from kantor.faculty.bootstrap import resampled
from kantor.faculty.config import Rank
from kantor.faculty.inverse import learned_cost, zero_and_scale
from kantor.faculty.label_cost import CostMaker, CostSource
from kantor.faculty.outputs import Outputs, outputs_of
from kantor.faculty.ranking import Judged, Ranking, places, recommendation
from kantor.faculty.roster import Entry, classes_by_teacher, roster, spec_of, views_of
from kantor.faculty.scores import SCORES, Evidence, Score, named
from kantor.faculty.tokenizers import faculty_tokenizers
from kantor.losses import LabelCost
from kantor.models import Model
from kantor.models.loading import load_named, load_trained
from kantor.models.own_tokenizer import needed_tokenizer
from kantor.models.pretrained import need_weights
from kantor.models.spec import codes_of
from kantor.tasks import Task
from kantor.tasks import named as named_task
from kantor.training.device import chosen_device

Say = Callable[[str], None]
_FOLDS = 5
_EVERY = 10.0
"""Seconds between two lines of progress."""
_SOURCE_SAMPLES = 1000


def _unheard(text: str) -> None:
    """Nobody is listening."""


def rank_teachers(config: Rank, say: Say = _unheard) -> Ranking:
    """Judge every teacher on the data and leave ``ranking.json`` in the ranking's folder.

    A teacher that cannot be judged is said, and the others go on. What teachers said of the samples is kept, so the
    same call again spends no forward pass on it. Under ``torchrun`` each process judges its share of the teachers.

    Args:
        config: what to do.
        say: told what happens, a line at a time, on the first process.

    Raises:
        KantorError: what would fail for every teacher: the data, the settings, or no teacher that could be judged.
    """
    config.check()
    given = [config.task] if ":" in config.task else []
    trust.wrote(given)
    task = named_task(config.task)
    scores = _scores_for(task, config.scores)
    entries = roster(config.teachers)
    classes = classes_by_teacher(config.teacher_classes, [entry.name for entry in entries])
    entries = [replace(entry, classes=classes.get(entry.name, entry.classes)) for entry in entries]
    source = CostSource.parse(config.label_cost)
    source.check()
    given += codes_of(filter(None, [config.student, source.argument]))
    trust.wrote(given)
    trust.keep(config.folder(), [*codes_of(entry.spec for entry in entries), *given])
    data = _open(config, entries, task)
    part = data.part(config.part)
    samples = f"{len(part):,} {config.part} samples of {data.name}"
    say(f"{len(entries)} teachers on {samples}, {counted(len(data.classes), data.kind)}.")
    faculty = _Faculty(config, data, part, source, scores, say)

    mine = entries[rank() :: world_size()]
    outputs = {entry.name: faculty.look(entry) for entry in mine}
    seen = {entry.name: out for entry in mine if (out := outputs[entry.name]) is not None}
    own = {name: None if faculty.maker is None else faculty.maker.own(out.predictions) for name, out in seen.items()}
    names = _gathered({name: faculty.names[name] for name in seen})
    costs, zero_scale = faculty.costs(names, _gathered(own))
    draws: dict[str, dict[str, np.ndarray]] = {}
    for entry in mine:
        if entry.name in seen:
            try:
                evidence = faculty.evidence(entry, seen[entry.name], costs.get(entry.name), zero_scale)
            except Exception as error:  # as with its outputs: its failure, not the ranking's
                faculty.refuse(entry.name, error)
            else:
                draws[entry.name] = faculty.score(entry.name, evidence)
    judged = _gathered(faculty.judged)
    draws = _gathered(draws)

    teachers = [judged[entry.name] for entry in entries]
    ranked = {
        score.name: places(
            {t.name: t.scores[score.name] for t in teachers if score.name in t.scores},
            {name: found[score.name] for name, found in draws.items() if score.name in found},
        )
        for score in scores
    }
    if config.scores is None:
        ranked = {name: found for name, found in ranked.items() if found}
    if not any(ranked.values()):
        raise KantorError("No teacher could be judged.\n" + "\n".join(f"{t.name}: {t.why_not}" for t in teachers))
    first = next(iter(ranked))
    if first != scores[0].name:
        why = dict.fromkeys(t.missing[scores[0].name].rstrip(".") for t in teachers if scores[0].name in t.missing)
        say(f"Decided by {first}, since no teacher could be judged by {scores[0].name}: {'; '.join(why)}.")
    ranking = Ranking(
        data=config.data,
        part=config.part,
        samples=len(part),
        label_cost=config.label_cost,
        scores=ranked,
        teachers=teachers,
        recommendation=recommendation(ranked[first], first),
        facts=data.facts(),
    )
    if rank() == 0:
        ranking.write(config.folder() / "ranking.json")
    return ranking


class _Faculty:
    """What this process knows of the data and of its share of the teachers."""

    def __init__(
        self, config: Rank, data: DataSet, part: Part, source: CostSource, scores: list[Score], say: Say
    ) -> None:
        self.config, self.data, self.part, self.source, self.scores, self.say = config, data, part, source, scores, say
        texts = data.train.tokenizers
        self.own_views = "teacher" not in data.train.stores and not texts
        self.labels = torch.from_numpy(part.targets)
        self.device = chosen_device(config.device)
        self.root = config.folder().parent / "cache"
        self.judged: dict[str, Judged] = {}
        self.names: dict[str, list[str] | None] = {}
        # Where labels are no classes there is no cost between them, and no score that asks for one.
        self.maker = CostMaker(source, data.classes, self.labels, self._features) if part.is_classes else None
        self.student = None
        if config.student is not None:
            self._need_view(f"student {config.student}")
            shape = data.train.input_shapes["student"]
            student = load_trained(spec_of(config.student), shape, tokenizer=texts.get("student"))
            if student.num_classes != len(data.classes):
                raise ConfigError(
                    f"The student {config.student} has {student.num_classes} classes, and {data.name} "
                    f"{len(data.classes)}. Give one that was trained for this data."
                )
            self.student = self._outputs(student, part, "student").predictions

    def look(self, entry: Entry) -> Outputs | None:
        """Run one teacher; None, with the reason kept, where that fails."""
        role = self.data.role_of(entry.name)
        view = entry.view or self.config.view if self.own_views else None
        judged = self.judged[entry.name] = Judged(entry.name, entry.spec, entry.classes, view)
        start = time.perf_counter()
        try:
            model = self._load(entry.spec, role, entry.classes)
            found = self._outputs(model, self.part.seen_by(role))
        # Whatever a user's own network raises is that teacher's failure, not the ranking's.
        except Exception as error:
            self.refuse(entry.name, error)
            return None
        judged.passes, judged.seconds = found.passes, time.perf_counter() - start
        self.names[entry.name] = model.class_names
        spent = f"{found.passes:,} forward passes" if found.passes else "outputs found"
        sees = "" if view is None else f" sees {view}"
        self.say(f"Teacher {entry.name}{sees}: {spent}, {judged.seconds:.1f} s.")
        return found

    def refuse(self, name: str, error: Exception) -> None:
        """Keep and say why a teacher cannot be judged."""
        self.judged[name].error = _said(error)
        self.say(f"Teacher {name} cannot be judged: {self.judged[name].error}")

    def costs(
        self, names: Mapping[str, list[str] | None], own: Mapping[str, torch.Tensor | None]
    ) -> tuple[dict[str, LabelCost], tuple[float, float]]:
        """Label costs of all teachers that have one, and the zero and scale of learned ones."""
        usable: dict[str, list[str]] = {}
        for name, known in names.items():
            if known is not None or self.source.sees_outputs:
                usable[name] = known or []
            elif name in self.judged:
                self._no_cost(name, "its classes have no names: give `classes` in teachers.yaml")
        if not usable or self.maker is None:
            return {}, (0.0, 1.0)
        try:
            found = self.maker.costs(usable, {name: own[name] for name in usable})
        except DataError:
            # Some teacher's names have no vector: find whose, and go on with the others.
            for name in list(usable):
                try:
                    self.maker.costs({name: usable[name]}, {name: own[name]})
                except DataError as error:
                    del usable[name]
                    if name in self.judged:
                        self._no_cost(name, str(error))
            found = self.maker.costs(usable, {name: own[name] for name in usable}) if usable else {}
        learned = {name: x for name, x in own.items() if x is not None and self.source.kind == "learned"}
        return found, zero_and_scale(learned) if learned else (0.0, 1.0)

    def evidence(
        self, entry: Entry, outputs: Outputs, cost: LabelCost | None, zero_scale: tuple[float, float]
    ) -> Evidence:
        """What the scores may look at."""
        fold = fold_costs = None
        if cost is not None and self.source.kind == "learned":
            fold, fold_costs = self._cross_fitted(outputs, *zero_scale)
        return Evidence(
            labels=self.labels,
            classes=len(self.data.classes),
            predictions=outputs.predictions,
            features=None if outputs.features is None else outputs.features.double(),
            cost=None if cost is None else cost.cross.double(),
            fold=fold,
            fold_costs=fold_costs,
            student=self.student,
            source=None if entry.data is None else self._source(entry),
        )

    def score(self, name: str, evidence: Evidence) -> dict[str, np.ndarray]:
        """Every score that can be had of one teacher, on the samples and on resampled ones."""
        judged, draws = self.judged[name], {}
        for score in self.scores:
            start = time.perf_counter()
            try:
                missing = score.missing(evidence)
                if missing:
                    judged.missing.setdefault(score.name, f"needs {' and '.join(missing)}")
                    continue
                value = score.of(evidence)
                if not np.isfinite(value):
                    judged.missing[score.name] = f"is {value} on these samples"
                    continue
                judged.scores[score.name] = value
                draws[score.name] = resampled(score, evidence, self.config.bootstrap)
            # A network may be degenerate in ways that nobody thought of: one score of one teacher, not the ranking.
            except Exception as error:
                judged.missing[score.name] = _said(error)
                judged.scores.pop(score.name, None)
                continue
            judged.score_seconds[score.name] = time.perf_counter() - start
            if judged.score_seconds[score.name] >= _EVERY:
                self.say(f"  {name}: {score.name} and its interval took {judged.score_seconds[score.name]:.0f} s.")
        judged.seconds += sum(judged.score_seconds.values())
        return draws

    def _no_cost(self, name: str, why: str) -> None:
        for score in self.scores:
            if "cost" in score.needs:
                self.judged[name].missing[score.name] = why

    def _cross_fitted(self, outputs: Outputs, zero: float, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Each sample's fold, and a cost for each fold learned from the others: judged on held-out samples alone."""
        fold = torch.from_numpy((hash64(SPLIT, self.part.ids) % np.uint64(_FOLDS)).astype(np.int64))
        predictions, classes = outputs.predictions, len(self.data.classes)
        costs = []
        for k in range(_FOLDS):
            others = fold != k
            others = others if others.any() else ~others
            costs.append(learned_cost(predictions[others], self.labels[others], classes).cost)
        return fold, (torch.stack(costs) - zero) / scale

    def _source(self, entry: Entry) -> tuple[torch.Tensor, torch.Tensor]:
        assert entry.data is not None
        how: dict[str, Any] = {"image_size": self.config.image_size, "validation": 0, "views": views_of([], entry.view)}
        how["tokenizers"] = lambda: dict.fromkeys(ROLES, needed_tokenizer(entry.spec))
        how["trusted"] = False  # the list of teachers may name it, and was asked for leave
        everything = open_data(entry.data, **how)
        if len(everything.train) > _SOURCE_SAMPLES:
            limit = max(_SOURCE_SAMPLES, len(everything.classes))
            everything = open_data(entry.data, **how, train_limit=limit)
        model = self._load(entry.spec, self.data.role_of(entry.name), entry.classes)
        found = self._outputs(model, everything.train)
        if found.features is None:
            raise ConfigError(f"{entry.name} has no layer before its classifier.")
        return found.features.double(), found.labels

    def _progress(self, what: str) -> Callable[[int, int], None]:
        """Tell how far a long pass has come, every so many seconds."""
        last = time.perf_counter()

        def tell(done: int, total: int) -> None:
            nonlocal last
            if time.perf_counter() - last >= _EVERY:
                last = time.perf_counter()
                self.say(f"  {what}: {done:,} of {total:,} samples.")

        return tell

    def _need_view(self, whose: str) -> None:
        if self.own_views and self.config.view is None:
            raise ConfigError(f"Teachers have views of their own: say with --view what the {whose} sees.")

    def _load(self, spec: str, role: str, classes: list[str] | None = None) -> Model:
        need_weights(spec)
        if role not in self.data.train.stores:
            needed_tokenizer(spec)  # of texts; says why there is none
        train = self.data.train
        with seeds.fixed(0, seeds.TEACHER) if role in train.tokenizers else nullcontext():
            tokenizer = train.tokenizers.get(role)
            return load_named(spec, classes=classes, input_shape=train.input_shapes[role], tokenizer=tokenizer)

    def _features(self, spec: str) -> torch.Tensor:
        self._need_view(f"model of the class centres, {spec},")
        found = self._outputs(self._load(spec, "student"), self.part.seen_by("student")).features
        if found is None:
            raise ConfigError(f"{spec} has no layer before its classifier to take class centres in.")
        return found

    def _outputs(self, model: Model, part: Part, role: str = "teacher") -> Outputs:
        return outputs_of(
            model,
            part,
            self.root,
            role=role,
            batch_size=self.config.batch_size,
            limit_gb=self.config.cache_limit,
            device=self.device,
            progress=self._progress(model.spec),
        )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, KantorError) else f"{type(error).__name__}: {error}"


def _scores_for(task: Task, names: str | None) -> list[Score]:
    """The scores that are asked for, or all that can be had of the task's labels.

    Raises:
        ConfigError: one of them needs classes where there are none, or labels are maps, which no score takes.
    """
    usable = [score for score in SCORES.values() if score.numbers or task.labels == "classes"]
    asked = named(names) if names else usable
    unfit = [score.name for score in asked if not score.numbers]
    if task.labels in ("maps", "next") or (task.labels != "classes" and unfit):
        what = f"scores {', '.join(unfit)} need" if unfit and names else "teachers are ranked by"
        raise ConfigError(
            f"Task {task.name}: {what} a class a sample. For numbers and several labels a sample there is logme."
        )
    return asked


def _open(config: Rank, entries: Sequence[Entry], task: Task) -> DataSet:
    source = CostSource.parse(config.label_cost)
    beside = [spec_of(config.student)] if config.student else []
    beside += [source.argument] if source.kind == "centres" else []
    return open_data(
        config.data,
        image_size=config.image_size,
        train_limit=config.train_limit,
        validation=0.1 if config.part == "validation" else 0,
        skip_corrupt=config.skip_corrupt,
        views=views_of(entries, config.view),
        label=config.label,
        text=config.text,
        tokenizers=lambda: faculty_tokenizers(entries, beside),
        kind=task.labels,
    )


def _gathered(mine: dict[str, Any]) -> dict[str, Any]:
    """The entries of every process."""
    if world_size() == 1:
        return mine
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, mine)
    return {key: value for part in parts for key, value in part.items()}
