"""What a run's folder keeps, as the types that its files are checked against when they are read back.

Keys that are not named here are let through: later versions write more.
"""

from typing import Any, Literal, NotRequired, TypedDict

Interval = tuple[float, float] | None


class Environment(TypedDict):
    """``environment.json``."""

    started: NotRequired[str | None]
    command: NotRequired[str]
    directory: NotRequired[str]


class Shown(Environment):
    """``environment.json``, as a page shows it."""

    python: str
    packages: dict[str, str]
    machine: str
    system: str
    cores: int | None
    gpus: list[str]


class Began(TypedDict):
    """``began.json``."""

    format: NotRequired[Literal[1, 2, 3, 4]]
    settings: NotRequired[dict[str, Any]]
    data: NotRequired[dict[str, str]]
    teachers: NotRequired[dict[str, str]]
    student: NotRequired[dict[str, str]]
    files: NotRequired[dict[str, str]]
    code: NotRequired[dict[str, str]]


class KeptCollapse(TypedDict):
    """What became of a student that collapsed (:class:`kantor.training.collapse.Collapse`)."""

    epoch: int | None
    signs: list[str]


class Finished(TypedDict):
    """``result.json`` of a student or teacher."""

    accuracy: float | None
    seconds: float
    loss: NotRequired[float | None]
    validation_accuracy: NotRequired[float | None]
    metrics: NotRequired[dict[str, float] | None]
    validation: NotRequired[float | None]
    epoch: NotRequired[int]
    epochs: NotRequired[int]
    steps: NotRequired[int]
    peak_memory: NotRequired[int]
    confusion: NotRequired[list[list[int]]]
    weights: NotRequired[dict[str, Any]]
    collapse: NotRequired[KeptCollapse | None]
    settings: NotRequired[str]
    """Digest of the study's settings that it was trained with."""
    student: NotRequired[str]
    """Its folder in the run's, ``METHOD/seed-K``."""


class Diverged(TypedDict):
    """``result.json`` of a trial whose loss was not finite."""

    validation_accuracy: float | None
    validation: NotRequired[float | None]
    diverged: str
    settings: NotRequired[str]
    student: NotRequired[str]


KeptLayer = tuple[list[int], bool] | tuple[list[int], bool, str]
"""What is cached of one output: the shape of a sample, whether it is a mean over positions, and its type where that is
not float32."""


class Teacher(TypedDict):
    """One teacher in ``plan.json``."""

    spec: str
    classes: list[str] | None
    saw: NotRequired[str]
    digest: str
    facts: dict[str, Any]
    layers: dict[str, KeptLayer]


class KeptWeight(TypedDict):
    """A term's weight."""

    value: float
    schedule: str
    end: float
    warmup: float


class KeptTerm(TypedDict):
    """One term of a method in ``plan.json``, as :meth:`kantor.objective.Term.record` writes it.

    Runs of earlier versions lack what is not required; a resumed one has it.
    """

    name: str
    loss: NotRequired[str]
    settings: NotRequired[dict[str, Any]]
    reason: NotRequired[str]
    student: str | list[str] | None
    teacher: str | list[str] | None
    weight: KeptWeight


class KeptPair(TypedDict):
    """Layers whose plans are recorded."""

    student: str
    teacher: str
    source: str


class KeptStart(TypedDict):
    """Where a method's students start."""

    spec: str
    classes: NotRequired[list[str] | None]
    carried: NotRequired[str | None]


class KeptCarried(TypedDict):
    """What became of a teacher's units in a student that begins with its weights."""

    groups: list[str]
    untrained: str


class KeptPlan(TypedDict):
    """``plan.json``."""

    teachers: dict[str, Teacher]
    bound: dict[str, list[KeptTerm]]
    pairs: list[KeptPair]
    cached: bool
    threads: int
    starts: dict[str, KeptStart | None]


