"""Linear probes against scikit-learn, and on features whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

import kantor
from kantor.capture import capture
from kantor.core.errors import ConfigError
from kantor.training.linear_probe import _cut, features_of, fit, probe, validation_accuracy

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return kantor.open_data("digits", train_limit=200)


def data_of(digits) -> torch.Tensor:
    """The training images in order."""
    return digits.train.read(np.arange(len(digits.train)))["student"]


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_the_optimum_is_scikit_learns(penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = RNG.normal(3, [1, 10, 0.1, 2], (150, 4)) @ RNG.normal(size=(4, 4))
    labels = (x @ RNG.normal(size=(4, 3)) + RNG.normal(0, 2, (150, 3))).argmax(1)
    found = fit(x, labels, 3, penalty)
    standard = (x - x.mean(0)) / x.std(0)
    theirs = linear_model.LogisticRegression(C=1 / (penalty * len(x)), tol=1e-8, max_iter=5000).fit(standard, labels)
    np.testing.assert_allclose(found.weights[:-1], theirs.coef_.T, atol=3e-3)
    assert found.accuracy(x, labels) == pytest.approx(theirs.score(standard, labels), abs=0.01)


def test_scale_and_constant_features_do_not_matter():
    x, labels = RNG.normal(size=(90, 3)), np.arange(90) % 3
    x[:, 0] += labels
    plain = fit(x, labels, 3, 0.01)
    other = fit(np.column_stack([1e6 * x - 7, np.full(90, 0.3)]), labels, 3, 0.01)
    np.testing.assert_allclose(other.weights[[0, 1, 2, 4]], plain.weights, atol=1e-3)
    assert np.all(other.weights[3] == 0)


def test_a_layer_that_tells_the_classes_apart_and_one_that_does_not(digits):
    class Planted(nn.Module):
        """Its first layer is the image, its second one forgets everything."""

        def __init__(self):
            super().__init__()
            self.whole, self.nothing, self.head = nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 10)
            nn.init.zeros_(self.nothing.weight)

        def forward(self, x):
            return self.head(self.nothing(self.whole(x)))

    whole, nothing = probe(Planted(), digits, layers=["whole", "nothing"])
    assert whole.reached is not None and nothing.reached is not None
    assert whole.reached > 0.85 and whole.dim == 64
    assert nothing.reached < 0.15 and nothing.penalty == 1.0  # of equals the strongest


def test_stages_pooling_and_the_model_left_as_it_was(digits):
    model = kantor.load("cnn@width=16", classes=10, input_shape=(1, 8, 8)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = probe(model, digits, judge=False)
    assert [(layer.layer, layer.dim, layer.reached) for layer in found] == [
        ("layer1", 4, None), ("layer2", 8, None), ("layer3", 16, None),
    ]  # fmt: skip
    assert model.training and all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert validation_accuracy(model, digits) == found[-1].validation
    features = features_of(model, digits.train, ["layer3"])["layer3"]
    with torch.no_grad(), capture(model.eval(), ["layer3"]) as taken:
        model(torch.as_tensor(data_of(digits)))
    expected = taken["layer3"].mean(dim=(2, 3)).double().numpy()  # [samples, channels]: averaged over positions
    assert features.shape == (180, 16) and features.dtype == np.float64
    np.testing.assert_allclose(features, expected, rtol=1e-5)


def test_without_a_validation_part_some_training_samples_choose():
    pytest.importorskip("sklearn")
    data = kantor.open_data("digits", train_limit=100, validation=0)
    assert data.validation is None
    (found,) = probe(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, layers=["0"])
    assert found.reached is not None and found.reached > 0.7
    # A fifth of 100 samples judges the penalties, and none of it is fitted.
    assert found.validation * 20 == pytest.approx(round(found.validation * 20))
    fitted, held = _cut(data.train)
    assert (len(fitted), len(held)) == (80, 20) and set(fitted.ids).isdisjoint(held.ids)
    assert set(fitted.ids) | set(held.ids) == set(data.train.ids) and set(held.targets) == set(range(10))


def test_a_probe_needs_labels(digits):
    model = kantor.load("cnn@width=8", classes=10, input_shape=(1, 8, 8))
    with pytest.raises(ConfigError, match="needs labels, a class a sample, and digits has none"):
        probe(model, digits.without_labels())
