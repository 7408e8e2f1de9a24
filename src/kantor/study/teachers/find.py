"""Teachers of a study: given with their weights, or trained once and kept for the next time."""

import hashlib
import json
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from kantor.core import seeds
from kantor.core.collectives import rank, wait_for_all
from kantor.core.errors import ConfigError, KantorError, not_finite_in
from kantor.core.files import remove_partial, write_json
from kantor.core.locks import locked
from kantor.core.names import folder_name
from kantor.core.objects import is_object
from kantor.core.reading import read_json
from kantor.core.seal import check_files, finish
from kantor.data import DataSet, Part
from kantor.data.source import NORMALISED
from kantor.models import Model, has_weights
from kantor.models.loading import load_named
from kantor.objective import Objective
from kantor.results.files import read_result
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.study import Study
from kantor.study.teachers.taking_samples import takes_samples
from kantor.training import Training, evaluate, train
from kantor.training.loop import Report


@dataclass(frozen=True)
class Source:
    """Where a study's teacher comes from."""

    name: str
    """How terms call it."""
    spec: str
    """As the user wrote it; with a weights file once it is trained."""
    saw: str
    """What it was trained on, as far as kantor knows."""
    classes: list[str] | None = None
    """Class names that the user gave, where the weights carry none."""
    seconds: float | None = None
    """Of its training, now or for an earlier study; None where its weights were given."""
    sees: str = ""
    """Its view, where the user chose what is seen."""


def model_for(spec: str, data: DataSet, role: str, classes: list[str] | None = None) -> Model:
    """A model built for the data's inputs (its normaliser fitted where it asks for that). A student, and a teacher that
    is yet to be trained, is of the data's classes.

    Args:
        role: ``student``, or what :meth:`~kantor.data.DataSet.role_of` says of a teacher.
        classes: what weights that do not name their own classes were trained for.

    Raises:
        ConfigError, DataError: see :func:`kantor.load`; a student's weights are for other classes; it normalises what
            the data has normalised already.
    """
    tokenizer = data.train.tokenizers.get(role)
    if role == "student" or not has_weights(spec):
        classes = data.classes
    if data.kind == "next" and tokenizer is not None:
        classes = list(tokenizer.tokens)  # its own, whatever those of the student are
    # A checkpoint of a bare text encoder gets a new classifier: a teacher's is the same whenever it is loaded.
    with seeds.fixed(0, seeds.TEACHER) if tokenizer is not None and role != "student" else nullcontext():
        shape = data.train.input_shapes[role]
        model = load_named(spec, classes=classes, input_shape=shape, tokenizer=tokenizer, answers=data.kind)
    if NORMALISED in data.notes and model.normalise.mode not in ("none", "standard"):
        raise ConfigError(
            f"{spec} normalises pixels in [0, 1], and those of {data.name} run {data.notes[NORMALISED]}. Write "
            "@normalise=none behind its name, as resnet8@normalise=none:FILE, or leave the pixels as they were."
        )
    if model.needs_fit:
        model.fit_normaliser(data.train.read(np.arange(len(data.train)))[role])
    return model


def find_teachers(study: ResolvedStudy, data: DataSet, root: Path, report: Report) -> list[Source]:
    """Every teacher with weights that exist; one without is trained first, and found again the next time.

    Args:
        study: what is to be done.
        data: its data.
        root: folder of trained teachers; each is in ``root/KEY``, KEY a hash of its settings and of the data as it
            sees it.
        report: told of training progress.
    """
    views = data.notes.get("views", {})
    found = [
        Source(name, spec, _seen_elsewhere(spec), study.teacher_classes.get(name))
        if has_weights(spec)
        else _trained(name, study, data, root, report)
        for name, spec in study.teachers.items()
    ]
    return [replace(source, sees=views.get(data.role_of(source.name), "")) for source in found]


def _seen_elsewhere(spec: str) -> str:
    """What a model with weights was trained on: for a student of a run, what that run says."""
    above = Path(spec).parents
    if Path(spec).name == "student.safetensors" and len(above) > 2 and (above[2] / "config.yaml").is_file():
        with suppress(KantorError):  # settings of another version, say
            study = Study.of_run(above[2])
            classes = "" if study.classes is None else ", some of its classes alone"
            return f"{study.data}{classes}, in the run {above[2]}"
    return "data that is not known, since its weights were given"


