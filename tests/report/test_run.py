"""A run's folder is read as it is: whole, unfinished, or broken."""

import json

import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.core.lines import read_lines
from kantor.report.run import read_run


def test_reads_what_is_there(made):
    run = read_run(made())
    assert list(run.methods) == ["none", "kd", "kd+neuron_transport"]
    assert [(s.method, s.seed) for s in run.students[:4]] == [("none", 0), ("none", 1), ("none", 2), ("kd", 0)]
    assert [line["epoch"] for line in run.students[0].epochs] == [0, 1, 2, 3, 4]
    assert run.seconds_per_step("kd") == {0: 0.25, 1: 0.25, 2: 0.25}
    assert run.class_names[0] == "cat"


def test_method_with_a_weight_is_found_in_its_folder(made):
    run = read_run(made({"none": [0.8], "kd:3": [0.9]}))
    assert [s.method for s in run.students] == ["none", "kd:3"]
    assert run.students[1].folder.parent.name == "kd=3"


def test_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no run: there is no config\.yaml"):
        read_run(tmp_path)


def test_broken_file_is_named(made):
    run = made()
    (run / "step0.json").write_text("{")
    with pytest.raises(DataError, match=r"step0\.json is not valid JSON"):
        read_run(run)


def test_line_being_written_is_left_for_later(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 0}\n{"epoch": 1}\n{"epo')
    assert read_lines(path) == [{"epoch": 0}, {"epoch": 1}]
    assert read_lines(tmp_path / "nothing.jsonl") == []


def test_without_a_summary_the_finished_students_are_compared(made):
    whole = read_run(made(name="whole")).methods
    under_way = read_run(made(name="under way", summary=False))
    assert not under_way.summary.get("complete")
    for method, row in under_way.methods.items():
        for key in ("seeds", "accuracy", "mean", "interval", "difference", "seconds"):
            assert json.loads(json.dumps(row[key])) == whole[method][key], (method, key)
