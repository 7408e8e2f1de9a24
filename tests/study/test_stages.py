"""Several layers at once: what `stages` says, against the same terms written out."""

import json
from pathlib import Path

import pytest
import yaml

from kantor.cli import main
from kantor.core.errors import ConfigError
from kantor.study.settings.methods import parse_methods

TINY = [
    "distill", "--data=digits", "--teacher=cnn@width=16", "--teacher-epochs=1", "--student=cnn@width=8", "--epochs=2",
    "--train-limit=100", "--batch-size=25", "--seeds=1", "--jobs=1",
]  # fmt: skip


def test_three_stages_are_the_three_terms_written_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    layers = [{"student": f"layer{k}", "teacher": f"layer{k}", "name": f"stage {k}"} for k in (1, 2, 3)]
    term = {"loss": "neuron_transport", "weight": 5, "settings": {"spatial": "positions", "plan": "random"}}
    written = [{"name": "written", "terms": [{"loss": "kd", "weight": 1}, *(term | layer for layer in layers)]}]
    Path("written.yaml").write_text(yaml.safe_dump({"methods": written}))
    short = "kd+neuron_transport@stages=3@spatial=positions@plan=random:5"
    assert main([*TINY, "--config=written.yaml", "--out=runs/written"]) == 0
    assert main([*TINY, f"--methods={short}", "--out=runs/short"]) == 0
    step0 = capsys.readouterr().out
    assert "neuron_transport.layer2: value" in step0
    assert "teacher:layer2 [25, 8, 4, 4] (depth 0." in step0
    folders = [Path("runs/written/written/seed-0"), Path(f"runs/short/{short.replace(':', '=')}/seed-0")]
    first, second = (json.loads((folder / "result.json").read_text()) for folder in folders)
    assert first["accuracy"] == second["accuracy"]
    assert (folders[0] / "student.safetensors").read_bytes() == (folders[1] / "student.safetensors").read_bytes()
    assert second["weights"] == {"task": 1, "kd": 1} | {f"neuron_transport.layer{k}": 5 for k in (1, 2, 3)}
    pairs = json.loads(Path("runs/short/plan.json").read_text())["pairs"]
    assert [pair["student"] for pair in pairs] == ["layer1", "layer2", "layer3"]


def test_each_of_several_teachers_at_its_own_stages_and_the_last_ones_of_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    methods = "--methods=neuron_transport@stages=2:4,fitnet@stages=all"
    assert main([*TINY, "--teacher=cnn@width=16,cnn@width=24", methods, "--out=runs/two"]) == 0
    bound = json.loads(Path("runs/two/plan.json").read_text())["bound"]
    two, all_of_them = bound.values()
    assert [(term["teacher"], term["weight"]["value"]) for term in two] == [
        ("cnn-1:layer2", 2), ("cnn-1:layer3", 2), ("cnn-2:layer2", 2), ("cnn-2:layer3", 2),
    ]  # fmt: skip
    assert [term["name"] for term in all_of_them[:3]] == [f"fitnet.cnn-1.layer{k}" for k in (1, 2, 3)]
    weights = json.loads(Path("runs/two/summary.json").read_text())["methods"]
    assert len(weights["neuron_transport@stages=2:4"]["weights"]) == 5


def test_more_stages_than_pair_are_refused_with_those_that_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "--methods=none,neuron_transport@stages=4", "--out=runs/four"]) == 2
    said = capsys.readouterr().err
    assert "4 stages are asked for, and 3 pair: layer1 <- layer1, layer2 <- layer2, layer3 <- layer3" in said
    assert not Path("runs/teachers").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("kd@stages=2", "kd reads logits: leave stages out. Those that take it: .*neuron_transport"),
        ("at@stages=2", "at reads every paired stage as it is"),
        ("l2_sp@stages=2", "l2_sp reads the student's weights"),
        ("neuron_transport@stages=0", "how many of the last ones, or all, not 0"),
        ("neuron_transport@stages=1.5", "not 1.5"),
        ("neuron_transport@stages=some", "not 'some'"),
        ("neuron_transport@stages=", "write how many stages"),
        ("neuron_transport@stages", "a setting is written @name=value"),
        ([{"name": "a", "terms": [{"loss": "fitnet", "stages": 2, "student": "layer1"}]}], "Give one of them"),
    ],
)
def test_stages_that_cannot_be(given, message):
    with pytest.raises(ConfigError, match=message):
        parse_methods(given)
