"""What moved in a run: recorded plans measured, and every final student beside its teachers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from kantor.analysis import activations, layer_matrices, read_trajectories
from kantor.analysis.activations import fitted
from kantor.analysis.file_types import Analysis
from kantor.analysis.pairs import look_at_pairs, write_neurons
from kantor.analysis.samples import Sheet, all_rows, sheet
from kantor.capture import Layer, pair, stages
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import read_npz, write_bytes, write_json
from kantor.core.inputs import on_device
from kantor.core.seal import student_of
from kantor.data import DataSet, Part
from kantor.models import Model, load
from kantor.results.files import plan_samples_file, read_result
from kantor.results.format import read_began
from kantor.results.movement import Analysed, over_seeds
from kantor.study.execution.job import Job
from kantor.study.execution.student import Workbench
from kantor.study.teachers.find import model_for
from kantor.training.device import chosen_device
from kantor.training.plan_samples import samples_for_plans

FOLDER = "analysis"
"""Of the run's folder: what each final student's neurons are, and thumbnails."""

Layers = dict[str, Float[Tensor, "samples neurons"]]


def analyse_run(run: Path, *, top: int = 5, say: Callable[[str], None] = print) -> Analysis:
    """Measure what transfer did to a run's students, and write ``analysis.json`` and the folder ``analysis/``.

    Recorded plans are measured as they are. Final students and teachers see the run's probe samples once; their
    layers are compared by transport distance (correlation cost) and debiased linear CKA.

    Args:
        run: the run's folder; unfinished students are left out.
        top: samples kept of each neuron, those that excite it most.
        say: told of progress.

    Returns:
        What ``analysis.json`` holds.

    Raises:
        ConfigError: there is no run, no finished student, or no teacher to compare it with.
        DataError: the data are not those of the run any more.
        KantorError: data, a teacher or a student can no longer be loaded.
    """
    read_began(run)  # a later version's folder may have nothing that is looked for here
    if not (run / "plan.json").exists():
        raise ConfigError(
            f"{run} holds no run that could be analysed: there is no plan.json in it. `kantor resume {run}` finishes a "
            "run that was stopped before its first student."
        )
    if top < 1:
        raise ConfigError(f"top is at least 1, not {top}.")
    bench = Workbench(run)
    # Without those that were left out at step 0 (unfit: skip).
    methods = [method for name, method in bench.methods.items() if name in bench.plan.bound]
    asked = [Job(method, seed) for method in methods for seed in bench.config.seed_list()]
    jobs = [job for job in asked if read_result(job.folder(run)) is not None]
    if not jobs:
        raise ConfigError(f"{run} has no finished student. `kantor resume {run}`, then analyse it.")
    if not bench.plan.teachers:
        raise ConfigError(f"{run} has no teacher to compare its students with. `kantor compare` takes any two models.")
    if len(jobs) < len(asked):
        say(f"{len(jobs)} of {len(asked)} students are finished. `kantor resume {run}`, then analyse it again.")
    look = _Look(bench)
    students = []
    for done, job in enumerate(jobs, 1):
        say(f"{job.label}: {done} of {len(jobs)}")
        students.append(look.student(job, top))
    content: Any = {
        "run": run.resolve().name,
        "students": {"analysed": len(jobs), "asked": len(asked)},
        "probe": {"part": look.part.name, "samples": len(look.part)},
        "cost": "correlation",
        "cka": "linear, debiased",
        "methods": over_seeds(students),
        "samples": _thumbnails(run, look.part, students, bench.data),
    }
    write_json(run / "analysis.json", content)
    return content


def _same_samples(run: Path, part: Part) -> None:
    """Refuse data that changed since the run: final students would be seen on other samples than recorded plans were.

    Raises:
        DataError: see above.
    """
    path = plan_samples_file(run)
    if not path.exists():  # of a run in which no layers were paired
        return
    known = read_npz(path, f"Delete it and `kantor resume {run}`.")
    same = np.array_equal(known["ids"], part.ids) and np.array_equal(known["targets"], part.targets)
    if not same or known.get("fingerprint", part.fingerprint) != part.fingerprint:  # which earlier runs lack
        raise DataError(
            f"{part.name} samples of the data are not those that {run} was trained with: the data changed since. Bring "
            "back what was there."
        )


class _Look:
    """The probe samples, and every teacher's layers on them."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.part = samples_for_plans(bench.data)
        _same_samples(bench.run, self.part)
        self.device = chosen_device(bench.config.device)
        self.teachers: dict[str, tuple[list[Layer], Layers]] = {}
        for name, known in bench.plan.teachers.items():
            role = bench.data.role_of(name)
            model = model_for(known["spec"], bench.data, role, known["classes"])
            recorded = [p.teacher for p in bench.plan.pairs if p.source == name]
            self.teachers[name] = self.layers(model, role, recorded)

    def layers(self, model: Model, role: str, more: Sequence[str]) -> tuple[list[Layer], Layers]:
        """A model's stages, and its activations there and at ``more`` layers."""
        model, part = model.to(self.device), self.part.seen_by(role)
        found = stages(model, fitted(model, on_device(part.read(np.arange(1))["student"], self.device)))
        paths = list(dict.fromkeys([*(stage.path for stage in found), *more]))
        batch_size = self.bench.config.batch_size
        return found, activations(model, part, paths, batch_size=batch_size, device=self.device)

    def student(self, job: Job, top: int) -> Analysed:
        """One final student beside each teacher, its neurons written to the run's folder."""
        folder, recorded = job.folder(self.bench.run), self.bench.plan.pairs
        own, layers = self.layers(load(str(student_of(folder))), "student", [p.student for p in recorded])
        found, matrices = {}, {}
        for name, (theirs, activity) in self.teachers.items():
            known = [(p.teacher, p.student) for p in recorded if p.source == name]
            pairs = known or [(p.teacher, p.student) for p in pair(own, theirs)]
            found[name] = look_at_pairs(activity, layers, pairs, top=top)
            matrices[name] = layer_matrices(
                {stage.path: activity[stage.path] for stage in theirs},
                {stage.path: layers[stage.path] for stage in own},
            )
        file = f"{FOLDER}/{job.method.folder}/seed-{job.seed}.npz"
        write_neurons(self.bench.run / file, found, self.part.ids)
        return Analysed(job.method.name, job.seed, read_trajectories(folder), matrices, found, file)


def _thumbnails(run: Path, part: Part, students: list[Analysed], data: DataSet) -> dict[str, Any] | None:
    """By role: a sheet for each input that is seen, with what excites the units of all who see it."""
    rows: dict[int, list[Int[np.ndarray, " n"]]] = {}
    for student in students:
        for name, pairs in student.found.items():
            for side, role in enumerate((data.role_of(name), "student")):
                rows.setdefault(id(part.stores[role]), []).append(all_rows([pair.tops[side] for pair in pairs]))
    sheets: dict[int, tuple[str, Sheet | None]] = {}
    for role, store in part.stores.items():
        if id(store) not in sheets:
            file = f"{FOLDER}/samples.jpg" if len(rows) == 1 else f"{FOLDER}/samples-{role}.jpg"
            made = sheets[id(store)] = file, sheet(part, np.concatenate(rows[id(store)]), role)
            if made[1] is not None:
                write_bytes(run / file, made[1].image)
    found = {role: sheets[id(store)] for role, store in part.stores.items()}
    return {role: made.facts(part, file, data.classes) for role, (file, made) in found.items() if made} or None
