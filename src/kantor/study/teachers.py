"""Teachers of a study: given with their weights, or trained once and kept for the next time."""

import hashlib
import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kantor.core import seeds
from kantor.core.collectives import rank, wait_for_all
from kantor.core.files import write_json
from kantor.data import DataSet, Part, open_data
from kantor.models import Model, load
from kantor.models.spec import parse
from kantor.objective import Objective
from kantor.study.config import Study
from kantor.study.folder import locked, read_result
from kantor.training import Training, train
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


def teacher_names(config: Study) -> dict[str, str]:
    """Name to spec. One teacher is called ``teacher``; of several, each is called by its model's name.

    Raises:
        ConfigError: two teachers of one name.
    """
    if not config.teacher:
        return {}
    specs = [spec.strip() for spec in config.teacher.split(",")]
    if len(specs) == 1:
        return {"teacher": specs[0]}
    names = [spec.partition(":")[0].partition("@")[0] for spec in specs]
    names = [f"{name}-{k + 1}" if names.count(name) > 1 else name for k, name in enumerate(names)]
    return dict(zip(names, specs, strict=True))


def open_study_data(config: Study, progress: Any = None, limit: bool = True) -> DataSet:
    """The study's data as its settings say; without the limit, all that a teacher may see.

    Raises:
        DataError, ConfigError: see :func:`kantor.data.open_data`.
    """
    return open_data(
        config.data,
        image_size=config.image_size,
        train_limit=config.train_limit if limit else None,
        validation=config.validation if limit else 0.0,
        skip_corrupt=config.skip_corrupt,
        views=config.view_map(),
        label=config.label,
        progress=progress,
    )


def model_for(spec: str, data: DataSet, role: str) -> Model:
    """A model built for the data's inputs and classes (its normaliser fitted where it asks for that)."""
    has_weights = _has_weights(spec)
    model = load(spec, classes=None if has_weights else data.classes, input_shape=data.train.input_shapes[role])
    if model.needs_fit:
        model.fit_normaliser(data.train.read(np.arange(len(data.train)))[role])
    return model


def find_teachers(config: Study, data: DataSet, root: Path, report: Report) -> list[Source]:
    """Every teacher with weights that exist; one without is trained first, and found again the next time.

    Args:
        config: the study's settings.
        data: its data.
        root: folder of trained teachers; each is in ``root/KEY``, KEY a hash of its settings and data.
        report: told of training progress.
    """
    return [
        Source(name, spec, "data that is not known, since its weights were given")
        if _has_weights(spec)
        else _trained(name, spec, config, data, root, report)
        for name, spec in teacher_names(config).items()
    ]


def _trained(name: str, spec: str, config: Study, data: DataSet, root: Path, report: Report) -> Source:
    everything = open_study_data(config, limit=False)
    part = _without(everything.train, data)
    everything = replace(everything, train=part, validation=None)
    settings = Training(
        **{key: getattr(config, key) for key in ("batch_size", "optimizer", "weight_decay", "precision", "device")},
        epochs=config.teacher_epochs,
        lr=config.teacher_lr,
        augment=config.augment,
        record_plans="every=0",
        select="last",
    )
    facts = {"teacher": spec, "training": asdict(settings), "data": part.fingerprint}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / key
    weights = folder / "teacher.safetensors"
    saw = (
        f"{len(part):,} training images of {data.name}"
        if part.input_shapes["teacher"][1:]
        else f"{len(part):,} samples"
    )
    main = rank() == 0
    with locked(folder) if main else nullcontext():
        trained = read_result(folder) is not None
        wait_for_all()
        if not trained:
            if main:
                write_json(folder / "teacher.json", facts)
            seeds.seed_all(0, seeds.TEACHER)
            teacher = model_for(spec, everything, "teacher")
            objective = Objective(teacher, {}, [])
            outcome = train(
                objective, _as_seen_by_teacher(everything), settings, folder, seed=0, run=key, report=report
            )
            if outcome is not None:
                teacher.save(weights)
                write_json(folder / "result.json", asdict(outcome))
            wait_for_all()
    return Source(name, f"{spec}:{weights}", saw)


def _without(everything: Part, data: DataSet) -> Part:
    """All training samples but those the student is validated on: what it is chosen by must be new to its teacher."""
    if data.validation is None:
        return everything
    keep = ~np.isin(everything.ids, data.validation.ids)
    return replace(everything, ids=everything.ids[keep], targets=everything.targets[keep], rows=everything.rows[keep])


def _as_seen_by_teacher(data: DataSet) -> DataSet:
    """The data with the teacher's input in the student's place, since now it is the teacher that learns."""

    def swapped(part: Part) -> Part:
        return replace(part, stores=dict.fromkeys(part.stores, part.stores["teacher"]))

    assert data.test is not None
    return replace(data, train=swapped(data.train), test=swapped(data.test))


def _has_weights(spec: str) -> bool:
    if Path(spec).suffix == ".safetensors":
        return True
    parsed = parse(spec)
    return parsed.weights is not None or parsed.options.get("pretrained", "false").lower() == "true"
