"""The command line itself: exit statuses, messages, and what each command is asked for."""

import errno
from pathlib import Path

import pytest

from kantor import cli
from kantor.cli import main
from kantor.command_options import OPTIONS
from kantor.core.errors import KantorError
from kantor.training import Interrupted


@pytest.fixture
def evaluate(monkeypatch):
    """Lets ``kantor evaluate`` end in an error."""

    def raising(error: BaseException) -> int:
        def evaluate(options):
            raise error

        monkeypatch.setattr(cli, "evaluate", evaluate)
        return main(["evaluate", "run"])

    return raising


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KantorError("There is no x."), 2, "kantor: There is no x.\n"),
        (Interrupted("Stopped."), 143, "kantor: Stopped.\n"),
        (KeyboardInterrupt(), 130, "kantor: Interrupted.\n"),
        (KantorError("\x1b[31mred"), 2, "kantor: red\n"),
        (
            SystemExit(0),
            2,
            "kantor: Code that was called, as a network's own, ended the work by sys.exit(0). Take that call out; what "
            "is finished is kept.\n",
        ),
    ],
)
def test_how_a_command_ends(evaluate, capsys, error, status, said):
    assert evaluate(error) == status
    assert capsys.readouterr().err == said


def test_a_name_that_no_file_can_have(evaluate, capsys):
    assert evaluate(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000)) == 2
    assert capsys.readouterr().err == f"kantor: {'x' * 60}... is longer than a file's name can be.\n"
    with pytest.raises(PermissionError):
        evaluate(PermissionError(errno.EACCES, "no", "x"))


@pytest.mark.parametrize("command", OPTIONS)
def test_every_command_tells_of_itself_and_of_its_options(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert (getattr(cli, command).__doc__ or "").split(":")[0].split(",")[0] in " ".join(told.split())
    assert "--config" in told if command in ("distill", "finetune", "rank") else "--help" in told
    assert "_" not in "".join(word for word in told.split() if word.startswith("--")), "options have dashes"


def test_no_command_and_one_that_is_unknown(capsys):
    for given, said in (([], "evaluate"), (["distil"], "distill")):
        with pytest.raises(SystemExit) as ended:
            main(given)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_what_evaluate_must_be_given(capsys):
    assert main(["evaluate"]) == 2
    assert "Give either RUN/METHOD/seed-K or --model NAME:FILE." in capsys.readouterr().err
    assert main(["evaluate", "a", "--model", "cnn:b"]) == 2
    assert "Give either" in capsys.readouterr().err
    assert main(["evaluate", "--model", "cnn:b.pt"]) == 2
    assert "--model needs --data" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["resume", "analyse", "probe", "export"])
def test_a_run_must_be_named(command, capsys):
    assert main([command]) == 2
    assert "Name a run's folder." in capsys.readouterr().err


def test_losses_are_listed_with_what_each_needs(capsys):
    assert main(["methods"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("neuron_transport", "kd", "label_transport", "l2_sp", "arXiv"))
    assert main(["methods", "crd"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "crd" in told and "settings" in told and "kd" not in told.split()


def test_trust_names_a_run_to_work_on(tmp_path: Path, monkeypatch):
    seen = []

    def resume(options):
        seen.append(options.run)

    monkeypatch.setattr(cli, "resume", resume)
    (tmp_path / "config.yaml").touch()
    assert main(["resume", "--trust", str(tmp_path)]) == 0
    assert main(["resume", str(tmp_path), "--trust"]) == 0
    assert seen == [str(tmp_path)] * 2
