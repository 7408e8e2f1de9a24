"""A file never decides which code runs: what it names is imported only where the user gave leave for it."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from kantor.cli import main
from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.models import load
from kantor.models.loading import load_named

NETS = """
from pathlib import Path
from torch import nn

Path({mark!r}).touch()


def make(num_classes: int, input_shape, width: int = 3, tag: str = "") -> nn.Module:
    return nn.Sequential(nn.Conv2d(input_shape[0], width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, num_classes))
"""
QUICK = ["--data=digits", "--train-limit=60", "--epochs=1", "--seeds=1", "--jobs=1", "--batch-size=30"]


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A module ``mark_nets`` of the user's; the file that this returns is there once anything has imported it."""
    path = tmp_path / "imported"
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mark_nets.py").write_text(NETS.format(mark=str(path)))
    monkeypatch.syspath_prepend(tmp_path / "nets")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "nets"))
    monkeypatch.chdir(tmp_path)
    again(path)
    yield path
    again(path)


def again(mark: Path) -> None:
    """As a new process begins."""
    trust.forget()
    sys.modules.pop("mark_nets", None)
    mark.unlink(missing_ok=True)


def made(out: str, *arguments: str) -> Path:
    """A finished run."""
    assert main(["distill", *QUICK, f"--out={out}", *arguments]) == 0
    return Path(out)


def edit(path: Path, **changes) -> None:
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(json.dumps(content))  # which is YAML too


