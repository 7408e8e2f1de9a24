"""Scores against the public implementations, closed forms and a planted teacher."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from kantor.core.errors import ConfigError, ShapeError
from kantor.faculty.scores import (
    SCORES,
    Evidence,
    h_score,
    h_score_regularised,
    leep,
    logme,
    named,
    nce,
    otce,
    transport,
    transport_labels,
    transport_to_student,
    transrate,
)
from kantor.faculty.scores.h_score import ledoit_wolf
from kantor.faculty.scores.row_space import in_row_space
from kantor.faculty.scores.transport import shares

REFERENCE = Path(__file__).parent / "reference"
FEATURE_SCORES = {
    "logme": logme,
    "transrate": transrate,
    "h_score_regularised": h_score_regularised,
    "h_score": h_score,
}


def reference(name: str) -> dict[str, torch.Tensor]:
    with np.load(REFERENCE / f"{name}.npz") as arrays:
        assert "@" in str(arrays["source"])
        return {key: torch.as_tensor(arrays[key]) for key in arrays.files if key != "source"}


@pytest.mark.parametrize("problem", ["many", "few", "relu"])
def test_as_transfer_learning_library(problem):
    known = reference(problem)
    features, predictions, labels = known["features"], known["predictions"], known["labels"]
    for name, score in FEATURE_SCORES.items():
        if name in known:
            assert score(features, labels) == pytest.approx(known[name].item(), rel=1e-8), name
    assert leep(predictions, labels, int(labels.max()) + 1) == pytest.approx(known["leep"].item(), rel=1e-10)
    assert nce(predictions.argmax(1), labels) == pytest.approx(known["nce"].item(), rel=1e-10)


def test_as_the_authors_of_otce():
    known = reference("otce")
    value = otce((known["source_features"], known["source_labels"]), (known["features"], known["labels"]))
    assert value == pytest.approx(known["otce"].item(), rel=1e-9)


def test_shrinkage_as_scikit_learn():
    f = torch.randn(30, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    f = f - f.mean(0)
    theirs = LedoitWolf().fit(f.numpy())
    ours, shrinkage = ledoit_wolf(f)
    assert shrinkage == pytest.approx(theirs.shrinkage_, rel=1e-9)
    np.testing.assert_allclose(ours.numpy(), theirs.covariance_, rtol=1e-9, atol=1e-12)


def test_shrinkage_of_more_features_than_samples_as_scikit_learn():
    f = torch.randn(12, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    f = f - f.mean(0)
    theirs = LedoitWolf().fit(f.numpy())
    thin = in_row_space(f)
    assert thin.shape == (12, 12)
    torch.testing.assert_close(thin @ thin.T, f @ f.T)
    ours, shrinkage = ledoit_wolf(thin, 30)
    assert shrinkage == pytest.approx(theirs.shrinkage_, rel=1e-9)
    # The spread along the directions that samples span, and the same in all others.
    values = np.linalg.eigvalsh(theirs.covariance_)
    np.testing.assert_allclose(np.linalg.eigvalsh(ours.numpy())[1:], values[-11:], rtol=1e-9)


@pytest.mark.parametrize("score", [logme, h_score])
def test_directions_that_no_sample_has_change_nothing(score):
    g = torch.Generator().manual_seed(0)
    f, labels = torch.randn(20, 8, generator=g, dtype=torch.float64), torch.arange(20) % 3
    wide = torch.cat([f, torch.zeros(20, 40, dtype=torch.float64)], 1)
    basis = torch.linalg.qr(torch.randn(48, 48, generator=g, dtype=torch.float64)).Q
    assert score(wide @ basis, labels) == pytest.approx(score(f, labels), rel=1e-9)


def test_transport_to_a_one_hot_target_is_the_closed_form():
    g = torch.Generator().manual_seed(0)
    cost = torch.rand(5, 3, generator=g, dtype=torch.float64)
    p = torch.rand(8, 5, generator=g, dtype=torch.float64).softmax(-1)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    closed = transport(p, labels, cost)
    assert closed[3].item() == pytest.approx(-(p[3] * cost[:, 0]).sum().item())
    solved = transport_to_student(p, torch.nn.functional.one_hot(labels, 3).double(), cost)
    torch.testing.assert_close(closed, solved, rtol=1e-6, atol=1e-9)


def test_transport_labels_alone():
    # Two classes each, the same places: nothing to move. Shifted places: every mass moves by the shift.
    same = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    even = shares(torch.tensor([0, 1, 0, 1]), 2)
    assert transport_labels(even, same).item() == pytest.approx(0, abs=1e-6)
    assert transport_labels(even, same + 0.5).item() == pytest.approx(-0.5, abs=1e-3)
    # Labels of one class alone: half of the teacher's mass has to come over.
    one = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    torch.testing.assert_close(transport_labels(one, same), torch.tensor([-0.5, 0.0]).double(), atol=1e-6, rtol=0)


def test_zero_probabilities_stay_finite():
    p = torch.eye(4, dtype=torch.float64)[[0, 1, 0, 1, 2]]  # class 3 is never said, the others with certainty
    labels = torch.tensor([0, 1, 0, 1, 1])
    assert leep(p, labels, 2) == pytest.approx(0, abs=1e-12)
    assert nce(p.argmax(1), labels) == pytest.approx(0, abs=1e-12)
    assert transport(p, labels, torch.ones(4, 2).double()).isfinite().all()


def planted(seed: int = 0) -> tuple[Evidence, Evidence, torch.Tensor]:
    """Two teachers of five classes on a line: one sees which class a sample is, the other almost nothing."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(200) % 4
    centres = 3 * torch.randn(4, 16, generator=g, dtype=torch.float64)
    noise = torch.randn(200, 16, generator=g, dtype=torch.float64)
    places = torch.tensor([0.0, 1.0, 2.0, 3.0, 9.0], dtype=torch.float64)
    cost = (places[:, None] - places[:4]).abs()
    found = []
    for strength in (1.0, 0.05):
        features = strength * centres[labels] + noise
        logits = features @ torch.cat([strength * centres, torch.zeros(1, 16, dtype=torch.float64)]).T
        source = (strength * centres[labels.flip(0)] + noise.flip(1), labels.flip(0))
        found.append(Evidence(labels, 4, logits.softmax(-1), features, cost, source=source))
    return found[0], found[1], cost


