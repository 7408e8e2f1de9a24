"""Starts that step 0 makes: the teacher's weights, carried through transport to the student of every seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kantor.carry import transported
from kantor.core import seeds
from kantor.core.collectives import rank, wait_for_all
from kantor.core.errors import not_finite_in
from kantor.core.files import write_json
from kantor.core.reading import read_json
from kantor.data import DataSet
from kantor.models import Model
from kantor.models.loading import architecture
from kantor.results.records import KeptCarried
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.starting_weights import CarriedStart, Start, plans_beside
from kantor.study.teachers.find import model_for
from kantor.training import evaluate


def carried_starts(
    study: ResolvedStudy,
    data: DataSet,
    models: Mapping[str, Model],
    folder: Path,
    of_seeds: Sequence[int],
    say: Callable[[str], None] | None = None,
) -> dict[str, Start | None]:
    """Every method's start, with files in the place of those that are to be carried.

    Units are compared on all training samples that students are shown, with a label and without. Each seed has a
    search for groups of its own, and a classifier of its own where the teacher's classes are others.

    Args:
        study: what is to be done.
        data: its data.
        models: the teachers.
        folder: where the weights are kept, ``seed-K.safetensors``; those that are there are taken.
        of_seeds: the students'.
        say: told what was carried, and how good the first student is before it trains; left out, nobody looks.

    Raises:
        ConfigError: the student is not of the teacher's make; see :func:`kantor.transported`.
    """
    asked = study.carries
    if asked is None:
        return {name: start for name, start in study.starts.items() if not isinstance(start, CarriedStart)}
    if rank() == 0:
        for seed in of_seeds:
            if not (folder / f"seed-{seed}.json").exists():
                _carry(study, data, models[asked.teacher], folder, seed, look=say is not None and seed == of_seeds[0])
    wait_for_all()
    kept = read_json(folder / f"seed-{of_seeds[0]}.json", KeptCarried, f"Delete {folder}.")
    if say is not None:
        lines = [f"Start of seed {of_seeds[0]}: {asked.teacher}'s weights, carried through transport.", *kept["groups"]]
        say("\n  ".join([*lines, f"before training: {kept['untrained']}"] if kept["untrained"] else lines))
    file = folder / "seed-{seed}.safetensors"
    made = Start(f"{architecture(study.settings.student)}:{file}", carried_from=asked.teacher)
    return {name: made if isinstance(start, CarriedStart) else start for name, start in study.starts.items()}


def _carry(study: ResolvedStudy, data: DataSet, teacher: Model, folder: Path, seed: int, *, look: bool) -> None:
    """Make and keep the start of one seed; the record of it last, so that what is there is whole."""
    seeds.seed_all(seed, seeds.INIT)
    student = model_for(study.settings.student, data, "student")
    carried = transported(teacher, student, replace(data, train=data.shown, unlabelled=None), seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"seed-{seed}.safetensors"
    student.save(weights)
    carried.plans.write(plans_beside(weights))
    untrained = ""
    if look and study.judged and data.test is not None and data.test.labelled:
        with not_finite_in(f"{student.name}, carried and not trained,"):
            reached = evaluate(student, data.test, task=study.label_task)
        untrained = study.scale.said_on(reached.value, "the test part")
    write_json(folder / f"seed-{seed}.json", {"groups": str(carried).splitlines(), "untrained": untrained})
