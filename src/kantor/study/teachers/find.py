"""Teachers of a study: given with their weights, or trained once and kept for the next time."""

import hashlib
import json
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kantor.core import seeds
from kantor.core.collectives import rank, wait_for_all
from kantor.core.errors import ConfigError, KantorError, not_finite_in
from kantor.core.files import remove_partial, write_json
from kantor.core.reading import read_json
from kantor.data import DataSet, Part, open_data
from kantor.faculty.label_cost import CostSource
from kantor.faculty.roster import classes_by_teacher, read_classes, spec_of, teacher_names
from kantor.models import Model, has_weights
from kantor.models.loading import load_named
from kantor.objective import Objective
from kantor.results.files import read_result
from kantor.results.records import KeptAccuracy
from kantor.results.seal import check_files, check_weights, finish
from kantor.study.resume.folder import locked
from kantor.study.settings.methods import Method, parse_methods
from kantor.study.settings.study import Study, device_of
from kantor.study.settings.views import views_by_role
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


def teacher_specs(config: Study) -> dict[str, str]:
    """Name to spec. One teacher is called ``teacher``; of several, each is called by its model's name."""
    if not config.teacher:
        return {}
    specs = [spec_of(spec.strip()) for spec in config.teacher.split(",")]
    return {"teacher": specs[0]} if len(specs) == 1 else dict(zip(teacher_names(specs), specs, strict=True))


def teacher_shares(config: Study) -> dict[str, float]:
    """Each teacher's share of a term that all of them take part in; they sum to 1.

    Raises:
        ConfigError: not one positive weight for each teacher.
    """
    names, given = list(teacher_specs(config)), config.teacher_weights
    if given == "equal" or not names:
        weights = [1.0] * len(names)
    elif given == "ranking":
        weights = [1 / (place + 1) for place in range(len(names))]
    else:
        weights = [float(weight) for weight in given]
    if len(weights) != len(names) or not all(weight > 0 for weight in weights):
        raise ConfigError(f"teacher_weights is equal, ranking, or a positive number for each of {', '.join(names)}.")
    return {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}


def given_classes(config: Study) -> dict[str, list[str]]:
    """Class names that the user gave, by teacher.

    Raises:
        ConfigError: they are for a teacher that is not there, or it is not said for which.
        DataError: their file cannot be read.
    """
    return classes_by_teacher(config.teacher_classes, list(teacher_specs(config)))


def study_methods(config: Study) -> list[Method]:
    """The study's methods, with a term for each teacher where several take part.

    Raises:
        ConfigError: see :func:`kantor.study.settings.methods.parse_methods`.
    """
    shares = teacher_shares(config)
    task_weight = 0.0 if config.task == "none" else 1.0
    return [method.over(shares) for method in parse_methods(config.methods, task_weight, config.weight_limit())]


def study_views(config: Study) -> dict[str, str] | None:
    """What each role of a study sees; None where the user did not choose.

    Raises:
        ConfigError: see :func:`~kantor.study.settings.views.views_by_role`; or a label cost of class centres in the
            features of a model, where teachers see different things and nothing says what that model sees.
    """
    given = config.view_map()
    if given is None:
        return None
    views = views_by_role(given, teacher_specs(config))
    if "teacher" not in views and CostSource.parse(config.label_cost or "learned").kind == "centres":
        raise ConfigError(
            f"label_cost {config.label_cost}: teachers see different things, and nothing says which of them the model "
            "of the class centres sees. Give all teachers one view, or take another label cost."
        )
    return views


def open_study_data(config: Study, progress: Any = None, limit: bool = True) -> DataSet:
    """The study's data as its settings say; without the limit, all that a teacher may see.

    Raises:
        DataError, ConfigError: see :func:`kantor.data.open_data`.
    """
    numbers = config.label_numbers()
    return open_data(
        config.data,
        image_size=config.image_size,
        classes=None if config.classes is None else read_classes(config.classes),
        train_limit=config.train_limit if limit else None,
        labels_per_class=numbers[0] if limit and numbers else None,
        unlabelled=config.unlabelled if limit else None,
        validation=config.validation if limit else 0.0,
        skip_corrupt=config.skip_corrupt,
        views=study_views(config),
        label=config.label,
        need_labels=config.task != "none",
        progress=progress,
    )


