"""Label costs: from words, matrices, centres and co-occurrence."""

import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.faculty.centres import label_centres, prediction_centres
from kantor.faculty.inverse import label_costs_of, learned_cost, with_own
from kantor.faculty.matrix import matrix_costs
from kantor.faculty.space import costs_in
from kantor.faculty.words import word_vectors
from kantor.losses import label_transport

TEXT = """cat 1.0 0.0 0.5
dog 0.9 0.1 0.5
sports 0.0 1.0 0.5
car 0.0 0.8 0.7
"""


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(TEXT)
    return path


def test_names_are_resolved_by_their_words(vectors):
    found = word_vectors(vectors, ["Cat", "sports_car", "SportsCar", "tench, dog"])
    np.testing.assert_allclose(found[0], [1, 0, 0.5])
    np.testing.assert_allclose(found[1], [0, 0.9, 0.6])
    np.testing.assert_allclose(found[2], found[1])
    np.testing.assert_allclose(found[3], [0.9, 0.1, 0.5])


def test_a_name_without_a_vector_fails_with_the_name(vectors):
    with pytest.raises(DataError, match=r"'race_car'.*race"):
        word_vectors(vectors, ["cat", "race_car"])
    with pytest.raises(DataError, match="no file"):
        word_vectors(vectors.with_name("no.txt"), ["cat"])


def test_npz_holds_the_same(vectors, tmp_path):
    lines = [line.split() for line in TEXT.splitlines()]
    npz = tmp_path / "vectors.npz"
    np.savez(npz, words=[w for w, *_ in lines], vectors=np.array([v for _, *v in lines], dtype=np.float32))
    names = ["dog", "sports car"]
    np.testing.assert_allclose(word_vectors(npz, names), word_vectors(vectors, names), rtol=1e-6)
    np.savez(npz, other=[1])
    with pytest.raises(DataError, match="words"):
        word_vectors(npz, names)


def test_real_vectors_know_what_is_close(shared_data):
    path = shared_data / "glove" / "glove_twitter_25d.npz"
    mine, theirs = ["cat", "truck"], ["dog", "limousine", "lemon", "cat"]
    cost = costs_in(word_vectors(path, mine), {"a": word_vectors(path, theirs)})["a"]
    assert cost.cross[0, 0] < cost.cross[0, 1]
    assert cost.cross[1, 1] < cost.cross[2, 1]
    assert cost.cross[3, 0] == 0  # one name, one place


def test_one_scale_and_no_order():
    r = np.random.default_rng(0)
    mine, a, b = r.standard_normal((3, 5)) + 4, r.standard_normal((4, 5)) + 4, r.standard_normal((2, 5)) + 4
    together, swapped = costs_in(mine, {"a": a, "b": b}), costs_in(mine, {"b": b, "a": a})
    for name in ("a", "b"):
        torch.testing.assert_close(together[name].cross, swapped[name].cross)
    # The mean over pairs of different classes of the union is 1.
    union = costs_in(np.concatenate([mine, a, b]), {"all": np.concatenate([mine, a, b])})["all"].cross
    assert union.sum().item() / (9 * 8) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(union[3:7, :3], together["a"].cross)
    scaled = costs_in(3 * mine, {"a": 3 * a, "b": 3 * b})
    torch.testing.assert_close(scaled["a"].cross, together["a"].cross)
    with pytest.raises(DataError, match="same vector"):
        costs_in(np.ones((2, 3)), {"a": np.ones((1, 3))})


def test_matrix(tmp_path):
    path = tmp_path / "cost.csv"
    path.write_text(",cat,dog,car\ncat,0,1,4\ndog,1,0,4\ncar,4,4,0\n")
    cost = matrix_costs(path, ["dog", "car"], {"a": ["cat"], "b": ["car", "dog"]})
    torch.testing.assert_close(cost["a"].cross * 4, cost["b"].cross[:1, :1].expand(1, 2) * torch.tensor([[1.0, 4.0]]))
    assert cost["b"].cross[0, 1] == 0
    assert cost["a"].student is not None
    assert cost["a"].student[0, 1] == cost["b"].cross[0, 0]
    with pytest.raises(DataError, match=r"row for class 'bird'"):
        matrix_costs(path, ["dog"], {"a": ["bird"]})
    path.write_text(",cat\ndog,x\n")
    with pytest.raises(DataError, match="cannot be read"):
        matrix_costs(path, ["cat"], {"a": ["dog"]})