def _trained(name: str, study: ResolvedStudy, data: DataSet, root: Path, report: Report) -> Source:
    spec, config = study.teachers[name], study.settings
    everything = study.open_data(limit=False)
    if not everything.train.labelled:
        raise ConfigError(f"{data.name} has no labels to train a teacher with. Give one with weights, as {name}:FILE.")
    role, test = data.role_of(name), everything.test
    part = _without(everything.train, data).seen_by(role)
    # The teacher's input may exist in training alone.
    test = test.seen_by(role) if test is not None and role in test.stores else None
    everything = replace(everything, train=part, validation=None, test=test)
    settings = Training(
        **{key: getattr(config, key) for key in ("batch_size", "optimizer", "weight_decay", "precision", "device")},
        epochs=config.teacher_epochs,
        lr=config.teacher_lr,
        augment=config.augment if len(part.input_shapes["teacher"]) == 3 else "none",  # for the images of others
        record_plans="every=0",
        select="last",
    )
    task = study.label_task
    facts = {"teacher": spec, "training": settings.telling(), "data": part.fingerprint}
    facts |= {} if config.task in ("labels", "none") else {"task": config.task}  # teachers from before are found again
    if is_object(spec):  # another program's object may be called so too
        facts |= {"network": str(model_for(spec, everything, "teacher").network)}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / key
    weights = folder / "teacher.safetensors"
    kinds = {3: f"training images of {data.name}", 2: f"training texts of {data.name}"}
    saw = f"{len(part):,} {kinds.get(len(part.input_shapes['teacher']), 'samples')}"
    if "views" in everything.notes:
        saw += f" ({everything.notes['views'][role]})"
    main = rank() == 0
    with locked(folder) if main else nullcontext():
        trained = read_result(folder) is not None
        check_files(folder)
        wait_for_all()
        if not trained:
            if main:
                remove_partial(folder)
                write_json(folder / "teacher.json", facts)
            seeds.seed_all(0, seeds.TEACHER)
            teacher = model_for(spec, everything, "teacher")
            objective = Objective(teacher, {}, [], task=task)
            judge = test is not None
            with not_finite_in(f"Teacher {name}, trained at teacher_lr {config.teacher_lr:g}"):
                outcome = train(objective, everything, settings, folder, seed=0, run=key, judge=judge, report=report)
            if outcome is not None:
                teacher.save(weights)
                finish(folder, asdict(outcome))
            wait_for_all()
    result = read_result(folder)
    return Source(name, f"{spec}:{weights}", saw, seconds=None if result is None else result["seconds"])


def score_on_test(name: str, model: Model, data: DataSet, root: Path, study: ResolvedStudy) -> float | None:
    """What a teacher reaches on the test part by the task's metric; None where its classes are not the data's.

    None, too, where the test part has no labels or lacks the teacher's view.

    Args:
        name: the teacher's.
        model: the teacher.
        data: the study's data.
        root: folder of caches, where it is kept for the next run.
        study: what is to be done.
    """
    role, task, device = data.role_of(name), study.label_task, study.device
    if data.test is None or not data.test.labelled or role not in data.test.stores:
        return None
    if (model.class_names or model.num_classes) not in (data.classes, len(data.classes)):
        return None
    test, metric = data.test.seen_by(role), task.scale.name
    path = root / f"{folder_name(metric)}-{model.weights_digest()[:16]}-{test.fingerprint[:16]}.json"
    if rank() == 0 and not path.exists():
        with not_finite_in(f"Teacher {name}"), takes_samples(model):
            scores = evaluate(model.to(device), test, task=task, device=device)
        model.cpu()
        with locked(root):
            remove_partial(root, below=False)  # of a study that was killed here
            write_json(path, {metric: scores.value, "samples": scores.samples})
    wait_for_all()
    return read_json(path, dict[str, float], f"Delete {path}.")[metric]


def _without(everything: Part, data: DataSet) -> Part:
    """All training samples but those the student is validated on: what it is chosen by must be new to its teacher."""
    if data.validation is None:
        return everything
    keep = ~np.isin(everything.ids, data.validation.ids)
    return replace(everything, ids=everything.ids[keep], targets=everything.targets[keep], rows=everything.rows[keep])