def model_for(spec: str, data: DataSet, role: str, classes: list[str] | None = None) -> Model:
    """A model built for the data's inputs (its normaliser fitted where it asks for that). A student, and a teacher that
    is yet to be trained, is of the data's classes.

    Args:
        role: ``student``, or what :meth:`~kantor.data.DataSet.role_of` says of a teacher.
        classes: what weights that do not name their own classes were trained for.

    Raises:
        ConfigError, DataError: see :func:`kantor.load`; a student's weights are for other classes.
    """
    if role == "student" or not has_weights(spec):
        classes = data.classes
    model = load_named(spec, classes=classes, input_shape=data.train.input_shapes[role])
    if model.needs_fit:
        model.fit_normaliser(data.train.read(np.arange(len(data.train)))[role])
    return model


def find_teachers(config: Study, data: DataSet, root: Path, report: Report) -> list[Source]:
    """Every teacher with weights that exist; one without is trained first, and found again the next time.

    Args:
        config: the study's settings.
        data: its data.
        root: folder of trained teachers; each is in ``root/KEY``, KEY a hash of its settings and of the data as it
            sees it.
        report: told of training progress.
    """
    classes, views = given_classes(config), data.notes.get("views", {})
    for spec in filter(has_weights, teacher_specs(config).values()):
        check_weights(spec)
    found = [
        Source(name, spec, _seen_elsewhere(spec), classes.get(name))
        if has_weights(spec)
        else _trained(name, spec, config, data, root, report)
        for name, spec in teacher_specs(config).items()
    ]
    return [replace(source, sees=views.get(data.role_of(source.name), "")) for source in found]


def _seen_elsewhere(spec: str) -> str:
    """What a model with weights was trained on: for a student of a run, what that run says."""
    above = Path(spec).parents
    if Path(spec).name == "student.safetensors" and len(above) > 2 and (above[2] / "config.yaml").is_file():
        with suppress(KantorError):  # settings of another version, say
            study = Study.from_yaml(above[2] / "config.yaml")
            classes = "" if study.classes is None else ", some of its classes alone"
            return f"{study.data}{classes}, in the run {above[2]}"
    return "data that is not known, since its weights were given"


def _trained(name: str, spec: str, config: Study, data: DataSet, root: Path, report: Report) -> Source:
    everything = open_study_data(config, limit=False)
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
    facts = {"teacher": spec, "training": settings.telling(), "data": part.fingerprint}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / key
    weights = folder / "teacher.safetensors"
    saw = (
        f"{len(part):,} training images of {data.name}"
        if part.input_shapes["teacher"][1:]
        else f"{len(part):,} samples"
    )
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
            objective = Objective(teacher, {}, [])
            judge = test is not None
            with not_finite_in(f"Teacher {name}, trained at teacher_lr {config.teacher_lr:g}"):
                outcome = train(objective, everything, settings, folder, seed=0, run=key, judge=judge, report=report)
            if outcome is not None:
                teacher.save(weights)
                finish(folder, asdict(outcome))
            wait_for_all()
    result = read_result(folder)
    return Source(name, f"{spec}:{weights}", saw, seconds=None if result is None else result["seconds"])


def accuracy(name: str, model: Model, data: DataSet, root: Path, config: Study) -> float | None:
    """A teacher's accuracy on the test part, in [0, 1]; None where its classes are not the data's.

    None, too, where the test part has no labels or lacks the teacher's view.

    Args:
        name: the teacher's.
        model: the teacher.
        data: the study's data.
        root: folder of caches, where it is kept for the next run.
        config: the study's settings.
    """
    role = data.role_of(name)
    if data.test is None or not data.test.labelled or role not in data.test.stores:
        return None
    if (model.class_names or model.num_classes) not in (data.classes, len(data.classes)):
        return None
    test = data.test.seen_by(role)
    path = root / f"accuracy-{model.weights_digest()[:16]}-{test.fingerprint[:16]}.json"
    if rank() == 0 and not path.exists():
        device = device_of(config)
        with not_finite_in(f"Teacher {name}"):
            scores = evaluate(model.to(device), test, device=device)
        model.cpu()
        write_json(path, {"accuracy": scores.value, "samples": scores.samples})
    wait_for_all()
    return read_json(path, KeptAccuracy, f"Delete {path}.")["accuracy"]


def _without(everything: Part, data: DataSet) -> Part:
    """All training samples but those the student is validated on: what it is chosen by must be new to its teacher."""
    if data.validation is None:
        return everything
    keep = ~np.isin(everything.ids, data.validation.ids)
    return replace(everything, ids=everything.ids[keep], targets=everything.targets[keep], rows=everything.rows[keep])
