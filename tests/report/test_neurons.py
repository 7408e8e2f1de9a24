"""Matched neurons, packed for a page."""

import base64
import zlib

import numpy as np
import pytest
import torch

from kantor.analysis import look_at_pair
from kantor.analysis.pairs import write_neurons
from kantor.core.errors import DataError
from kantor.report import neurons
from kantor.report.neurons import beside, data_uri, pack_neurons

DRAW = torch.Generator().manual_seed(0)
A = torch.randn(40, 6, generator=DRAW)
B = A[:, [3, 1, 0, 5]]
"""The second layer's neurons are four of the first's, in another order."""


@pytest.fixture
def path(tmp_path):
    found = look_at_pair(("layer1", A), ("layer2", B), top=3)
    write_neurons(tmp_path / "n.npz", {"teacher": [found]}, 100 + np.arange(40))
    return tmp_path / "n.npz"


def test_partners_and_what_excites_them(path):
    (one,), left_out = pack_neurons([("kd", "0", path)], "correlation")
    assert (one["method"], one["seed"], one["layers"], one["widths"]) == ("kd", "0", ["layer1", "layer2"], [6, 4])
    assert left_out == ""
    partner = {i: j for i, j, *_ in one["matches"]}
    assert {i: partner[i] for i in (3, 1, 0, 5)} == {3: 0, 1: 1, 0: 2, 5: 3}
    strongest = 100 + A.argmax(0)
    assert [tops[0] for tops in one["tops"][0]] == strongest.tolist()


def test_the_map_is_what_was_written(path):
    (one,), _ = pack_neurons([("kd", "0", path)], "correlation")
    with np.load(path) as kept:
        plan = kept["plan_0"]
    packed = np.frombuffer(zlib.decompress(base64.b64decode(one["plan"])), np.uint8).reshape(6, 4)
    np.testing.assert_allclose((packed / 255.0) ** 2, plan / plan.max(), atol=0.01)
    assert sorted(one["order"][0]) == list(range(6)) and sorted(one["order"][1]) == list(range(4))


def test_wide_layers_have_no_map(path, monkeypatch):
    monkeypatch.setattr(neurons, "WIDEST", 5)
    (one,), _ = pack_neurons([("kd", "0", path)], "correlation")
    assert "plan" not in one and one["matches"]


def test_layers_of_several_teachers_are_called_by_whose_they_are(tmp_path):
    found = look_at_pair(("layer1", A), ("layer2", B), top=3)
    write_neurons(tmp_path / "n.npz", {"mri": [found], "ct": [found]}, np.arange(40))
    sets, _ = pack_neurons([("kd", "0", tmp_path / "n.npz")], "correlation")
    assert [one["layers"][0] for one in sets] == ["mri:layer1", "ct:layer1"]


def test_a_page_stays_small_and_says_what_is_not_in_it(path, monkeypatch):
    monkeypatch.setattr(neurons, "LARGEST", 1)
    sets, left_out = pack_neurons([("kd", str(seed), path) for seed in range(3)], "correlation")
    assert len(sets) == 1, "one is shown however large"
    assert left_out == "The page holds 1 of 3 students; the rest is in the folder."


@pytest.mark.parametrize("file", ["/etc/passwd", "../n.npz", "a/../../n.npz"])
def test_nothing_from_elsewhere_is_shown(tmp_path, file):
    with pytest.raises(DataError, match="which is not in it"):
        beside(tmp_path, file)
    assert beside(tmp_path, "analysis/kd.npz") == tmp_path / "analysis" / "kd.npz"


def test_a_picture_that_is_gone(tmp_path):
    with pytest.raises(DataError, match=r"samples\.jpg cannot be read: No such file.*again"):
        data_uri(tmp_path / "samples.jpg")
