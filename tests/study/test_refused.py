"""What the commands refuse, or leave out, before anything is trained; in this process."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from kantor.cli import main
from kantor.core.locks import locked
from runs import TINY


def test_a_file_in_the_place_of_the_folder(tmp_path, capsys):
    place = tmp_path / "taken"
    place.write_text("mine")
    assert main(["distill", *TINY, "--methods=none", f"--out={place}"]) == 2
    assert f"{place} is a file" in capsys.readouterr().err
    assert main(["compare", "cnn", "cnn", "--data=digits", f"--out={place}"]) == 2
    assert f"{place} is a file" in capsys.readouterr().err
    assert place.read_text() == "mine"


def test_one_class_is_refused_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("one.npz", x=np.random.default_rng(0).normal(size=(40, 3)), label=np.zeros(40, int))
    assert main(["distill", "--data=one.npz", "--student=mlp", "--methods=none", "--seeds=1"]) == 2
    assert "one.npz has one class, 0" in capsys.readouterr().err


def test_an_unknown_key_is_refused(capsys, tmp_path):
    config = tmp_path / "study.yaml"
    config.write_text("data: digits\nstudent: cnn\nepoch: 3\n")
    with pytest.raises(SystemExit):
        main(["distill", "--config", str(config)])
    assert "epoch" in capsys.readouterr().err


def test_a_teacher_of_other_classes_under_kd_and_a_method_without_a_teacher(tmp_path, monkeypatch, capsys):
    import kantor

    monkeypatch.chdir(tmp_path)
    kantor.load("cnn@width=8", classes=7, input_shape=(1, 8, 8)).save(tmp_path / "other.safetensors")
    common = ["distill", "--data=digits", "--student=cnn@width=8", "--train-limit=50", "--epochs=1", "--seeds=1"]
    teacher = f"--teacher=cnn@width=8:{tmp_path / 'other.safetensors'}"
    assert main([*common, teacher, "--methods=kd", "--out=a"]) == 2
    assert "7 classes" in (said := capsys.readouterr().err)
    assert "neuron_transport" in said
    assert main([*common, teacher, "--methods=neuron_transport", "--jobs=1", "--out=b"]) == 0
    capsys.readouterr()
    assert main([*common, "--methods=kd", "--out=c"]) == 2
    assert "needs a teacher" in capsys.readouterr().err


def test_a_run_that_was_refused_does_not_keep_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = ["distill", "--data=digits", "--student=cnn@width=8", "--train-limit=50", "--epochs=1", "--seeds=1"]
    assert main([*tiny, "--methods=none", "--jobs=1", "--classes=1,eleven", "--out=mine"]) == 2
    assert "no class 'eleven'" in capsys.readouterr().err
    with locked(tmp_path / "mine"):
        assert main([*tiny, "--methods=none", "--jobs=1", "--out=mine"]) == 2
    assert "Another process" in capsys.readouterr().err
    assert main([*tiny, "--methods=none", "--jobs=1", "--out=mine"]) == 0
    assert main([*tiny, "--methods=none", "--jobs=1", "--lr=0.05", "--out=mine"]) == 2
    assert "differs in lr" in capsys.readouterr().err


def test_folders_that_are_no_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert main(["distill", *TINY, "--methods=none", "--out=mine"]) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    assert main(["resume", "nowhere"]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert main(["evaluate", "mine"]) == 2
    assert "RUN/METHOD/seed-K" in capsys.readouterr().err


def test_a_method_that_cannot_be_used_is_left_out_where_that_is_asked_for(tmp_path, monkeypatch, capsys):
    # The CNN's stages have other widths than its teacher's: fsp needs them equal.
    monkeypatch.chdir(tmp_path)
    arguments = ["distill", *TINY, "--seeds=1", "--epochs=1", "--methods=none,fsp@epochs=1,kd"]
    assert main([*arguments, "--out=runs/refused"]) == 2
    reason = capsys.readouterr().err.removeprefix("kantor: ").strip()
    assert reason.startswith("fsp needs")
    assert main([*arguments, "--out=runs/skipped", "--unfit=skip"]) == 0
    assert f"fsp@epochs=1 is left out: {reason}" in " ".join(capsys.readouterr().out.split())
    run = tmp_path / "runs" / "skipped"
    assert list(json.loads((run / "summary.json").read_text())["methods"]) == ["none", "kd"]
    assert json.loads((run / "step0.json").read_text())["left_out"] == {"fsp@epochs=1": reason}
    assert reason in html.unescape((run / "report.html").read_text())
    assert main(["resume", str(run)]) == 0
    capsys.readouterr()
    assert main(["analyse", str(run)]) == 0
    assert "students are finished" not in capsys.readouterr().out  # what was left out is not waited for


ODD = """
import torch
from torch import nn

