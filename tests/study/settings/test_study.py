"""A run's settings, read back: text in quotes stays text, and any damage is a message."""

import json
from pathlib import Path

import pytest

from kantor.cli import _parser, main
from kantor.core.errors import ConfigError, DataError
from kantor.study.run import run_study
from kantor.study.settings.methods import parse_methods
from kantor.study.settings.study import Study
from kantor.study.sweep import run_sweep


def parsed(text: str, tmp_path: Path):
    (tmp_path / "c.yaml").write_text(f"data: digits\nstudent: cnn\n{text}\n")
    return _parser()[0].parse_args(["distill", f"--config={tmp_path / 'c.yaml'}"]).distill


@pytest.mark.parametrize("classes", [["01", "02"], ["yes", "no"], ["1e3", "null", "~", "true"], [3, 4]])
def test_quoted_classes_stay_text_by_config_and_in_the_run(tmp_path, classes):
    found = parsed(f"classes: {json.dumps(classes)}", tmp_path).classes
    assert found == classes
    (tmp_path / "config.yaml").write_text(Study(data="digits", student="cnn", classes=found).to_yaml())
    assert Study.of_run(tmp_path).classes == classes


def test_quoted_names_in_methods_and_of_teachers_stay_text(tmp_path):
    found = parsed(
        "methods: [{name: 'no', start: '01', terms: [{loss: kd, teacher: '01:logits', name: 'yes'}]}]\n"
        "teacher_classes: {a: ['01', 'off'], b: 'on,off'}",
        tmp_path,
    )
    (method,) = parse_methods(found.methods)
    assert (method.name, method.start, method.terms[0].name) == ("no", "01", "yes")
    assert found.teacher_classes == {"a": ["01", "off"], "b": "on,off"}


GOOD = "data: digits\nstudent: cnn\nmethods: none\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"[]", "must be a mapping"),
        (b"data: digits\n", "'student' is missing"),
        ((GOOD + "epochs: ten").encode(), "epochs is 'ten', and must be a whole number"),
        ((GOOD + "lr: [1]").encode(), r"lr is \[1\], and must be a number"),
        ((GOOD + "seeds: {}").encode(), "seeds is {}"),
        ((GOOD + "epochs: 1\nepochs: 2").encode(), "'epochs' is given twice"),
        (GOOD.encode("utf-16"), "is not text in UTF-8"),
        ((GOOD + "classes: [").encode(), "is not valid YAML"),
        ((GOOD + "freeze: " + "[" * 5000).encode(), "nested more than"),
        ((GOOD + "precision: fp64").encode(), "precision is 'fp64', and must be no or bf16 or fp16"),
    ],
)
@pytest.mark.parametrize("command", ["resume", "watch", "probe", "report"])
def test_damaged_settings_are_a_message_with_the_file(tmp_path, content, said, command, capsys):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        Study.of_run(tmp_path)
    assert str(tmp_path / "config.yaml") in str(caught.value)
    if command != "report" or "must be a mapping" in said or "valid" in said:
        assert main([command, str(tmp_path)]) == 2
        assert str(tmp_path) in capsys.readouterr().err


DAMAGE = {
    "empty": "",
    "list": "[]",
    "number": "3",
    "torn": '{"methods": {"no',
    "other": '{"methods": [], "teachers": 3}',
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, to be copied."""
    run = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["--data=digits", "--train-limit=60", "--epochs=1", "--seeds=1", "--jobs=1", "--student=cnn@width=4"]
    assert main(["distill", *arguments, "--methods=none", f"--out={run}"]) == 0
    return run


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name", ["plan.json", "summary.json", "step0.json", "environment.json", "none/seed-0/result.json"]
)
def test_damaged_files_of_a_run_are_messages_to_every_command(finished, name, damage, capsys):
    kept = (finished / name).read_bytes()
    (finished / name).write_text(DAMAGE[damage])
    try:
        for command in ("report", "watch", "probe", "analyse", "evaluate"):
            capsys.readouterr()
            where = str(finished / "none/seed-0" if command == "evaluate" else finished)
            extra = ["--once"] if command == "watch" else []
            status = main([command, where, *extra])
            assert status in (0, 2)  # and no traceback
            said = capsys.readouterr().err
            assert status == 0 or name.rpartition("/")[2] in said or "no teacher" in said, (command, said)
    finally:
        (finished / name).write_bytes(kept)


def test_an_unknown_key_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "config.yaml").write_text(GOOD + "epoch: 3\n")
    with pytest.raises(ConfigError, match=r"unknown key 'epoch'.*epochs"):
        Study.of_run(tmp_path)
    with pytest.raises(ConfigError, match="holds no run"):
        Study.of_run(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "value"),
    [("seeds", None), ("epochs", None), ("methods", None), ("task", None), ("lr", float("inf")),
     ("cache_limit", float("inf")), ("weight_decay", float("nan")), ("tune", [1.0, float("inf")]),
     ("clip", float("inf")), ("lr", 1e300), ("head_lr", 1e300), ("weight_decay", 1e39),
     ("teacher_lr", 1e300), ("seeds", 10**20), ("seeds", [10**20]),
     ("tune_seeds", [2**63]), ("jobs", 10**20), ("threads", 5000), ("unfit", "fail"), ("skip_corrupt", "no"),
     ("epochs", 10**400), ("select", "first"), ("image_size", "8"), ("data", Path("digits"))],
)  # fmt: skip
def test_what_no_file_could_say_is_refused_by_name_before_anything_is_written(name, value, tmp_path):
    study = Study(**{"data": "digits", "student": "cnn", "out": str(tmp_path / "run"), name: value})
    for used in (Study.check, run_study, run_sweep):
        with pytest.raises(ConfigError, match=name):
            used(study)
    assert not (tmp_path / "run").exists()
