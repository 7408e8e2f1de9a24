"""One student of a study: made from the run's folder alone, so that any process can train it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from kantor.core import seeds
from kantor.core.collectives import rank
from kantor.core.errors import NonFiniteError
from kantor.core.files import remove_partial
from kantor.core.locks import locked
from kantor.core.seal import finish
from kantor.data import DataSet, Part
from kantor.losses import LabelCost, TransferLoss
from kantor.models import Model
from kantor.objective import CachedTeacher, LiveTeacher, Objective, Teacher, Term
from kantor.results.files import read_result
from kantor.study.execution.job import Job, tuned_factor
from kantor.study.resume.fingerprints import settings_of
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.methods import Method
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.starting_weights import Given, Start
from kantor.study.teachers.cached_outputs import KeptOutputs
from kantor.study.teachers.channel_worth import attend, read_worth
from kantor.study.teachers.find import model_for
from kantor.study.teachers.label_costs import hand_over, read_costs
from kantor.study.teachers.vocabularies import NO_MAPS, Maps, hand_maps_over, read_maps
from kantor.training import PlanSamples, train
from kantor.training.batches import training_batches
from kantor.training.linear_probe import validation_accuracy
from kantor.training.loop import Report
from kantor.training.plan_samples import samples_for_plans


class Workbench:
    """Data and teachers of a run, opened once for all the students that a process trains.

    Args:
        run: the run's folder, with its ``config.yaml`` and ``plan.json``.
        data: the study's data, where it is open already.
    """

    def __init__(self, run: Path, data: DataSet | None = None) -> None:
        self.run = run
        self._opened = data
        self.study = ResolvedStudy(settings_of(run), run)
        self.config = self.study.settings
        self.methods = {method.name: method for method in self.study.methods}
        self.plan = Prepared.read(run)
        self.label_costs = read_costs(run)
        self.vocabulary_maps = read_maps(run)
        self.channel_worth = read_worth(run)

    @cached_property
    def data(self) -> DataSet:
        """The study's data."""
        return self._opened or self.study.open_data()

    @cached_property
    def teachers(self) -> dict[str, Teacher]:
        """What gives the teachers' outputs on what students are shown."""
        return self._teachers(self.data.shown)

    @cached_property
    def plan_samples(self) -> PlanSamples | None:
        """Where transport plans are recorded."""
        if not self.plan.pairs or not self.config.plans_every():
            return None
        part = samples_for_plans(self.data)
        return PlanSamples(part, self.plan.pairs, self._teachers(part))

    def train(self, job: Job, report: Report) -> None:
        """Train one student and leave it in its folder; go on from its last checkpoint if there is one.

        Raises:
            ConfigError: another process is training it.
            KantorError: see :func:`kantor.training.train`.
        """
        folder = job.folder(self.run)
        if rank() > 0:
            self._attempt(job, folder, report)
            return
        with locked(folder):
            if read_result(folder) is None:
                remove_partial(folder)
                self._attempt(job, folder, report)

    def _attempt(self, job: Job, folder: Path, report: Report) -> None:
        """Train; a trial whose loss is not finite is a weight that cannot be taken, not the end of the search."""
        try:
            self._train(job, folder, report)
        except NonFiniteError as error:
            if job.factor is None:
                raise
            if rank() == 0:
                learned = self.config.learned()
                # A share can be no worse; of other metrics there is no worst value.
                worst = 0.0 if learned is None or learned.scale.is_share else None
                record = {"validation_accuracy": worst, "validation": worst, "diverged": str(error)}
                finish(folder, {**record, **self._whose(folder)})

    def _train(self, job: Job, folder: Path, report: Report) -> None:
        method, seed, data = job.method, job.seed, data_for(job.method, self.study, self.data)
        factor = tuned_factor(self.run, method) if job.factor is None else job.factor
        # What has no transfer weight is tuned by its learning rate.
        config = self.config if method.terms else replace(self.config, lr=factor * self.config.lr)
        if job.factor is not None:
            config = replace(config, trackers=None)  # a dashboard shows the comparison
        if not method.terms and not data.train.labelled:
            config = replace(config, epochs=0)  # nothing to learn from: the untrained student
        student, given = new_student(self.study, self.data, seed, self.plan.starts[method.name])
        placed = replace(method, terms=tuple(term.times(factor) for term in self.plan.terms(method.name)))
        objective = make_objective(
            self.study,
            data,
            student,
            self.teachers,
            placed,
            self.label_costs,
            seed=seed,
            given=given,
            maps=self.vocabulary_maps,
        )
        loader = training_batches(data, self.config, seed, transfers=bool(method.transfers))
        objective.check(next(loader.epoch(0)), quiet=True)
        attend(objective, self.channel_worth)
        outcome = train(
            objective,
            data,
            config,
            folder,
            seed=seed,
            run=f"{self.config.digest()}/{method.name}/{seed}/{factor:g}",
            plan_samples=self.plan_samples if job.factor is None else None,
            judge=job.factor is None and self.config.task != "none",
            report=report,
        )
        if outcome is not None:
            if job.factor is not None and self.config.task == "none":
                reached = validation_accuracy(student, self.data)
                outcome = replace(outcome, validation_accuracy=reached, validation=reached)
            student.cpu().save(folder / "student.safetensors")
            weights = {"task": objective.task_weight} | {b.name: asdict(b.weight) for b in objective.bound}
            weights = {
                k: v["value"] if isinstance(v, dict) and v["schedule"] == "constant" else v for k, v in weights.items()
            }
            finish(folder, {**asdict(outcome), "weights": weights, **self._whose(folder)})

    def _whose(self, folder: Path) -> dict[str, str]:
        """What a finished student's record says of where it belongs (:func:`agree_on_students` asks)."""
        return {"settings": self.config.digest(), "student": folder.relative_to(self.run).as_posix()}

    def _teachers(self, part: Part) -> dict[str, Teacher]:
        if self.plan.cached:
            outputs = KeptOutputs(self.run, self.config, self.data, self.plan)
            return {
                name: CachedTeacher(outputs.open(name, part), known["facts"], name)
                for name, known in self.plan.teachers.items()
            }
        models = {
            name: model_for(known["spec"], self.data, self.data.role_of(name), known["classes"])
            for name, known in self.plan.teachers.items()
        }
        return {name: LiveTeacher(model, name=name, top=self.config.top_logits) for name, model in models.items()}


