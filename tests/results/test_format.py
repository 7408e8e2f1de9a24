"""A run's folder of an earlier format is read as today's, and one of a later format is refused by all who read it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from kantor.cli import main
from kantor.core.errors import ConfigError, DataError
from kantor.report.run import read_run
from kantor.results.format import FORMAT, read_began, read_settings
from kantor.study import Study
from kantor.training.config import LACKED

QUICK = ["--data=digits", "--train-limit=60", "--epochs=1", "--batch-size=20", "--jobs=1", "--teacher-epochs=1"]
MODELS = ["--student=cnn@width=4", "--teacher=cnn@width=4", "--methods=none,kd,neuron_transport"]
REMEDY = "Mend it."
SEED = Path("run/kd/seed-0")


@pytest.fixture
def run(tmp_path, monkeypatch, made) -> Path:
    """A copy of a small finished run, where we are."""
    shutil.copytree(made, tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    facts = json.loads(Path("run/environment.json").read_text())
    Path("run/environment.json").write_text(json.dumps({**facts, "directory": str(Path.cwd())}))
    return Path("run")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        # As runs of format 1 were: without a limit on a term's pull.
        assert main(["distill", *QUICK, *MODELS, "--seeds=1", "--limit=null", "--out=run"]) == 0
    return folder


def as_format_1(run: Path, began: bool) -> None:
    """Rewrite what a later format writes otherwise, as version 0.1.0 and those before it wrote it."""
    settings = yaml.safe_load((run / "config.yaml").read_text())
    for name in (name for lacked in LACKED.values() for name in lacked):
        del settings[name]
    (run / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    known = json.loads((run / "began.json").read_text())
    if began:
        (run / "began.json").write_text(json.dumps({**known, "format": 1, "settings": settings}))
    else:
        (run / "began.json").unlink()
    (run / "plan-samples.npz").rename(run / "probe.npz")
    plan = json.loads((run / "plan.json").read_text())
    del plan["digest"]
    for terms in plan["bound"].values():
        for place, term in enumerate(terms):
            for name in ("loss", "settings", "reason"):
                term.pop(name, None)
            term["term"] = place
    (run / "plan.json").write_text(json.dumps(plan))


def unfinished() -> None:
    """As if the last student had been killed after its last checkpoint."""
    (SEED / "result.json").unlink()


def test_a_new_run_says_its_format(run):
    assert json.loads((run / "began.json").read_text())["format"] == FORMAT


@pytest.mark.parametrize("began", [True, False], ids=["numbered", "unnumbered"])
def test_a_run_of_the_first_format_is_read_and_goes_on_where_it_would_have_ended(run, began):
    before = (SEED / "student.safetensors").read_bytes()
    config = Study.of_run(run)
    as_format_1(run, began)
    assert Study.of_run(run) == config
    assert Study.of_run(run).digest() == config.digest()
    assert read_run(run).config == yaml.safe_load(config.to_yaml())
    unfinished()
    (SEED / "student.safetensors").unlink()
    for command in (["report", "run"], ["watch", "run", "--once"], ["evaluate", "run/none/seed-0"], ["resume", "run"]):
        assert main(command) == 0
    assert (SEED / "student.safetensors").read_bytes() == before
    kept = json.loads((run / "began.json").read_text())
    assert kept["format"] == FORMAT
    assert kept["settings"] == yaml.safe_load((run / "config.yaml").read_text()) == yaml.safe_load(config.to_yaml())
    assert {"data", "teachers", "student"} <= set(kept)
    assert all(
        "loss" in term for terms in json.loads((run / "plan.json").read_text())["bound"].values() for term in terms
    )


def test_samples_of_plans_are_found_under_their_earlier_name(run):
    kept = json.loads((run / "began.json").read_text())
    (run / "began.json").write_text(json.dumps({**kept, "format": 2}))
    (run / "plan-samples.npz").rename(run / "probe.npz")
    for command in ("analyse", "report", "resume"):
        assert main([command, "run"]) == 0
    assert '"sheets":{"student"' in (run / "report.html").read_text()
    assert not (run / "plan-samples.npz").exists(), "one file of them is enough"


def test_settings_of_the_first_format_that_are_cut_short_are_not_filled_up(run, capsys):
    as_format_1(run, began=True)
    content = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(content[: content.index("\nseeds:") + 1])
    assert main(["resume", "run"]) == 2
    assert "is cut short" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["resume", "run"],
        ["report", "run"],
        ["watch", "run", "--once"],
        ["probe", "run"],
        ["analyse", "run"],
        ["evaluate", "run/kd/seed-0"],
        ["distill", *QUICK, *MODELS, "--seeds=1", "--limit=null", "--out=run"],
        ["resume", "."],
        ["report", "."],
    ],
    ids=" ".join,
)
def test_a_later_format_is_refused_with_both_numbers_and_nothing_is_touched(run, capsys, command):
    kept = json.loads((run / "began.json").read_text())
    (run / "began.json").write_text(json.dumps({**kept, "format": FORMAT + 7, "data": ["of another shape"]}))
    if command[1] == ".":
        run.rename("labels-5")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.name != ".lock"}
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"format {FORMAT + 7}" in said and f"up to {FORMAT}" in said and "environment.json" in said
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.name != ".lock"} == before


@pytest.mark.parametrize("number", ["2", 0, -1, 1.5, True, None, []])
def test_what_is_no_number_of_a_format(tmp_path, number):
    (tmp_path / "began.json").write_text(json.dumps({"format": number}))
    with pytest.raises(DataError, match="format is"):
        read_began(tmp_path)


def test_settings_that_are_written_are_kept(tmp_path):
    (tmp_path / "config.yaml").write_text("data: digits\nlimit: 3.0\n")
    found = read_settings(tmp_path, REMEDY)
    lacked = {name: value for added in LACKED.values() for name, value in added.items()}
    assert found == {**lacked, "data": "digits", "limit": 3.0}
    (tmp_path / "began.json").write_text(json.dumps({"format": FORMAT}))
    assert read_settings(tmp_path, REMEDY) == {"data": "digits", "limit": 3.0}


def test_a_folder_without_settings_holds_no_run(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        read_settings(tmp_path, REMEDY)
