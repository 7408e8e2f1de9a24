"""What a trained student, or any model with its weights, reaches."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.data import DataSet, Part, open_data
from kantor.data.views import ROLES
from kantor.faculty.roster import read_classes, spec_of
from kantor.models import load, load_trained
from kantor.models.own_tokenizer import needed_tokenizer
from kantor.study.afterwards.trained import trained_student
from kantor.study.resume.fingerprints import settings_of
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.study import Study
from kantor.tasks import Task, made
from kantor.training import Scores
from kantor.training import evaluate as score

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Reading:
    """How data are read for a model that is evaluated; what is None is as the run has it, or the data's only one."""

    image_size: int | None = None
    """Side in pixels that images are resized to."""
    view: str | None = None
    """What the model sees, where the data has more than one input or it goes through a transform."""
    label: str | None = None
    """Name of the label column or array."""
    text: str | None = None
    """Name of the column of texts."""
    classes: str | list[str] | None = None
    """Classes to keep: a file with one a line, or A,B,C."""
    skip_corrupt: bool = False
    """Leave out images that cannot be decoded."""
    task: str = "labels"
    """What the labels are: a task's name, or labels, for a class a sample."""

    def learned(self) -> Task:
        """The task that a model is judged by."""
        return made("labels" if self.task == "none" else self.task)

    def open(self, data: str, model: str, *, need_labels: bool = True) -> DataSet:
        """The data, read so.

        Args:
            data: the data's name.
            model: what sees them; texts become tokens by its own tokenizer.
            need_labels: refuse data without any.

        Raises:
            KantorError: see :func:`kantor.data.open_data`.
        """
        return open_data(
            data,
            image_size=self.image_size,
            views=None if self.view is None else dict.fromkeys(ROLES, self.view),
            label=self.label,
            text=self.text,
            tokenizers=lambda: dict.fromkeys(ROLES, needed_tokenizer(model)),
            classes=None if self.classes is None else read_classes(self.classes),
            skip_corrupt=self.skip_corrupt,
            need_labels=need_labels,
            kind=self.learned().labels,
        )


AS_IS = Reading()


def evaluate_run(
    folder: Path, data: str | None, part: Split, reading: Reading = AS_IS, say: Callable[[str], None] = print
) -> Scores:
    """What the student in ``RUN/METHOD/seed-K`` reaches, by the metrics of its task.

    Args:
        folder: the student's folder.
        data: other data to evaluate it on, read as the run reads its own but for what ``reading`` says; None for the
            run's own.
        part: train, validation or test.
        reading: how the other data are read.
        say: told how classes were matched, where that is not by their names.

    Raises:
        ConfigError: there is no finished student in the folder; a reading of the run's own data.
        KantorError: see :func:`evaluate_model`.
    """
    weights = trained_student(folder)
    config = settings_of(folder.parents[1])
    if any(m.folder == folder.parent.name and not m.teaches_classifier for m in ResolvedStudy(config).methods):
        raise ConfigError(
            f"{folder} was trained without labels, so its classifier says nothing. Judge its features: "
            f"kantor probe {folder.parents[1]}."
        )
    if data is None:
        if reading != AS_IS:
            raise ConfigError(
                "A run's own data are read as the run reads them: image_size, view, label, text, classes and task go "
                "with --data."
            )
        study = ResolvedStudy(config, folder.parents[1])
        return score(load(str(weights)), study.open_data().part(part), task=study.label_task)
    seen = student_views(config)
    as_the_run = Reading(
        reading.image_size or config.image_size,
        reading.view or (None if seen is None else seen["student"]),
        reading.label or config.label,
        reading.text or config.text,
        reading.classes,
        reading.skip_corrupt or config.skip_corrupt,
        config.task,
    )
    return evaluate_model(str(weights), data, part, as_the_run, say)


def student_views(config: Study) -> dict[str, str] | None:
    """What a run's student sees, for data that need not have what its teacher saw."""
    views = config.view_map()
    return views and dict.fromkeys(ROLES, views["student"])


def check_views(models: Sequence[str], views: str | None) -> None:
    """Refuse to compare students that learnt from a view of their data without a word on what they are to see.

    Args:
        models: names of models, or trained students: RUN/METHOD/seed-K, or the file in it.
        views: what each is to see, where that is said.

    Raises:
        ConfigError: a student was trained on a view, and nothing says what it is to see.
    """
    for model in models if views is None else ():
        weights = Path(spec_of(model).rpartition(":")[2])
        run = weights.resolve().parent.parent.parent  # one that was taken out of its run has no settings there
        if weights.name != "student.safetensors" or not (run / "config.yaml").exists():
            continue
        seen = None
        with contextlib.suppress(KantorError):  # settings of another version, say
            seen = student_views(settings_of(run))
        if seen is not None:
            raise ConfigError(
                f"{model} was trained on the view {seen['student']}: say what both models see, as "
                "--views model_a=NAME,model_b=NAME."
            )


def evaluate_model(
    spec: str, data: str, part: Split, reading: Reading = AS_IS, say: Callable[[str], None] = print
) -> Scores:
    """What any model with its weights reaches; its classes and the data's are matched by name.

    Args:
        spec: NAME:FILE, a file that kantor wrote, or RUN/METHOD/seed-K.
        data: as for ``kantor distill --data``.
        part: train, validation or test.
        reading: how they are read.
        say: told how classes were matched, where that is not by their names.

    Raises:
        DataError: the data has a class that the model does not know.
        KantorError: the model or the data cannot be loaded.
    """
    spec = spec_of(spec)
    opened = reading.open(data, spec)
    tokenizer = opened.train.tokenizers.get("student")
    shape = opened.train.input_shapes["student"]
    model = load_trained(spec, shape, tokenizer=tokenizer, answers=opened.kind)
    task, numbered = reading.learned(), opened.part(part)
    if numbered.is_classes:
        numbered = _numbered_as(model.class_names, opened, numbered, say)
        if len(numbered) and numbered.targets.max() >= model.num_classes:
            raise DataError(
                f"{opened.name} has {len(opened.classes)} classes, and {model.name} knows {model.num_classes}."
            )
    return score(model, numbered, task=task)


def _numbered_as(known: list[str] | None, data: DataSet, part: Part, say: Callable[[str], None]) -> Part:
    """The part with its classes numbered as the model numbers them."""
    if known is None or known == data.classes:
        return part
    if set(known) != set(data.classes) and _mere_numbers(known) != _mere_numbers(data.classes):
        without, named = ("the model", data.classes) if _mere_numbers(known) else (data.name, known)
        say(f"The classes of {without} have numbers for names: class 0 is taken for {named[0]}, and so on.")
        return part
    strange = [name for name in data.classes if name not in known]
    if strange:
        raise DataError(
            f"{data.name} has classes that the model does not know: {', '.join(strange[:10])}. It knows "
            f"{', '.join(known[:10])}{', ...' if len(known) > 10 else ''}. Keep those that both have with --classes."
        )
    place = np.array([known.index(name) for name in data.classes])
    return replace(part, targets=place[part.targets])


def _mere_numbers(classes: list[str]) -> bool:
    return classes == [str(number) for number in range(len(classes))]