def test_rectangular_matrix_knows_no_cost_within_a_set(tmp_path):
    path = tmp_path / "cost.npz"
    np.savez(path, rows=["a", "b"], columns=["x", "y", "z"], cost=np.arange(1.0, 7).reshape(2, 3))
    cost = matrix_costs(path, ["z", "x"], {"t": ["b", "a"]})["t"]
    torch.testing.assert_close(cost.cross, torch.tensor([[6.0, 4.0], [3.0, 1.0]]) / 3.5)
    assert cost.student is None


def test_centres():
    features = torch.tensor([[0.0], [2.0], [10.0]])
    labels = torch.tensor([0, 0, 2])
    torch.testing.assert_close(
        label_centres(features, labels, 3), torch.tensor([[1.0], [4.0], [10.0]]).double(), rtol=1e-2, atol=1e-2
    )
    predictions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    torch.testing.assert_close(
        prediction_centres(features, predictions)[1], torch.tensor([6.0]).double(), rtol=1e-2, atol=1e-2
    )


def sampled(cost: torch.Tensor, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Certain predictions and labels drawn from exp(-cost)."""
    g = torch.Generator().manual_seed(seed)
    joint = (-cost).exp().flatten()
    cells = torch.multinomial(joint / joint.sum(), count, replacement=True, generator=g)
    return torch.nn.functional.one_hot(cells // cost.shape[1], cost.shape[0]).double(), cells % cost.shape[1]


def test_inverse_transport_finds_the_planted_cost_and_is_judged_on_held_out_samples():
    g = torch.Generator().manual_seed(0)
    truth = 3 * torch.rand(4, 3, generator=g, dtype=torch.float64)
    learned = learned_cost(*sampled(truth, 4000, 1), 3, held_out=sampled(truth, 4000, 2))

    def gauge(cost):
        return cost - cost.mean(0, keepdim=True) - cost.mean(1, keepdim=True) + cost.mean()

    assert (gauge(learned.cost) - gauge(truth)).abs().max().item() < 0.35
    assert learned.cost.mean(0).abs().max().item() < 1e-9
    assert learned.held_out == pytest.approx(learned.fitted, abs=0.05)
    assert learned.held_out is not None
    assert learned.held_out > 0.05


def test_what_is_learned_from_noise_fails_on_held_out_samples():
    noise = torch.zeros(6, 5, dtype=torch.float64)
    learned = learned_cost(*sampled(noise, 40, 1), 5, held_out=sampled(noise, 4000, 2))
    assert learned.fitted > 0.1
    assert learned.held_out is not None
    assert learned.held_out < 0


def test_a_teacher_that_relates_to_nothing_costs_more_than_one_that_does():
    related, unrelated = 3 * (1 - torch.eye(3, dtype=torch.float64)), torch.zeros(3, 3, dtype=torch.float64)
    costs = label_costs_of(
        {name: learned_cost(*sampled(x, 500, 1), 3).cost for name, x in zip("ru", (related, unrelated), strict=True)}
    )
    assert costs["r"].cross.diagonal().max() < costs["u"].cross.min()
    assert torch.cat([costs["r"].cross, costs["u"].cross]).mean().item() == pytest.approx(1, rel=1e-5)


def test_learned_cost_can_be_debiased():
    cost = with_own(torch.tensor([[0.0, 2.0], [3.0, 0.0], [1.0, 1.0]]))
    assert cost.student is not None
    assert cost.student[0, 1] == 3
    assert cost.teacher is not None
    assert cost.teacher.diagonal().tolist() == [0, 0, 0]
    assert label_transport(torch.randn(4, 2), torch.randn(4, 3), cost).isfinite()
