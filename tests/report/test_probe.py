"""What the page says of linear probes."""

import json

import pytest

from kantor.report.probe import probed
from kantor.report.run import read_run


def row(values, differences=None):
    mean = sum(values) / len(values)
    return {"seeds": [0, 1], "accuracy": values, "values": values, "mean": mean,
            "interval": (mean - 0.1, mean + 0.1), "differences": differences or {}}  # fmt: skip


def found(**changes):
    """Two layers of three methods on one data set."""
    to_none = {"none": {"mean": 0.2, "interval": (0.1, 0.3), "seeds": [0, 1]}}
    to_both = to_none | {"random": {"mean": 0.5, "interval": (0.4, 0.6), "seeds": [0, 1]}}
    student = {"weights": "w", "layers": []}
    return {
        "data": "pets", "classes": 4, "samples": {"train": 1200, "test": 400},
        "students": {name: {"0": {**student, "seconds": 1.0}, "1": {**student, "seconds": 3.0}}
                     for name in ("none", "kd", "random")},
        "methods": {
            "none": {"layer1": row([0.4, 0.5]), "layer2": row([0.6, 0.7])},
            "kd": {"layer1": row([0.5, 0.6], to_none), "layer2": row([0.8, 0.9], to_both)},
            "random": {"layer1": row([0.2, 0.3])},
        },
        "bases": {"none": "labels alone", "random": "untrained"},
    } | changes  # fmt: skip


@pytest.fixture
def run(made):
    def write(**sets):
        folder = made({"none": [0.8, 0.8], "kd": [0.9, 0.9]})
        (folder / "probe.json").write_text(json.dumps(sets))
        return read_run(folder)

    return write


def test_a_table_for_each_layer_with_differences_to_the_first_base(run):
    (probe,) = probed(run(pets=found()))
    assert probe.title == "pets (1,200 train, 400 test; 4 classes)"
    assert probe.base == "none" and probe.bases == [("none", "labels alone"), ("random", "untrained")]
    assert [layer for layer, _ in probe.layers] == ["layer1", "layer2"]
    tables = {layer: {r.name: r for r in table.rows} for layer, table in probe.layers}
    assert set(tables["layer1"]) == {"none", "kd", "random"}
    assert set(tables["layer2"]) == {"none", "kd"}
    assert any("85.0" in cell for cell in tables["layer2"]["kd"].cells.values())
    assert any("+20.0" in cell for cell in tables["layer2"]["kd"].cells.values())


def test_differences_to_the_other_bases_are_of_the_last_layer(run):
    (probe,) = probed(run(pets=found()))
    assert probe.others == [["kd", "layer2", "random", "+50.00", "+40.00 to +60.00"]]


def test_each_data_set_has_its_own_in_its_own_metric(run):
    metric = {"name": "RMSE", "unit": "kg", "higher_is_better": False}
    one, two = probed(run(pets=found(), weights=found(data="weights", metric=metric)))
    assert (one.title[:4], two.title[:7]) == ("pets", "weights")
    assert two.layers[0][1].heading != one.layers[0][1].heading
    assert "kg" in two.layers[0][1].heading


def test_a_run_without_probes_has_no_section(made):
    assert probed(read_run(made())) == []
