"""The options of every command: they are there, explained, and of their types."""

import dataclasses

import pytest

from kantor.analysis.compare import Compare
from kantor.arguments import Parser
from kantor.cli import _parser
from kantor.command_options import OPTIONS
from kantor.faculty.config import Rank
from kantor.study.settings.study import FineTune, Study


def options(command):
    """By name, every option of a command and its explanation."""
    parser = Parser()
    OPTIONS[command](parser)
    return {action.dest: action.help for action in parser._actions if action.dest != "help"}


def parsed(*arguments):
    parser, _ = _parser(arguments[0])
    found = parser.parse_args(list(arguments))
    return found[found.command]


def test_every_command_has_its_options():
    assert set(OPTIONS) == set(_parser()[1])


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_is_explained(command):
    assert {name for name, said in options(command).items() if not said} == set()


@pytest.mark.parametrize(
    ("command", "settings"), [("distill", Study), ("finetune", FineTune), ("rank", Rank), ("compare", Compare)]
)
def test_every_setting_can_be_given(command, settings):
    assert {field.name for field in dataclasses.fields(settings)} <= set(options(command))


def test_what_runs_code_of_others_can_be_trusted_wherever_code_may_run():
    assert {name for name in OPTIONS if "trust" in options(name)} == set(OPTIONS) - {
        "report", "watch", "methods", "demo", "check", "doctor", "completion",
    }  # fmt: skip


def test_the_command_line_wins_over_a_file(tmp_path):
    (tmp_path / "s.yaml").write_text("data: digits\nstudent: cnn\nmethods: none\nseeds: 3\nlr: 0.5\n")
    found = parsed("distill", f"--config={tmp_path / 's.yaml'}", "--seeds=1")
    assert (found.data, found.seeds, found.lr) == ("digits", 1, 0.5)


def test_types_are_those_of_the_settings():
    found = parsed("evaluate", "runs/a/kd/seed-0", "--image-size=16", "--skip-corrupt")
    assert (found.run, found.image_size, found.skip_corrupt, found.split) == ("runs/a/kd/seed-0", 16, True, "test")
    assert parsed("export", "r", "--input-shape=3,8,8").input_shape == [3, 8, 8]
    assert parsed("methods", "kd", "rkd").losses == ["kd", "rkd"]
    assert parsed("report", "a", "b").runs == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "r", "--split=dev"], "split"),
        (["evaluate", "r", "--image-size=large"], "image_size"),
        (["export", "r", "--format=pickle"], "format"),
        (["watch", "r", "--every=often"], "every"),
        (["analyse", "r", "--tpo=3"], "tpo"),
    ],
)
def test_what_is_no_option_or_no_value_is_named(arguments, says, capsys):
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert says in capsys.readouterr().err
