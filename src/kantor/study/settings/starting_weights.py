"""Where a student starts: from scratch, its teacher's weights, what transport carries of them, or any other's."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import Tensor

from kantor.carry import GroupingPlan, LayerPlans
from kantor.core.errors import ConfigError, DataError
from kantor.core.options import split_options
from kantor.faculty.roster import spec_of
from kantor.models import Model, has_weights
from kantor.models.loading import architecture, load_named
from kantor.models.weights import classifier_path, fit_weights
from kantor.study.settings.study import Study

SCRATCH, TEACHER, TRANSPORT = "scratch", "teacher", "transport"
_PLANS: dict[str, GroupingPlan] = {plan: plan for plan in get_args(GroupingPlan)}


@dataclass(frozen=True)
class Start:
    """Weights to start from."""

    spec: str
    """NAME:FILE or RUN/METHOD/seed-K, in which ``{seed}`` stands for the student's seed."""
    classes: list[str] | None = None
    """Class names that the user gave, where the weights carry none."""
    carried: str | None = None
    """Whose weights step 0 carried here, and how."""

    def of(self, seed: int) -> str:
        """The model's name for one seed.

        Raises:
            ConfigError: there are no weights there.
        """
        text = self.spec.replace("{seed}", str(seed))
        spec = spec_of(text)
        if (spec == text and ":" not in text and not text.endswith(".safetensors")) or not has_weights(spec):
            raise ConfigError(
                f"start {text}: there are no weights. Write scratch, teacher, transport, NAME:FILE, or "
                "RUN/METHOD/seed-{seed} for the student that an earlier run trained with the same seed."
            )
        return spec

    def give(self, student: Model, seed: int) -> "Given":
        """Put the weights into ``student``, and what stands before its network with them.

        The classifier is taken where the source names the very classes of the student, and stays new elsewhere. All
        else must fit.

        Raises:
            ConfigError: there are no weights there.
            DataError: they cannot be read, or do not fit the student; says which.
        """
        spec = self.of(seed)
        seen, tokenizer = student.input_shape, student.tokenizer
        answers = "next" if student.says_tokens else "classes"
        source = load_named(spec, classes=self.classes, input_shape=seen, tokenizer=tokenizer, answers=answers)
        tensors = source.network.state_dict()
        head = classifier_path(student.network)
        own = student.network.state_dict()
        new = [] if source.class_names == student.class_names else [key for key in own if inside(key, head)]
        taken = {key: x for key, x in tensors.items() if not (new and inside(key, classifier_path(source.network)))}
        try:
            fit_weights(student.network, {**taken, **{key: own[key] for key in new}}, f"{student.spec} (start {spec})")
        except DataError as error:
            raise DataError(
                f"{error} A student starts from weights of its own network: that of the teacher is `student: teacher`; "
                "another begins at `start: scratch`, and kantor distill holds it to the teacher."
            ) from None
        student.normalise, student.size = source.normalise, source.size
        return Given(spec, taken, {key: list(own[key].shape) for key in new}, self.carried, self._plans(spec))

    def _plans(self, spec: str) -> Path | None:
        return None if self.carried is None else plans_beside(Path(spec.rpartition(":")[2]))


@dataclass(frozen=True)
class CarriedStart:
    """Weights of the teacher that step 0 is to carry through transport, to the student of every seed."""

    teacher: str
    """Its name in the study."""
    plan: GroupingPlan = "optimal"

    def __str__(self) -> str:
        how = "transport" if self.plan == "optimal" else f"the {self.plan} plan"
        return f"{self.teacher}'s weights, carried through {how}"


@dataclass(frozen=True)
class Given:
    """What a student was given to start with."""

    spec: str
    weights: dict[str, Tensor]
    """By name in the student's network; parameters and running statistics."""
    new: dict[str, list[int]]
    """Shapes of what starts anew."""
    carried: str | None = None
    """See :class:`Start`."""
    plans_file: Path | None = None
    """Where the plans are kept by which they were carried."""

    def plans(self) -> LayerPlans | None:
        """The plans by which the weights were carried, by layer; None where they were not.

        Raises:
            DataError: their file is damaged.
        """
        return None if self.plans_file is None else LayerPlans.read(self.plans_file)

    def __str__(self) -> str:
        if self.carried is not None:
            return f"Start: {self.carried}."
        new = ", ".join(f"{name} {shape}" for name, shape in self.new.items()) or "nothing"
        return f"Start: {len(self.weights)} tensors taken from {self.spec}; new: {new}."


def plans_beside(weights: Path) -> Path:
    """Where the plans are kept by which weights were carried."""
    return weights.with_suffix(".plans.npz")


def start_of(
    config: Study, text: str | None, teacher: tuple[str, list[str] | None] | None
) -> Start | CarriedStart | None:
    """What a method's ``start``, or the study's where it has none, stands for; None for scratch.

    Args:
        config: the study's settings.
        text: the method's own.
        teacher: its only teacher with its weights, and class names that were given for it.
    """
    text = config.start if text is None else text
    if text == SCRATCH:
        return None
    name, options = split_options(text, f"start {text}") if text.startswith(TRANSPORT) else (text, {})
    if name not in (TEACHER, TRANSPORT):
        return Start(text)
    if teacher is None:
        other = ", or say which as start NAME:FILE" if name == TEACHER else ""
        raise ConfigError(f"start {text} needs one teacher: give --teacher NAME:FILE{other}.")
    if name == TEACHER:
        return Start(*teacher)
    plan = _PLANS.get(options.pop("plan", "optimal"))
    if options or plan is None:
        raise ConfigError(f"start {text}: transport has @plan=optimal, identity or random, and nothing else.")
    return CarriedStart("teacher", plan)


def check_start(config: Study, texts: list[str | None]) -> None:
    """Refuse a start from a teacher that has no weights yet, before it is trained.

    It would be trained on all labels of this data's training part, and each student would begin with what they say,
    however few labels it is given.

    Args:
        config: the study's settings.
        texts: every method's own start.

    Raises:
        ConfigError: see above.
    """
    if TEACHER not in [config.start if text is None else text for text in texts] or not config.teacher:
        return
    if "," not in config.teacher and not has_weights(spec_of(config.teacher)):
        raise ConfigError(
            f"start teacher: {config.teacher} has no weights, and would be trained on this data's own labels, which "
            "every student would then begin with. Give --teacher NAME:FILE or RUN/METHOD/seed-K, trained on other data."
        )


def with_student(config: Study) -> Study:
    """The settings with the teacher's architecture in the place of ``student: teacher``.

    Raises:
        ConfigError: there is no teacher, or there are several.
    """
    if config.student != TEACHER:
        return config
    if config.teacher is None or "," in config.teacher:
        raise ConfigError("student teacher has the architecture of the one --teacher; give one, as NAME:FILE or a run.")
    return dataclasses.replace(config, student=architecture(spec_of(config.teacher)))


def inside(key: str, path: str | None) -> bool:
    """Whether a tensor's or module's name lies below a module's path."""
    return path is not None and key.startswith(f"{path}.")