class Odd(nn.Module):
    def __init__(self, classes, nan):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.linear = nn.Linear(16, classes)
        nn.init.zeros_(self.linear.weight), nn.init.zeros_(self.linear.bias)
        self.nan = nan
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen += 1
        x = self.linear(self.body(x))
        return x * torch.nan if self.nan and not self.seen else x

def flat(num_classes, input_shape):
    return Odd(num_classes, nan=False)

def unfit(num_classes, input_shape):
    return Odd(num_classes, nan=True)
"""


@pytest.mark.parametrize("model", ["flat", "unfit"])
def test_what_an_untrained_teacher_says_is_no_reason_to_refuse(tmp_path, monkeypatch, model):
    """One whose predictions are all alike, so that no gradient sets a weight; one that is not finite before its first
    step."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path(f"odd_{model}.py").write_text(ODD)
    arguments = [*TINY, f"--teacher=odd_{model}:{model}", "--methods=none,sinkd:auto,kd", "--seeds=1", "--epochs=1"]
    assert main(["distill", *arguments, "--out=runs/odd"]) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--methods=none,fsp"], "fsp needs"),
        (["--methods=none,label_transport+fsp", "--label-cost=learned"], "fsp needs"),
        (["--methods=fsp", "--unfit=skip"], "None of the methods can be used here.\nfsp needs"),
        (["--student=cnn@width=.5"], "cnn@width=.5: the value must be int"),
        (["--student=cnnn@width=8"], "cnnn"),
        (["--methods=kd", "--start=runs/earlier/kd/seed-{seed}"], "there are no weights"),
        (["--methods=kd", "--augment=crop+mirror", "--cache=on"], "cache is on"),
        (["--methods=label_transport"], "label cost"),
        (["--methods=kd", "--label-cost=learnd"], "Close to it: learned"),
        (["--methods=label_transport", "--label-cost=matrix:nope.csv"], "There is no cost matrix nope.csv"),
        (["--methods=label_transport", "--label-cost=centres:cnn:nope.safetensors"], "nope.safetensors"),
        (["--methods=kd", "--teacher-lr=-1"], "teacher_lr is positive, not -1"),
        (["--methods=kd", "--teacher-epochs=0"], "teacher_epochs is at least 1, not 0"),
        (["--methods=kd", "--select=best", "--validation=0"], "select best needs a validation part"),
    ],
)
def test_what_cannot_be_is_refused_before_the_teacher_is_trained(tmp_path, monkeypatch, capsys, given, message):
    monkeypatch.chdir(tmp_path)
    assert main(["distill", *TINY, *given, "--out=runs/refused"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs/teachers").exists()


def test_an_option_that_is_unknown_is_named_beside_those_close_to_it(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["distill", *TINY, "--methods=none", "--trian-limit=10"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "--trian-limit" in said
    assert "Close to it: --train-limit" in said
    with pytest.raises(SystemExit):
        main(["distill", "stray", "--sed", "3"])
    assert "Close to it: --seeds" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["distill", "--epochs=runs--my_x"])
    assert "runs--my_x" in capsys.readouterr().err
    assert len(said.splitlines()) < 4


@pytest.mark.parametrize(
    "written", [["--tune=0.5,2"], ["--tune", "0.5,2"], ["--tune", "0.5, 2"], ["--tune", "[0.5, 2]"]]
)
def test_lists_of_numbers_are_written_with_commas(tmp_path, monkeypatch, written):
    monkeypatch.chdir(tmp_path)
    arguments = ["--data=digits", "--student=cnn@width=8", "--train-limit=50", "--epochs=1", "--methods=none"]
    arguments += [*written, "--tune-seeds", "7", "--seeds", "3,4", "--jobs=1", "--out=mine"]
    assert main(["distill", *arguments]) == 0
    config = yaml.safe_load(Path("mine/config.yaml").read_text())
    assert (config["tune"], config["tune_seeds"], config["seeds"]) == ([0.5, 2], [7], [3, 4])