def new_student(
    study: ResolvedStudy, data: DataSet, seed: int, start: Start | None = None
) -> tuple[Model, Given | None]:
    """The student before training, and what it was given: the same for every method of a seed and a start."""
    seeds.seed_all(seed, seeds.INIT)
    student = model_for(study.settings.student, data, "student")
    return student, None if start is None else start.give(student, seed)


def data_for(method: Method, study: ResolvedStudy, data: DataSet) -> DataSet:
    """The data as a method may see it: without labels where the study is, unless the method's task has a weight.

    Without a task, samples that had a label and those that never had one are alike.
    """
    if study.judged or method.task > 0:
        return data
    return replace(data, train=data.shown, unlabelled=None).without_labels()


def make_objective(
    study: ResolvedStudy,
    data: DataSet,
    student: Model,
    teachers: Mapping[str, Teacher],
    method: Method,
    costs: Mapping[str, LabelCost],
    *,
    seed: int,
    given: Given | None,
    maps: Maps = NO_MAPS,
) -> Objective:
    """The objective of one method, with losses of its own.

    Args:
        study: what is to be done.
        data: as :func:`data_for` gives it; without labels there is no task.
        student, teachers: the networks.
        method: its terms, bound or not.
        costs: label costs by teacher; none where no term needs one.
        seed: of the losses' own parameters.
        given: what the student starts from.
        maps: between vocabularies; none where no term needs one.
    """
    terms = [term.fresh() for term in method.terms]
    hand_over(terms, costs, teachers)
    hand_maps_over(terms, maps, teachers)
    return Objective(
        student,
        teachers if method.transfers else {},
        terms,
        task_weight=method.task,
        task=study.label_task if data.train.labelled else None,
        samples=data.train.samples,
        seed=seed,
        source=None if given is None else given.weights,
        start_plans=given.plans() if given is not None and any(_holds_plan(term) for term in terms) else None,
        freeze=study.settings.frozen(),
    )


def _holds_plan(term: Term) -> bool:
    return isinstance(term.loss, TransferLoss) and term.loss.needs_start_plan


def use_threads(threads: int) -> None:
    """Compute on so many threads, numpy's BLAS included, and flush denormals, which cost a CPU ten times as much."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    torch.set_flush_denormal(True)