class Begun(TypedDict):
    """``plan.json`` for who only looks on."""

    bound: NotRequired[dict[str, list[dict[str, Any]]]]
    pairs: NotRequired[list[dict[str, Any]]]
    teachers: NotRequired[dict[str, dict[str, Any]]]


class Timed(TypedDict):
    """A line of ``timing.jsonl``: of a run, a part of step 0 (called a stage); of a student, the work up to a step."""

    seconds: float
    stage: NotRequired[str]
    step: NotRequired[int]
    peak_memory: NotRequired[int]


Metrics = dict[str, float | None]
"""A line of ``metrics.jsonl``: numbers by name; those with ``epoch`` end one."""


class Difference(TypedDict):
    """A paired difference."""

    to: str
    mean: float
    interval: Interval
    seeds: list[int]


class Metric(TypedDict):
    """The metric that students are compared by (:class:`kantor.tasks.Scale`); accuracy where there is none."""

    name: str
    unit: str
    higher_is_better: bool


class Row(TypedDict):
    """One method in ``summary.json``."""

    seeds: list[int]
    accuracy: list[float] | None
    values: NotRequired[list[float] | None]
    mean: float | None
    interval: Interval
    difference: Difference | None
    collapsed: NotRequired[dict[str, KeptCollapse]]
    far: NotRequired[list[int]]
    others: NotRequired[dict[str, float]]
    seconds: float
    seconds_per_seed: NotRequired[list[float]]
    peak_memory: NotRequired[int | None]
    memory_of: NotRequired[str | None]
    validation_accuracy: NotRequired[list[float] | None]
    validation: NotRequired[list[float] | None]
    weights: NotRequired[dict[str, Any] | None]


class Summary(TypedDict):
    """``summary.json``."""

    methods: dict[str, Row]
    other_metrics: NotRequired[list[Metric]]
    complete: NotRequired[bool]
    task: NotRequired[str]
    metric: NotRequired[Metric | None]
    seconds: NotRequired[dict[str, float]]
    teachers: NotRequired[list[dict[str, Any]]]
    data: NotRequired[dict[str, Any]]


class StepZeroKept(TypedDict):
    """``step0.json``."""

    data: NotRequired[dict[str, Any]]
    metric: NotRequired[Metric | None]
    methods: NotRequired[dict[str, dict[str, Any]]]
    left_out: NotRequired[dict[str, str]]


class Trial(TypedDict):
    """One factor of the weight search, over its seeds."""

    factor: float
    validation: NotRequired[float | None]
    validation_accuracy: NotRequired[float | None]
    diverged: NotRequired[int]


class Tuned(TypedDict):
    """One method in ``tuning.json``."""

    chosen: float
    trials: NotRequired[list[Trial]]


class ProbedLayer(TypedDict):
    """One layer of one student in ``probe.json``."""

    layer: str
    reached: NotRequired[float | None]
    """On the test part, by the task's metric."""
    accuracy: NotRequired[float | None]
    """The same, as it was called before there were tasks."""


class ProbedStudent(TypedDict):
    """One student in ``probe.json``."""

    weights: str
    layers: list[ProbedLayer]
    seconds: float


class ProbedDifference(TypedDict):
    """A paired difference to a base."""

    mean: float
    interval: Interval
    seeds: list[int]


class ProbedRow(TypedDict):
    """One layer of one method in ``probe.json``."""

    seeds: list[int]
    accuracy: list[float] | None
    """Where that is the metric."""
    values: NotRequired[list[float]]
    mean: float
    interval: Interval
    differences: dict[str, ProbedDifference]


class Probed(TypedDict):
    """One data set in ``probe.json``."""

    data: str
    classes: int
    samples: dict[str, int]
    students: dict[str, dict[str, ProbedStudent]]
    methods: dict[str, dict[str, ProbedRow]]
    bases: dict[str, str]
    metric: NotRequired[dict[str, Any]]
    """A :class:`kantor.tasks.Scale`; accuracy where there is none."""
    fingerprint: NotRequired[str]