def refused(capsys, *arguments: str) -> str:
    """The message of a command that must fail by it."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def test_a_run_made_here_goes_on_and_its_edited_or_copied_settings_do_not(mark, capsys):
    run = made("run", "--student=mark_nets:make", "--methods=none")
    assert mark.exists()
    (run / "none" / "seed-0" / "result.json").unlink()
    again(mark)
    assert main(["resume", "run"]) == 0
    assert mark.exists()
    for command in (["evaluate", "run/none/seed-0"], ["export", "run/none/seed-0"], ["probe", "run"]):
        again(mark)
        assert main(command) == 0, command

    # Numbers choose no code; text may.
    again(mark)
    settings = yaml.safe_load((run / "began.json").read_text())["settings"]
    edit(run / "config.yaml", student="mark_nets:make@tag=other")
    assert "config.yaml was edited since the run began" in refused(capsys, "resume", "run")
    edit(run / "began.json", settings=settings | {"student": "mark_nets:make@tag=other"})  # who edits one may edit both
    said = refused(capsys, "resume", "run")
    assert "mark_nets:make@tag=other" in said and "run/config.yaml" in said and "--trust run" in said
    assert not mark.exists()

    run.rename("elsewhere")
    edit(Path("elsewhere/config.yaml"), student="mark_nets:make")
    edit(Path("elsewhere/began.json"), settings=settings)
    assert "elsewhere/config.yaml names code" in refused(capsys, "resume", "elsewhere")
    assert not mark.exists()
    for command in (["resume", "elsewhere", "--trust"], ["resume", "--trust", "elsewhere"]):
        again(mark)
        assert main(command) == 0
        assert mark.exists()
    again(mark)
    assert main(["evaluate", "--trust", "elsewhere", "elsewhere/none/seed-0"]) == 0
    assert "--trust nowhere" in refused(capsys, "resume", "elsewhere", "--trust", "nowhere")


@pytest.mark.parametrize(
    "changes",
    [
        {"student": "mark_nets:make"},
        {"student": "cnn@width=4", "start": "mark_nets:make:w.safetensors"},
        {"student": "cnn@width=4", "methods": [{"name": "none", "start": "mark_nets:make:w.safetensors"}]},
        {"teacher": "mark_nets:make"},
        {"teacher": "cnn,mark_nets:make"},
        {"teacher": "mark_nets:make:w.safetensors", "student": "teacher"},
        {"teacher": "cnn:w.safetensors", "label_cost": "centres:mark_nets:make:w.safetensors"},
        {"teacher": "best:ranking.json"},
        {"student": "cnn@width=4", "methods": "none,mark_nets:Loss:auto"},
        {"student": "cnn@width=4", "methods": [{"name": "mine", "terms": [{"loss": "mark_nets:Loss"}]}]},
    ],
)
def test_no_setting_of_a_run_that_came_from_elsewhere_imports_anything(mark, capsys, changes):
    torch.manual_seed(0)
    load("cnn", classes=10, input_shape=(1, 8, 8)).save("w.safetensors")
    write_ranking(Path("ranking.json"))
    run, methods = Path("run"), "none,kd" if "teacher" in changes else "none"
    base = {"data": "digits", "train_limit": 60, "epochs": 1, "seeds": 1, "jobs": 1, "batch_size": 30}
    run.mkdir()
    (run / "config.yaml").write_text(json.dumps(base | {"student": "cnn@width=4", "methods": methods} | changes))
    for command in (["resume"], ["probe"], ["analyse"], ["report"], ["watch", "--once"]):
        capsys.readouterr()
        status = main([*command, "run"])
        said = capsys.readouterr().err
        assert not mark.exists(), command
        assert command != ["resume"] or (status == 2 and "--trust" in said)


@pytest.mark.parametrize("place", ["teachers", "starts", "losses"])
def test_plan_json_imports_nothing(mark, capsys, place):
    load("cnn@width=4", classes=10, input_shape=(1, 8, 8)).save("w.safetensors")
    run = made("run", "--student=cnn@width=4", "--teacher=cnn@width=4:w.safetensors", "--methods=kd")
    plan = json.loads((run / "plan.json").read_text())
    if place == "teachers":
        plan["teachers"]["teacher"]["spec"] = "mark_nets:make:w.safetensors"
    elif place == "losses":
        plan["bound"]["kd"][0]["loss"] = "mark_nets:Loss"
    else:
        plan["starts"]["kd"] = {"spec": "mark_nets:make:w.safetensors"}
    (run / "plan.json").write_text(json.dumps(plan))
    again(mark)
    capsys.readouterr()
    status = main(["analyse", "run"])
    said = capsys.readouterr().err
    assert not mark.exists()
    assert status == 2
    assert "plan.json names code" in said


def write_ranking(path: Path) -> None:
    scores = {"score": 1.0, "interval": None, "margin": None, "margin_interval": None}
    place = {"teacher": "x", **scores, "behind": 0.0, "behind_interval": None}
    teacher = {"name": "x", "model": "mark_nets:make:w.safetensors"}
    content = {"data": "digits", "part": "train", "samples": 9, "label_cost": "learned", "recommendation": "x"}
    path.write_text(json.dumps(content | {"scores": {"logme": [place]}, "teachers": [teacher]}))


def test_a_ranking_from_elsewhere_imports_nothing_and_one_made_here_does(mark, capsys):
    torch.manual_seed(0)
    load("mark_nets:make", classes=10, input_shape=(1, 8, 8)).save("w.safetensors")
    again(mark)
    write_ranking(Path("ranking.json"))
    use = ["--student=cnn@width=4", "--methods=kd", *QUICK]
    said = refused(capsys, "distill", *use, "--teacher=best:ranking.json", "--out=a")
    assert "ranking.json names code to be imported, mark_nets:make" in said
    assert not mark.exists()
    assert main(["distill", *use, "--teacher=best:ranking.json", "--out=a", "--trust=ranking.json"]) == 0
    again(mark)
    rank = ["rank", "--data=digits", "--train-limit=60", "--bootstrap=2", "--out=ranked"]
    assert main([*rank, "--teachers=mark_nets:make:w.safetensors"]) == 0
    again(mark)
    assert main(["distill", *use, "--teacher=best:ranked/ranking.json", "--out=b"]) == 0
    assert mark.exists()


def test_a_list_of_teachers_imports_only_what_is_trusted(mark, capsys):
    torch.manual_seed(0)
    load("mark_nets:make", classes=10, input_shape=(1, 8, 8)).save("w.safetensors")
    again(mark)
    Path("teachers.yaml").write_text("- {model: 'mark_nets:make', weights: w.safetensors}\n")
    rank = ["rank", "--data=digits", "--train-limit=60", "--bootstrap=2", "--teachers=teachers.yaml", "--out=ranked"]
    assert "teachers.yaml names code" in refused(capsys, *rank)
    assert not mark.exists()
    assert main([*rank, "--trust=teachers.yaml"]) == 0
    assert mark.exists()


def test_settings_by_config_are_the_users_own_but_for_those_of_a_run(mark, capsys):
    Path("mine.yaml").write_text("student: mark_nets:make\nmethods: none\n")
    run = made("run", "--config=mine.yaml")
    assert mark.exists()
    run.rename("other")
    again(mark)
    assert "--trust other" in refused(capsys, "distill", "--config=other/config.yaml", "--out=new")
    assert not mark.exists()
    assert main(["distill", "--config=other/config.yaml", "--out=new", "--student=cnn@width=4"]) == 0


def test_a_weights_file_imports_nothing(mark):
    torch.manual_seed(0)
    load("mark_nets:make", classes=10, input_shape=(1, 8, 8)).save("w.safetensors")
    again(mark)
    with pytest.raises(
        ConfigError, match=r"w.safetensors names code to be imported, mark_nets:make.*--trust \. allows"
    ):
        load("w.safetensors")
    assert not mark.exists()
    trust.trust(Path("w.safetensors"))
    assert load("w.safetensors").num_classes == 10


def test_a_link_out_of_a_trusted_folder_is_not_trusted(mark, tmp_path):
    (tmp_path / "trusted").mkdir()
    (tmp_path / "evil").mkdir()
    (tmp_path / "trusted" / "link").symlink_to(tmp_path / "evil")
    trust.trust(tmp_path / "trusted")
    trust.found(["mark_nets:make"], tmp_path / "trusted" / "link" / "config.yaml")
    with pytest.raises(ConfigError, match="names code"):
        load_named("mark_nets:make", classes=2)
    trust.found(["mark_nets:make"], tmp_path / "trusted" / "config.yaml")
    assert load_named("mark_nets:make", classes=2, input_shape=(3, 4, 4)).num_classes == 2


def test_a_damaged_record_and_an_unwritable_home_allow_nothing_and_break_nothing(mark, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    made("run", "--student=mark_nets:make", "--methods=none", "--seeds=2", "--jobs=2")
    again(mark)
    assert "--trust run" in refused(capsys, "resume", "run")
    (tmp_path / "file").unlink()
    trust.wrote(["mark_nets:make"])
    trust.keep(Path("run"), ["mark_nets:make"])
    trust.forget()
    (record,) = tmp_path.glob("file/kantor/code/*.json")
    record.write_text("[]")
    trust.found(["mark_nets:make"], Path("run/config.yaml"))
    with pytest.raises(ConfigError, match="names code"):
        load_named("mark_nets:make", classes=2)


def test_another_file_of_plain_tensors_is_named_as_before(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="does not say what network"):
        load(str(tmp_path / "w.safetensors"))
