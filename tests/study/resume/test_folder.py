"""What a run ran with, and where paths in its settings begin."""

import importlib
import json
import sys
from datetime import datetime
from pathlib import Path

import pytest

from kantor.core.errors import ConfigError
from kantor.study.resume.folder import environment, where_started


@pytest.fixture
def run(tmp_path) -> Path:
    """A run that was started in ``elsewhere``."""
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    facts = {"directory": str(tmp_path / "elsewhere")}
    (tmp_path / "run" / "environment.json").write_text(json.dumps(facts))
    return tmp_path / "run"


def test_versions_machine_and_command(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/kantor", "distill", "--data", "my photos"])
    found = environment()
    assert found["packages"]["kantor"] != "not installed" != found["packages"]["torch"]
    assert found["command"] == "kantor distill --data 'my photos'"
    assert found["directory"] == str(Path.cwd())
    assert datetime.fromisoformat(found["started"]).tzinfo is not None
    json.dumps(found)


def test_of_a_study_that_a_program_began_the_command_is_that_program(monkeypatch):
    monkeypatch.setattr("sys.argv", ["work/compare.py", "--fast"])
    assert environment()["command"] == "python compare.py --fast"


def test_nothing_is_imported_from_the_directory_that_a_run_names(run, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / "planted_module.py").write_text("")
    (tmp_path / "own_module_here.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # as under `python -c`
    with where_started(run, None):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("planted_module")
        importlib.import_module("own_module_here")
    assert sys.path[0] == ""


def test_paths_begin_where_the_run_was_started_and_what_is_typed_where_the_user_is(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.npz").touch()
    with where_started(Path("run"), "run/kd/seed-0", "data.npz", "digits", None) as given:
        assert Path.cwd() == tmp_path / "elsewhere"
        assert given == [run, "run/kd/seed-0", str(tmp_path / "data.npz"), "digits", None]
    assert Path.cwd() == tmp_path


def test_started_here(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "elsewhere")
    with where_started(run, "x") as given:
        assert given == [run, "x"]


def test_where_that_is_gone_it_is_said_with_what_goes_wrong(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").rmdir()
    said = r"There is no data\.npz\. \(Paths .* begin in .*elsewhere, where it was"
    with pytest.raises(ConfigError, match=said), where_started(run):
        raise ConfigError("There is no data.npz.")
    with pytest.raises(ValueError, match=r"^another fault$"), where_started(run):
        raise ValueError("another fault")


@pytest.mark.parametrize("facts", ["{}", None])
def test_runs_that_do_not_say_where(tmp_path, monkeypatch, facts):
    monkeypatch.chdir(tmp_path)
    if facts is not None:
        (tmp_path / "environment.json").write_text(facts)
    with where_started(tmp_path) as given:
        assert given == [tmp_path] and Path.cwd() == tmp_path
