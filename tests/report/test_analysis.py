"""The page of ``analyse``: made from files alone, complete, and small."""

import json
import re

import numpy as np
import pytest

from kantor.analysis import look_at_pair
from kantor.analysis.pairs import write_neurons
from kantor.core.errors import ConfigError, DataError
from kantor.report import neurons as module
from kantor.report import write_analysis
from kantor.report.neurons import pack_neurons


def page_data(page) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])["a0"]


def test_an_analysis(tmp_path, analysed):
    analysed(tmp_path)
    page = write_analysis(tmp_path).read_text()
    assert "<em>kd</em> ends closest to the teacher: transport distance <strong>0.300</strong> at layer3" in page
    assert "<strong>−0.200</strong> to the student alone, 95 % interval −0.300 to −0.100" in page
    data = page_data(page)
    assert data["charts"]["a0-0-distance"]["names"] == ["none", "kd"]
    assert data["charts"]["a0-0-distance"]["values"][1] == [0.8, 0.5, 0.3]
    # Nothing changed before the first record: the chart starts after it.
    assert data["charts"]["a0-0-changed_since_previous"]["epochs"] == [1, 2]
    assert "a0-0-diagonal" not in data["charts"]
    assert all(f'data-chart="{name}"' in page for name in data["charts"])
    assert [(one["method"], one["seed"]) for one in data["neurons"]["sets"]] == [
        ("kd", "0"), ("kd", "1"), ("none", "0"), ("none", "1"),
    ]  # fmt: skip


def test_what_is_not_told_apart_is_not_called_closer(tmp_path, analysed):
    analysed(tmp_path)
    content = json.loads((tmp_path / "analysis.json").read_text())
    distance = content["methods"]["kd"]["final"]["teacher"]["pairs"][0]["measures"]["distance"]
    distance["difference"]["interval"] = [-0.5, 0.1]
    (tmp_path / "analysis.json").write_text(json.dumps(content))
    assert "95 % interval −0.500 to +0.100, so not told apart from it" in write_analysis(tmp_path).read_text()


def test_a_damaged_analysis_is_to_be_made_again(tmp_path):
    (tmp_path / "analysis.json").write_text("{")
    with pytest.raises(DataError, match=r"analysis\.json is not valid JSON.*`kantor analyse` the run again"):
        write_analysis(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("methods"), "'methods' is missing"),
        (lambda c: c.update(methods=[]), r"methods is \[\], and must be a mapping"),
        (lambda c: c["methods"].clear(), "a method lacks its layers"),
        (lambda c: c["methods"]["kd"]["final"].clear(), "a method lacks its layers"),
        (lambda c: next(iter(c["methods"]["kd"]["final"].values()))["pairs"].clear(), "a method lacks its layers"),
        (lambda c: c["methods"]["kd"].update(seeds=["a"]), r"methods\.kd\.seeds\[0\] is 'a'"),
        (lambda c: c["methods"]["kd"].update(neurons=["../../secret.npz"] * 2), "which is not in it"),
        (lambda c: c["samples"]["student"].update(file="/etc/passwd"), "which is not in it"),
        (lambda c: c["samples"]["student"].update(file="lost.jpg"), r"lost\.jpg cannot be read"),
    ],
)
def test_what_an_analysis_must_hold(tmp_path, analysed, change, said):
    analysed(tmp_path)
    content = json.loads((tmp_path / "analysis.json").read_text())
    change(content)
    (tmp_path / "analysis.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=said):
        write_analysis(tmp_path)


def test_large_runs_are_cut(tmp_path, analysed, monkeypatch):
    analysed(tmp_path)
    monkeypatch.setattr(module, "LARGEST", 10)
    page = write_analysis(tmp_path).read_text()
    assert "The page holds 1 of 4 students" in page
    assert len(page_data(page)["neurons"]["sets"]) == 1


def test_wide_layers_are_listed_without_a_map(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    import torch

    a, b = (torch.from_numpy(draw.normal(size=(30, 5))) for _ in range(2))
    write_neurons(tmp_path / "n.npz", {"teacher": [look_at_pair(("x", a), ("y", b))]}, np.arange(30))
    monkeypatch.setattr(module, "WIDEST", 4)
    ((one,), _) = pack_neurons([("m", "0", tmp_path / "n.npz")], "correlation")
    assert "plan" not in one
    assert len(one["matches"]) == 5


def test_nothing_to_show(tmp_path):
    with pytest.raises(ConfigError, match="kantor analyse"):
        write_analysis(tmp_path)
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"bad\.npz cannot be read as an npz: .*Analyse or compare again"):
        pack_neurons([("m", "0", tmp_path / "bad.npz")], "correlation")
