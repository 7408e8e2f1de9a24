"""Scores of the user's own, by ``package.module:score``."""

import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.faculty.bootstrap import resampled
from kantor.faculty.scores import Evidence, named

SCORES = """
import numpy as np
from kantor.faculty.scores import Score

def spread(features, labels, scale=2.0):
    return scale * features.std()

def sure(predictions):
    return np.float32(predictions.max(dim=1).values.mean())

def many(classes):
    return classes

def wrong(features):
    return "good"

def wide(features):
    return features.mean(dim=0)

def asks(features, mood):
    return 0.0

class Plain:
    pass

ready = Score("ready", ("predictions",), "mine", lambda e: 1.0, samples=lambda e: e.predictions[:, 0])
number = 3
"""


@pytest.fixture
def own(write_module):
    return write_module("scores_of_mine", SCORES)


@pytest.fixture
def evidence():
    torch.manual_seed(0)
    return Evidence(torch.arange(20) % 4, 4, torch.rand(20, 5).softmax(1), torch.rand(20, 3).double())


def test_a_function_is_given_what_its_parameters_name(own, evidence):
    scores = named(f"{own}:spread, logme,{own}:sure,{own}:many")
    assert [score.name for score in scores] == [f"{own}:spread", "logme", f"{own}:sure", f"{own}:many"]
    spread, _, sure, many = scores
    assert spread.needs == ("features",) and sure.needs == ("predictions",) and many.needs == ()
    assert spread.of(evidence) == pytest.approx(2 * evidence.features.std().item())
    assert isinstance(sure.of(evidence), float)
    assert many.of(evidence) == 4
    assert spread.missing(Evidence(evidence.labels, 4)) == ["features"]
    draws = resampled(spread, evidence, 20)
    assert len(draws) == 20 and np.std(draws) > 0


def test_a_score_with_values_per_sample_is_taken_as_it_is(own, evidence):
    (score,) = named(f"{own}:ready")
    assert score.name == f"{own}:ready"
    assert resampled(score, evidence, 5).std() > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asks", "asks for 'mood'. A score may ask for labels, classes, predictions, features"),
        ("Plain", "is no score. Name a function of what it looks at"),
        ("number", "is no score"),
        ("sprea", "has no score 'sprea'. Close to it: spread"),
    ],
)
def test_what_is_none_is_refused_by_its_name(own, name, message):
    with pytest.raises(ConfigError, match=message):
        named(f"{own}:{name}")


def test_what_is_no_number_is_refused(own, evidence):
    for name, said in (("wrong", "'good'"), ("wide", "tensor")):
        (score,) = named(f"{own}:{name}")
        with pytest.raises(ConfigError, match=f"scores_of_mine:{name} returned {said}.*a number is needed"):
            score.of(evidence)


def test_unknown_names():
    with pytest.raises(ConfigError, match=r"'logm'. Close to it: logme.*package.module:score"):
        named("logm")
    with pytest.raises(ConfigError, match="no module 'no_such_scores'"):
        named("no_such_scores:mine")
    with pytest.raises(ConfigError, match="given twice"):
        named("logme,logme")
