"""Scores of a teacher for a task; each is higher for a better teacher."""

from dataclasses import replace

import torch
from torch import Tensor

from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.core.imported import is_path
from kantor.faculty.scores.evidence import Evidence
from kantor.faculty.scores.h_score import h_score, h_score_regularised
from kantor.faculty.scores.leep import leep, nce
from kantor.faculty.scores.logme import logme
from kantor.faculty.scores.otce import matched, otce
from kantor.faculty.scores.score import Score, own_score
from kantor.faculty.scores.transport import shares, transport, transport_labels, transport_to_student
from kantor.faculty.scores.transrate import transrate


def _moved(e: Evidence) -> Tensor:
    assert e.predictions is not None
    assert e.cost is not None
    if e.fold_costs is not None and e.fold is not None:
        # A cost that was learned from a sample would flatter it.
        values = [_moved(replace(e, fold=None, fold_costs=None, cost=cost)) for cost in e.fold_costs]
        return torch.stack(values).gather(0, e.fold[None])[0]
    if e.student is not None:
        return transport_to_student(e.predictions, e.student, e.cost)
    return transport(e.predictions, e.labels, e.cost)


def _among_labels(e: Evidence, labels: Tensor) -> Tensor:
    assert e.cost is not None
    return transport_labels(shares(labels, e.classes), e.cost)


def _otce(e: Evidence) -> float:
    assert e.source is not None
    assert e.features is not None
    return otce(*matched(e.source, (e.features, e.labels)))


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score(
            "transport",
            ("predictions", "cost"),
            "arXiv 2204.11526",
            lambda e: _moved(e).mean().item(),
            _moved,
        ),
        Score(
            "transport_labels",
            ("cost",),
            "arXiv 2204.11526",
            lambda e: _among_labels(e, e.labels).item(),
            many=lambda e, draws: _among_labels(e, e.labels[draws]),
        ),
        Score("logme", ("features",), "arXiv 2102.11005", lambda e: logme(e.features, e.labels), numbers=True),  # type: ignore[arg-type]
        Score("leep", ("predictions",), "arXiv 2002.12462", lambda e: leep(e.predictions, e.labels, e.classes)),  # type: ignore[arg-type]
        Score("nce", ("predictions",), "arXiv 1908.08142", lambda e: nce(e.predictions.argmax(1), e.labels)),  # type: ignore[union-attr]
        Score("h_score", ("features",), "ICIP 2019", lambda e: h_score(e.features, e.labels)),  # type: ignore[arg-type]
        Score(
            "h_score_regularised",
            ("features",),
            "arXiv 2110.06893",
            lambda e: h_score_regularised(e.features, e.labels),  # type: ignore[arg-type]
        ),
        Score("transrate", ("features",), "arXiv 2106.09362", lambda e: transrate(e.features, e.labels)),  # type: ignore[arg-type]
        Score("otce", ("features", "source"), "CVPR 2021", _otce),
    )
}
"""Every score that ``--scores`` can name."""


def named(names: str) -> list[Score]:
    """The scores of a comma-separated list, in its order; one of your own is ``package.module:score``.

    Raises:
        ConfigError: no score has that name, one is given twice, or a path names what is no score.
    """
    asked = [name.strip() for name in names.split(",")]
    for name in asked:
        if asked.count(name) > 1:
            raise ConfigError(f"Score {name} is given twice.")
    return [_named(name) for name in asked]


def _named(name: str) -> Score:
    if name in SCORES:
        return SCORES[name]
    if not is_path(name):
        raise ConfigError(
            f"No score is called {name!r}. {suggest(name, SCORES)} One of your own is written package.module:score."
        )
    trust.wrote([trust.code(name)])  # no file names scores to be imported
    return own_score(name, SCORES)


__all__ = [
    "SCORES",
    "Evidence",
    "Score",
    "h_score",
    "h_score_regularised",
    "leep",
    "logme",
    "named",
    "nce",
    "otce",
    "transport",
    "transport_labels",
    "transport_to_student",
    "transrate",
]
