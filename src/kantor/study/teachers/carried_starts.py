"""Starts that step 0 makes: the teacher's weights, carried through transport to the student of every seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kantor.carry import Carried, GroupingPlan, transported
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
        folder: where the weights are kept, ``seed-K.safetensors``, those of a control in a folder of its plan's name;
            what is there is taken.
        of_seeds: the students'.
        say: told what was carried, and how good the first student is before it trains; left out, nobody looks.

    Raises:
        ConfigError: the student is not of the teacher's make; see :func:`kantor.transported`.
    """
    made: dict[CarriedStart, Start] = {}
    for asked in study.carries:
        files = folder if asked.plan == "optimal" else folder / asked.plan
        if rank() == 0:
            for seed in of_seeds:
                weights = files / f"seed-{seed}.safetensors"
                if not weights.with_suffix(".json").exists():
                    carried = _carried(study, data, models[asked.teacher], seed, asked.plan)
                    _keep(study, data, *carried, weights, look=say is not None and seed == of_seeds[0])
        wait_for_all()
        kept = read_json(files / f"seed-{of_seeds[0]}.json", KeptCarried, f"Delete {files}.")
        if say is not None:
            lines = [f"Start of seed {of_seeds[0]}: {asked}.", *kept["groups"]]
            say("\n  ".join([*lines, f"before training: {kept['untrained']}"] if kept["untrained"] else lines))
        spec = f"{architecture(study.settings.student)}:{files}/seed-{{seed}}.safetensors"
        made[asked] = Start(spec, carried=str(asked))
    return {name: made[start] if isinstance(start, CarriedStart) else start for name, start in study.starts.items()}


def _carried(
    study: ResolvedStudy, data: DataSet, teacher: Model, seed: int, plan: GroupingPlan
) -> tuple[Model, Carried]:
    """The student of a seed with the teacher's weights."""
    seeds.seed_all(seed, seeds.INIT)
    student = model_for(study.settings.student, data, "student")
    shown = replace(data, train=data.shown, unlabelled=None)
    return student, transported(teacher, student, shown, seed=seed, plan=plan)


def _keep(study: ResolvedStudy, data: DataSet, student: Model, carried: Carried, weights: Path, *, look: bool) -> None:
    """Keep the start of one seed; the record of it last, so that what is there is whole."""
    weights.parent.mkdir(parents=True, exist_ok=True)
    student.save(weights)
    carried.plans.write(plans_beside(weights))
    untrained = ""
    if look and study.judged and data.test is not None and data.test.labelled:
        with not_finite_in(f"{student.name}, carried and not trained,"):
            reached = evaluate(student, data.test, task=study.label_task)
        untrained = study.scale.said_on(reached.value, "the test part")
    write_json(weights.with_suffix(".json"), {"groups": str(carried).splitlines(), "untrained": untrained})