@pytest.mark.parametrize("score", [s for s in SCORES if s != "transport_labels"])
def test_planted_teacher_comes_first(score):
    good, bad, _ = planted()
    assert SCORES[score].of(good) > SCORES[score].of(bad)


def test_rows_and_what_is_missing():
    good, _, cost = planted()
    chosen = torch.tensor([5, 5, 7])
    assert good.rows(chosen).labels.tolist() == [1, 1, 3]
    torch.testing.assert_close(
        SCORES["transport"].samples(good)[chosen], SCORES["transport"].samples(good.rows(chosen))
    )
    assert SCORES["transport"].missing(Evidence(good.labels, 4)) == ["predictions", "cost"]
    assert not SCORES["transport_labels"].missing(Evidence(good.labels, 4, cost=cost))


def test_names():
    assert [score.name for score in named("leep, transport")] == ["leep", "transport"]
    with pytest.raises(ConfigError, match="logme"):
        named("logmee")
    with pytest.raises(ConfigError, match="twice"):
        named("nce,nce")


@pytest.mark.parametrize("dim", [20, 86, 192, 512])
def test_logme_with_any_number_of_features(dim):
    """86 samples: also as many features as samples, and more."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(86) % 5
    features = torch.randn(86, dim, generator=generator)
    plain = logme(features, labels)
    assert math.isfinite(plain)
    assert logme(features + 3 * torch.nn.functional.one_hot(labels, dim), labels) > plain
    assert math.isfinite(logme(features.relu(), labels)) and math.isfinite(logme(torch.zeros(86, dim), labels))
    assert math.isfinite(logme(features[:1], labels[:1]))


def test_logme_leaves_out_classes_that_no_sample_has():
    features, labels = torch.randn(60, 7, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
    assert logme(features, 2 * labels) == pytest.approx(logme(features, labels))
    with pytest.raises(ShapeError, match="logme"):
        logme(features, labels[:-1])


def test_logme_of_numbers_is_the_mean_of_the_evidence_of_each():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(80, 5, generator=generator)
    numbers = features @ torch.randn(5, 2, generator=generator) + 0.1 * torch.randn(80, 2, generator=generator)
    both = logme(features, numbers)
    assert both == pytest.approx((logme(features, numbers[:, 0]) + logme(features, numbers[:, 1])) / 2)
    assert both > logme(torch.randn(80, 5, generator=generator), numbers)
    # One-vs-rest targets are numbers too.
    labels = torch.arange(80) % 3
    assert logme(features, labels) == pytest.approx(logme(features, torch.nn.functional.one_hot(labels, 3).float()))
