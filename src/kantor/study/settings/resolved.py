"""A study as it is meant: what its settings name, each resolved once and handed on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.data import DataSet, holds_texts, open_data
from kantor.faculty.label_cost import CostSource
from kantor.faculty.roster import classes_by_teacher, read_classes, spec_of, teacher_names
from kantor.study.settings.methods import Method, parse_methods
from kantor.study.settings.ranked_teachers import chosen_teachers
from kantor.study.settings.starting_weights import CarriedStart, Start, start_of, with_student
from kantor.study.settings.study import Study
from kantor.study.settings.tokenizers import AUTO, Tokens, kept_tokenizers, tokenizers_for
from kantor.study.settings.views import views_by_role
from kantor.tasks import Classification, Scale, Task
from kantor.training.device import chosen_device


@dataclass(frozen=True)
class ResolvedStudy:
    """Settings, and what they stand for. Nothing that is handed one reads the settings' text again.

    Every part is resolved when it is first asked for, and then kept: what one does with a finished run needs few of
    them, and files that the others name may be gone. :func:`resolve` asks for all.
    """

    settings: Study
    """With the teachers of a ranking and the student's architecture in their places."""
    run: Path | None = None
    """The folder of a run that was begun, for what it keeps."""

    @cached_property
    def teachers(self) -> dict[str, str]:
        """Name to model. One teacher is called ``teacher``; of several, each is called by its model's name."""
        if not self.settings.teacher:
            return {}
        specs = [spec_of(spec.strip()) for spec in self.settings.teacher.split(",")]
        return {"teacher": specs[0]} if len(specs) == 1 else dict(zip(teacher_names(specs), specs, strict=True))

    @cached_property
    def teacher_classes(self) -> dict[str, list[str]]:
        """Class names that the user gave, by teacher.

        Raises:
            ConfigError: they are for a teacher that is not there, or it is not said for which.
            DataError: their file cannot be read.
        """
        return classes_by_teacher(self.settings.teacher_classes, list(self.teachers))

    @cached_property
    def shares(self) -> dict[str, float]:
        """Each teacher's share of a term that all of them take part in; they sum to 1.

        Raises:
            ConfigError: not one positive weight for each teacher.
        """
        names, given = list(self.teachers), self.settings.teacher_weights
        if given == "equal" or not names:
            weights = [1.0] * len(names)
        elif given == "ranking":
            weights = [1 / (place + 1) for place in range(len(names))]
        else:
            weights = [float(weight) for weight in given]
        if len(weights) != len(names) or not all(weight > 0 for weight in weights):
            raise ConfigError(
                f"teacher_weights is equal, ranking, or a positive number for each of {', '.join(names)}."
            )
        return {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """What is compared, in order, with a term for each teacher where several take part.

        Raises:
            ConfigError: see :func:`kantor.study.settings.methods.parse_methods`.
        """
        task_weight = 0.0 if self.settings.task == "none" else 1.0
        parsed = parse_methods(
            self.settings.methods,
            task_weight,
            self.settings.weight_limit(),
            of_weighted_task=self.settings.optimizer == "adamw",
        )
        return tuple(method.over(self.shares) for method in parsed)

    @cached_property
    def task(self) -> Task | None:
        """What students learn from labels, and are judged by; None where they do without.

        Raises:
            ConfigError: there is no such task, or it is code that nobody gave leave for.
        """
        task = self.settings.learned()
        settings = self.settings
        if task is None or task.labels != "next":
            return task
        seen = settings.data, settings.text, settings.view_map(), settings.label, task.labels
        return task.for_texts() if holds_texts(*seen) else task

    @property
    def label_task(self) -> Task:
        """What labels are learned as by whoever uses them, without a task too: a teacher, a method with task:WEIGHT."""
        return self.task or Classification()

    @property
    def scale(self) -> Scale:
        """Of the metric that students are judged by; of a probe's, accuracy, where they have no task."""
        return self.label_task.scale

    @cached_property
    def starts(self) -> dict[str, Start | CarriedStart | None]:
        """By method: the weights that its students start from, some of which step 0 makes; None for scratch.

        Raises:
            ConfigError: a start from the teacher, and there is not one.
        """
        classes = self.teacher_classes
        only = next(((spec, classes.get(name)) for name, spec in self.teachers.items()), None)
        only = only if len(self.teachers) == 1 else None
        return {method.name: start_of(self.settings, method.start, only) for method in self.methods}

    @property
    def carries(self) -> list[CarriedStart]:
        """The starts that step 0 makes, each once."""
        return list(dict.fromkeys(start for start in self.starts.values() if isinstance(start, CarriedStart)))

    @cached_property
    def label_cost(self) -> CostSource | None:
        """Where the cost between classes comes from."""
        return None if self.settings.label_cost is None else CostSource.parse(self.settings.label_cost)

    @cached_property
    def views(self) -> dict[str, str] | None:
        """What each role sees; None where the user did not choose.

        Raises:
            ConfigError: see :func:`kantor.study.settings.views.views_by_role`; or a label cost of class centres in the
                features of a model, where teachers see different things and nothing says what that model sees.
        """
        given = self.settings.view_map()
        if given is None:
            return None
        views = views_by_role(given, self.teachers)
        if "teacher" not in views and self.label_cost is not None and self.label_cost.kind == "centres":
            raise ConfigError(
                f"label_cost {self.settings.label_cost}: teachers see different things, and nothing says which of them "
                "the model of the class centres sees. Give all teachers one view, or take another label cost."
            )
        return views

    @cached_property
    def tokenizers(self) -> dict[str, Tokens]:
        """What turns texts into tokens, by role; read where there are texts alone.

        Raises:
            ConfigError, DataError: see :func:`kantor.study.settings.tokenizers.tokenizers_for`.
        """
        settings = self.settings
        return kept_tokenizers(self.run) or tokenizers_for(
            settings.student, self.teachers, settings.tokenizer, settings.max_length, self.views
        )

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Of the comparison."""
        return tuple(self.settings.seed_list())

    @property
    def every_seed(self) -> tuple[int, ...]:
        """Of the comparison, and of the tuning before it."""
        return tuple(dict.fromkeys([*self.seeds, *(self.settings.tune_seeds if self.settings.tune else [])]))

    @cached_property
    def device(self) -> torch.device:
        """Where students train.

        Raises:
            ConfigError: cuda is asked for and there is none.
        """
        return chosen_device(self.settings.device)

    @property
    def judged(self) -> bool:
        """Whether students are trained for the labels, and judged by them."""
        return self.task is not None

    def open_data(self, progress: Any = None, limit: bool = True) -> DataSet:
        """The data as the settings say; without the limit, all that a teacher may see.

        Raises:
            DataError, ConfigError: see :func:`kantor.data.open_data`.
        """
        settings, numbers = self.settings, self.settings.label_numbers()
        data = open_data(
            settings.data,
            image_size=settings.image_size,
            classes=None if settings.classes is None else read_classes(settings.classes),
            train_limit=settings.train_limit if limit else None,
            labels_per_class=numbers[0] if limit and numbers else None,
            unlabelled=settings.unlabelled if limit else None,
            validation=settings.validation if limit else 0.0,
            skip_corrupt=settings.skip_corrupt,
            views=self.views,
            label=settings.label,
            text=settings.text,
            tokenizers=lambda: self.tokenizers,
            need_labels=self.judged,
            kind="classes" if self.task is None else self.task.labels,
            progress=progress,
            trusted=False,
        )
        for name, of_texts in (
            ("tokenizer", settings.tokenizer != AUTO),
            ("max_length", settings.max_length is not None),
        ):
            if of_texts and not data.train.tokenizers:
                raise ConfigError(f"{name} is of texts, and {settings.data} holds none: leave it out.")
        return data


def resolve(settings: Study) -> ResolvedStudy:
    """What settings mean, all of it checked that can be before data and weights are opened.

    Raises:
        KantorError: something cannot be meant, or not be read.
    """
    settings = with_student(chosen_teachers(settings))
    settings.check()
    trust.check(*settings.codes())
    study = ResolvedStudy(settings, settings.folder())
    _ = study.methods, study.views, study.starts, study.label_cost, study.device
    return study
