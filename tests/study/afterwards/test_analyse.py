"""``kantor analyse`` on a study of seconds: what it says is what files and activations say."""

import json
import shutil
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

import kantor
from kantor.analysis import activations, linear_cka, neuron_distance
from kantor.cli import main
from kantor.data.part import sample
from kantor.results.statistics import paired_difference, t_interval

TINY = [
    "--data=digits", "--teacher=cnn@width=16", "--teacher-epochs=2", "--train-limit=200", "--batch-size=25",
    "--epochs=3", "--seeds=2", "--jobs=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A finished and analysed study: a student of the teacher's width, two methods, two seeds."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = [*TINY, "--student=cnn@width=16", "--methods=none,neuron_transport", "--out=runs/tiny"]
        assert main(["distill", *arguments]) == 0
        assert main(["analyse", "runs/tiny", "--top=3"]) == 0
    return folder / "runs" / "tiny"


@pytest.fixture(scope="module")
def content(study) -> dict:
    return json.loads((study / "analysis.json").read_text())


def test_the_records_are_measured(study, content):
    for method in ("none", "neuron_transport"):
        found = content["methods"][method]["recorded"][-1]  # of three stages
        assert len(content["methods"][method]["recorded"]) == 3
        assert found["epochs"] == [0, 1, 2, 3]
        for place, seed in enumerate(content["methods"][method]["seeds"]):
            for k, epoch in enumerate(found["epochs"]):
                with np.load(study / method / f"seed-{seed}" / "plans" / f"epoch-{epoch:03d}.npz") as record:
                    plan, cost = record["plan_2"].astype(float), record["cost_2"].astype(float)
                    assert found["teacher"] == str(record["teacher_layer_2"])
                plan /= plan.sum()
                measures = {name: values["seeds"][place][k] for name, values in found["measures"].items()}
                assert measures["diagonal"] == pytest.approx(np.trace(plan), abs=1e-6)
                assert measures["distance"] == pytest.approx((plan * cost).sum(), abs=1e-6)
                identity = np.trace(cost) / len(cost)
                assert measures["identity"] == pytest.approx(identity, abs=1e-6)
                assert measures["gap"] == pytest.approx(1 - measures["distance"] / identity, abs=1e-6)
        assert found["measures"]["changed_since_first"]["seeds"][0][0] == 0.0
        assert found["measures"]["changed_since_previous"]["seeds"][0][0] is None


def test_means_and_paired_differences(content):
    for kind in ("recorded", "final"):
        rows = {
            name: (found[kind] if kind == "recorded" else found[kind]["teacher"]["pairs"])[-1]["measures"]["distance"]
            for name, found in content["methods"].items()
        }
        ours, alone = rows["neuron_transport"], rows["none"]
        assert ours["mean"] == pytest.approx(fmean(ours["last"]))
        assert ours["interval"] == pytest.approx(t_interval(ours["last"]))
        mean, interval = paired_difference(ours["last"], alone["last"])
        assert ours["difference"]["mean"] == pytest.approx(mean)
        assert ours["difference"]["interval"] == pytest.approx(interval)
        assert alone["difference"] is None
        # What the loss pulls together is together.
        assert ours["mean"] < alone["mean"]


def test_the_final_students_layers(study, content):
    data = kantor.open_data("digits", train_limit=200)
    part = sample(data.part("validation"), 512)
    assert content["probe"] == {"part": "validation", "samples": len(part)}
    teacher_spec = json.loads((study / "plan.json").read_text())["teachers"]["teacher"]["spec"]
    layers = ["layer1", "layer2", "layer3"]
    theirs = activations(kantor.load(str(study.parents[1] / teacher_spec.partition(":")[2])), part, layers)
    found = content["methods"]["neuron_transport"]["final"]["teacher"]
    assert found["layers"] == {"teacher": layers, "student": layers}
    ours = [
        activations(kantor.load(str(study / "neuron_transport" / f"seed-{s}" / "student.safetensors")), part, layers)
        for s in (0, 1)
    ]
    for i, x in enumerate(layers):
        for j, y in enumerate(layers):
            want = fmean(neuron_distance(theirs[x], own[y]) for own in ours)
            assert found["distance"][i][j] == pytest.approx(want, abs=1e-5)
            assert found["cka"][i][j] == pytest.approx(fmean(linear_cka(theirs[x], own[y]) for own in ours), abs=1e-5)
    file = study / content["methods"]["neuron_transport"]["neurons"][1]
    with np.load(file) as arrays:
        top = part.ids[ours[1]["layer3"].argmax(0).numpy()]
        moved = top != arrays["top_b_2"][:, 0]
        best = ours[1]["layer3"].max(0).values
        ties = (ours[1]["layer3"] == best).sum(0).numpy() > 1
        assert not (moved & ~ties).any()
        assert arrays["top_a_2"].shape == (16, 3)
        shown = {int(i) for name in ("top_a_0", "top_b_0") for i in arrays[name].ravel()}
    assert shown <= set(content["samples"]["teacher"]["ids"])
    assert (study / content["samples"]["teacher"]["file"]).is_file()


def test_analysing_changes_no_student_and_can_be_repeated(study, content):
    before = {p: p.read_bytes() for p in study.rglob("*") if p.is_file() and p.suffix in (".safetensors", ".npz")}
    assert main(["analyse", str(study), "--top=3"]) == 0  # from elsewhere: its paths are those of where it ran
    assert json.loads((study / "analysis.json").read_text()) == content
    assert all(path.read_bytes() == held for path, held in before.items())
    assert torch.is_grad_enabled()


def test_bad_input(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    assert main(["analyse", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert main(["analyse", str(study), "--top=0"]) == 2
    assert "top is at least 1" in capsys.readouterr().err
    damaged = tmp_path / "damaged"
    shutil.copytree(study, damaged)
    record = damaged / "neuron_transport" / "seed-0" / "plans" / "epoch-001.npz"
    record.write_bytes(record.read_bytes()[: record.stat().st_size // 2])
    for command in ("analyse", "report"):
        assert main([command, str(damaged)]) == 2
        assert "epoch-001.npz cannot be read" in capsys.readouterr().err
    record.unlink()
    assert main(["analyse", str(damaged)]) == 0
    (damaged / "plan.json").write_text("{")
    assert main(["analyse", str(damaged)]) == 2
    assert "plan.json is not valid JSON" in capsys.readouterr().err
    begun = tmp_path / "begun"
    shutil.copytree(study, begun, ignore=shutil.ignore_patterns("result.json"))
    assert main(["analyse", str(begun)]) == 2
    assert "no finished student" in capsys.readouterr().err


def test_students_that_were_finished_later_are_said(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    run = tmp_path / "later"
    shutil.copytree(study, run)
    result = run / "neuron_transport" / "seed-1" / "result.json"
    held = result.read_bytes()
    result.unlink()
    assert main(["analyse", str(run)]) == 0
    assert "3 of 4 students are finished" in capsys.readouterr().out
    assert "3 of 4 students were finished when this was made" in (run / "report.html").read_text()
    result.write_bytes(held)
    assert main(["report", str(run)]) == 0
    assert "1 of 4 students were finished after this was made" in (run / "report.html").read_text()
    assert main(["analyse", str(run)]) == 0
    assert "when this was made" not in (run / "report.html").read_text()


def test_data_that_changed_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (np.eye(3)[y] + 0.3 * draw.normal(size=(240, 3))).astype(np.float32)
    np.savez("d.npz", x=x, y=y)
    fast = ["--teacher-epochs=1", "--epochs=1", "--seeds=1", "--jobs=1", "--batch-size=32", "--out=runs/d"]
    arguments = ["--data=d.npz", "--label=y", "--teacher=mlp", "--student=mlp", "--methods=neuron_transport"]
    assert main(["distill", *arguments, *fast]) == 0
    assert main(["analyse", "runs/d"]) == 0
    for changed in ({"x": x[:150], "y": y[:150]}, {"x": x + 1, "y": y}):  # fewer samples, and as many others
        np.savez("d.npz", **changed)
        assert main(["analyse", "runs/d"]) == 2
        assert "the data changed since" in capsys.readouterr().err


def test_without_records_and_with_unequal_widths(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [*TINY, "--student=cnn@width=8", "--methods=kd", "--record-plans=every=0", "--seeds=1"]
    arguments += ["--epochs=1", "--out=runs/a"]
    assert main(["distill", *arguments]) == 0
    capsys.readouterr()
    assert main(["analyse", "runs/a"]) == 0
    assert "No plans were recorded" in capsys.readouterr().out
    found = json.loads(Path("runs/a/analysis.json").read_text())["methods"]["kd"]
    assert found["recorded"] == []
    pairs = found["final"]["teacher"]["pairs"]
    assert pairs[-1]["widths"] == [16, 8]
    assert pairs[-1]["measures"]["diagonal"]["mean"] is None
    assert pairs[-1]["measures"]["distance"]["interval"] is None


def test_a_teacher_that_sees_something_else(tmp_path, monkeypatch):
    """Views: rows are matched by sample, and there are no pictures of vectors."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    y = np.arange(240) % 3
    a = (np.eye(3)[y] + 0.3 * draw.normal(size=(240, 3))).astype(np.float32)
    np.savez(tmp_path / "two.npz", a=a, b=(a @ draw.normal(size=(3, 5))).astype(np.float32), y=y)
    arguments = ["--data=two.npz", "--views=teacher=a,student=b", "--label=y", "--teacher=mlp", "--student=mlp"]
    fast = ["--teacher-epochs=1", "--epochs=1", "--seeds=1", "--jobs=1", "--batch-size=32", "--out=runs/v"]
    assert main(["distill", *arguments, "--methods=none,kd", *fast]) == 0
    assert main(["analyse", "runs/v"]) == 0
    found = json.loads(Path("runs/v/analysis.json").read_text())
    assert found["samples"] is None
    assert found["methods"]["kd"]["final"]["teacher"]["distance"]
