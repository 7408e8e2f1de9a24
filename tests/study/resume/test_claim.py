"""The run's folder: what makes it a run, and what a killed writer leaves."""

import json

import pytest

from kantor.core.errors import ConfigError
from kantor.results.files import seconds_before, timed
from kantor.study import Study
from kantor.study.resume import claim as claims
from kantor.study.resume.claim import begun, claim


def study(out, **changes) -> Study:
    return Study(data="digits", student="cnn", out=str(out), **changes)


def test_killed_between_the_first_two_files(tmp_path, monkeypatch):
    class Killed(BaseException):
        """As by a signal."""

    def killed(path, text):
        raise Killed

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(claims, "write_text", killed)
        with pytest.raises(Killed):
            claim(study(run))
    assert not (run / "config.yaml").exists()
    claim(study(run))
    assert json.loads((run / "environment.json").read_text())["cores"] >= 1
    assert Study.of_run(run) == study(run)


def test_what_a_killed_writer_left_does_not_make_a_folder_anothers(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".config.yaml.8d1f.partial").write_text("data: dig")
    assert not begun(run)
    claim(study(run))
    (run / "summary.json").write_text("{}")
    assert begun(run)
    with pytest.raises(ConfigError, match="differs in lr"):
        claim(study(run, lr=0.5))


def test_seconds_are_those_of_whole_lines(tmp_path):
    with timed(tmp_path, "caches"):
        pass
    with (tmp_path / "timing.jsonl").open("a") as file:
        file.write('{"stage": "cac')
    with timed(tmp_path, "teachers"):
        pass
    assert set(seconds_before(tmp_path)) == {"caches", "teachers"}
