"""Command lines as people write them."""

import jsonargparse
import pytest

from kantor.arguments import Parser
from kantor.cli import main
from kantor.core.errors import DataError


@pytest.fixture
def parsed():
    """Parses the options of a made-up ``distill``."""

    def parse(*given: str) -> jsonargparse.Namespace:
        parser, command = Parser(prog="kantor"), Parser()
        command.add_argument("--config", action="config")
        command.add_argument("--train_limit", type=int | None)
        command.add_argument("--tune", type=list[float], default=[])
        command.add_argument("--seeds", type=int | list[int], default=5)
        command.add_argument("--classes", type=str | None)
        command.add_argument("--out", type=str | None)
        parser.add_subcommands(required=True, dest="command").add_subcommand("distill", command)
        return parser.parse_args(["distill", *given]).distill

    return parse


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        (["--train-limit=30"], "train_limit", 30),
        (["--train-limit", "30"], "train_limit", 30),
        (["--train_limit=30"], "train_limit", 30),
        (["--tune=0.5,1,2"], "tune", [0.5, 1.0, 2.0]),
        (["--tune", "1e-1, 2"], "tune", [0.1, 2.0]),
        (["--seeds=3"], "seeds", 3),
        (["--seeds=100,101"], "seeds", [100, 101]),
        (["--seeds=100,"], "seeds", [100]),
        (["--classes=cat,dog"], "classes", "cat,dog"),
        (["--classes={a, b}"], "classes", "{a, b}"),
        (["--out=a-b_c"], "out", "a-b_c"),
    ],
)
def test_values(parsed, given, name, value):
    assert getattr(parsed(*given), name) == value


def test_settings_by_yaml_and_the_command_line_wins(parsed, tmp_path):
    (tmp_path / "s.yaml").write_text("train_limit: 10\nout: there\n")
    found = parsed("--config", str(tmp_path / "s.yaml"), "--train-limit=20")
    assert (found.train_limit, found.out) == (20, "there")


@pytest.mark.parametrize("text", ["", "a: [", "- x"])
def test_a_damaged_file_of_settings_is_named(parsed, tmp_path, text):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(DataError, match=r"s\.yaml.*It holds settings, as NAME: VALUE on lines of their own"):
        parsed(f"--config={tmp_path / 's.yaml'}")


def test_what_is_wrong_is_said_in_the_users_spelling(parsed, capsys):
    for given, said in (("--train-limti=3", "Close to it: --train-limit"), ("--train-limit=x", "train_limit")):
        with pytest.raises(SystemExit) as ended:
            parsed(given)
        told = capsys.readouterr().err
        assert ended.value.code == 2
        assert said in told and "usage:" not in told


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ("[{name: a, terms: [3]}]", "methods[0].terms[0] is 3, and must be text or a mapping."),
        ("[{name: a, terms: [{settings: {k: {b: 1}}}]}]", "methods[0].terms[0].settings.k is {'b': 1}, and must be"),
        ("[none, [kd]]", "methods[1] is ['kd'], and must be text or a mapping."),
    ],
)
def test_the_place_of_a_wrong_value_is_said_and_not_every_type(tmp_path, capsys, methods, said):
    (tmp_path / "study.yaml").write_text(f"data: digits\nstudent: cnn\nmethods: {methods}\n")
    with pytest.raises(SystemExit):
        main(["distill", "--config", str(tmp_path / "study.yaml")])
    error = capsys.readouterr().err
    assert said in error and "Subtypes" not in error
