"""The demo's settings come with the package, and are a study's."""

import json
from pathlib import Path

import pytest

import kantor
from kantor.cli import main
from kantor.core.reading import read_yaml
from kantor.study import Study


def test_its_settings_are_those_of_a_study():
    settings = read_yaml(Path(kantor.__file__).with_name("demo.yaml"), dict, "")
    study = Study(**settings)
    study.check()
    assert study.data == "digits" and study.seeds == 10


@pytest.mark.slow
def test_it_ends_with_its_table_and_what_to_do_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--seeds=1"]) == 0
    said = capsys.readouterr().out
    assert "kd+neuron_transport" in said and "Next: kantor evaluate runs/demo/kd+neuron_transport/seed-0" in said
    assert json.loads((tmp_path / "runs" / "demo" / "summary.json").read_text())["complete"]
