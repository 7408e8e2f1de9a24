"""What ``compare.json`` and ``analysis.json`` hold, as the types that they are checked against when they are read back.

Keys that are not named here are let through: later versions write more.
"""

from typing import Any, NotRequired, TypedDict

Interval = tuple[float, float] | None


class KeptSheet(TypedDict):
    """Thumbnails, in a file beside."""

    file: str
    tile: int
    columns: int
    ids: list[int]
    classes: list[str]


class KeptMatrices(TypedDict):
    """Layers of the first network in rows."""

    distance: list[list[float]]
    cka: list[list[float]]


class NamedMatrices(KeptMatrices):
    """With the layers' names, as a comparison keeps them."""

    rows: list[str]
    columns: list[str]


class KeptStage(TypedDict):
    """A stage of a compared model."""

    path: str
    width: int


class KeptModel(TypedDict):
    """A compared model."""

    name: str
    trained: NotRequired[bool]
    parameters: int
    classes: int
    stages: list[KeptStage]


class ComparedPair(TypedDict):
    """Two stages that were paired."""

    a: str
    b: str
    widths: tuple[int, int]
    silent: tuple[int, int]
    distance: float
    identity: float
    gap: float
    diagonal: float | None
    entropy: float
    cka: float
    reason: str


class ComparedPredictions(TypedDict):
    """Shares of the samples."""

    disagreement: float
    accuracy: tuple[float, float] | None
    both_wrong: float | None


class ComparedData(TypedDict):
    """What both models saw."""

    name: str
    part: str
    samples: int


class KeptVocabulary(TypedDict):
    """The plan between two tokenizers, in words."""

    file: str
    summary: str
    matched: list[float]
    examples: list[Any]
    """A token of the first model's, and its partners with their shares."""


class Comparison(TypedDict):
    """``compare.json``."""

    a: KeptModel
    b: KeptModel
    data: ComparedData
    views: NotRequired[dict[str, str] | None]
    cost: str
    matrices: NamedMatrices
    pairs: list[ComparedPair]
    predictions: ComparedPredictions | None
    vocabulary: NotRequired[KeptVocabulary | None]
    neurons: str
    samples: dict[str, KeptSheet] | None
    seconds: dict[str, float]


class MeasuredDifference(TypedDict):
    """A paired difference of a measure."""

    mean: float
    interval: Interval


class Sure(TypedDict):
    """A measure over seeds."""

    last: list[float | None]
    mean: float
    interval: Interval
    difference: MeasuredDifference | None


class Measure(TypedDict):
    """A measure over seeds that not every pair of layers has."""

    mean: float | None


class FinalMeasures(TypedDict):
    """What is measured of a pair."""

    distance: Sure
    identity: Sure
    gap: Sure
    diagonal: Measure
    cka: Sure


class FinalPair(TypedDict):
    """Two layers of final students and their teacher."""

    teacher: str
    student: str
    widths: tuple[int, int]
    measures: FinalMeasures


class FinalLayers(TypedDict):
    """Names of stages, in the order of the matrices."""

    teacher: list[str]
    student: list[str]


class Final(KeptMatrices):
    """Final students beside one teacher."""

    layers: FinalLayers
    pairs: list[FinalPair]


class EpochsOfMeasure(TypedDict):
    """A measure of recorded plans, seed by seed, and at their last epoch over seeds."""

    seeds: list[list[float | None]]
    mean: NotRequired[float | None]


class RecordedPair(TypedDict):
    """Two layers whose plans were recorded."""

    teacher: str
    student: str
    binned: bool
    epochs: list[int]
    measures: dict[str, EpochsOfMeasure]


class AnalysedMethod(TypedDict):
    """One method."""

    seeds: list[int]
    neurons: list[str]
    recorded: list[RecordedPair]
    final: dict[str, Final]


class AnalysedPart(TypedDict):
    """The samples that every student saw."""

    part: str
    samples: int


class AnalysedCount(TypedDict):
    """How many students there were."""

    analysed: int
    asked: int


class Analysis(TypedDict):
    """``analysis.json``."""

    run: str
    students: NotRequired[AnalysedCount]
    probe: AnalysedPart
    cost: str
    cka: str
    methods: dict[str, AnalysedMethod]
    samples: dict[str, KeptSheet] | None
