"""A run goes on with what it began with, or says what is other and what to do, before a step is taken."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import kantor
from kantor.cli import main
from kantor.core.sealed_json import write_sealed_json
from kantor.models.normalise import Normalise
from kantor.study.resume import fingerprints

SEED = Path("run/kd/seed-0")
REMEDIES = ("put it back", "Bring it back", "write the settings anew", "Delete ", "delete ")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """A folder with data, a teacher, and a finished run."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        draw = np.random.default_rng(0)
        images = draw.integers(0, 255, (120, 8, 8, 1), dtype=np.uint8)
        labels = np.arange(120) % 3
        images[labels == 1, :4] //= 2
        images[labels == 2, 4:] //= 2
        write_data(images, labels)
        torch.manual_seed(0)
        kantor.load("cnn@width=8", classes=3, input_shape=(1, 8, 8)).save("teacher.safetensors")
        arguments = ["--data", "data.npz", "--teacher", "cnn@width=8:teacher.safetensors", "--student", "cnn@width=8"]
        more = ["--methods", "none,kd", "--seeds", "1", "--epochs", "2", "--batch-size", "20", "--lr", "0.01"]
        assert main(["distill", *arguments, *more, "--jobs", "1", "--device", "cpu", "--out", "run"]) == 0
    return folder


def write_data(images, labels) -> None:
    np.savez("data.npz", train_images=images[:90], train_labels=labels[:90], test_images=images[90:],
             test_labels=labels[90:])  # fmt: skip


@pytest.fixture
def folder(kept, tmp_path, monkeypatch) -> Path:
    """A copy of it, where we are."""
    shutil.copytree(kept, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    facts = json.loads(Path("run/environment.json").read_text())
    Path("run/environment.json").write_text(json.dumps({**facts, "directory": str(Path.cwd())}))
    return tmp_path / "copy"


def refused(capsys, *says: str) -> str:
    """Resume, and be refused with a remedy; nothing was trained."""
    there = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*.pt")}
    capsys.readouterr()
    assert main(["resume", "run"]) == 2
    said = capsys.readouterr().err
    for text in says:
        assert text in said
    assert any(remedy in said for remedy in REMEDIES), said
    assert {path: path.stat().st_mtime_ns for path in Path("run").rglob("*.pt")} == there
    return said


def unfinished() -> None:
    """As if the last student had been killed after its last checkpoint."""
    (SEED / "result.json").unlink()


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("place", ["kd/seed-1", "none/seed-0"])
def test_student_in_the_place_of_another(folder, capsys, place):
    shutil.rmtree(Path("run") / place, ignore_errors=True)
    shutil.copytree(SEED, Path("run") / place)
    said = refused(capsys, f"run/{place} holds the student that was trained as kd/seed-0")
    assert "resume" in said


def test_nothing_changed(folder):
    before = (SEED / "student.safetensors").read_bytes()
    assert main(["resume", "run"]) == 0
    unfinished()
    assert main(["resume", "run"]) == 0
    assert (SEED / "student.safetensors").read_bytes() == before


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("what", ["images", "labels"])
def test_other_data(folder, capsys, part, what):
    with np.load("data.npz") as arrays:
        content = dict(arrays)
    values = content[f"{part}_{what}"]
    values[:20] = (values[:20] + 1) % 3
    np.savez("data.npz", **content)
    refused(capsys, "the data", part)


def test_another_teacher_in_the_file(folder, capsys):
    torch.manual_seed(1)
    kantor.load("cnn@width=8", classes=3, input_shape=(1, 8, 8)).save("teacher.safetensors")
    refused(capsys, "the teacher's weights (teacher)")


def test_a_teacher_of_the_same_weights_that_sees_its_inputs_otherwise(folder, capsys):
    teacher = kantor.load("cnn@width=8:teacher.safetensors")
    teacher.normalise = Normalise.of([0.3], [0.1])
    teacher.save("teacher.safetensors")
    unfinished()
    refused(capsys, "what the network is made by", "(teacher)")


def test_an_edited_setting(folder, capsys):
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("lr: 0.01\n", "lr: 0.02\n", 1))
    refused(capsys, "config.yaml was edited", "lr is 0.02 and was 0.01")


@pytest.mark.parametrize("left", ["finished", "in the middle", "not begun"])
def test_a_setting_edited_in_both_files(folder, capsys, left):
    """No student goes beside one of other settings, whatever the two files agree on."""
    path, began = Path("run/config.yaml"), Path("run/began.json")
    path.write_text(path.read_text().replace("lr: 0.01\n", "lr: 0.02\n", 1))
    kept = json.loads(began.read_text())
    kept["settings"]["lr"] = 0.02
    began.write_text(json.dumps(kept))
    if left != "finished":
        (SEED / "result.json").unlink()
    if left == "not begun":
        shutil.rmtree(SEED)
    refused(capsys, "run/none/seed-0 was trained with other settings" if left != "finished" else "run/kd/seed-0")
    assert not SEED.exists() or left != "not begun"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("run/none/seed-0/result.json", '"accuracy": ', '"accuracy": 0.99, "was": '),
        ("run/none/seed-0/result.json", '"settings"', '"other"'),
        ("run/plan.json", '"threads": ', '"threads": 1'),
        ("run/plan.json", '"value": ', '"value": 1'),
    ],
)
@pytest.mark.parametrize("left", ["finished", "in the middle"])
def test_what_was_found_is_not_edited(folder, capsys, file, old, new, left):
    """Neither what a student reached nor what step 0 decided."""
    if left == "in the middle":
        unfinished()
    path = Path(file)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    refused(capsys, f"{file} was changed or damaged")
    assert main(["probe", "run"]) == 2
    assert "was changed or damaged" in capsys.readouterr().err


def test_what_results_do_not_depend_on_may_be_edited(folder):
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("jobs: 1\n", "jobs: 2\n"))
    assert main(["resume", "run"]) == 0


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1, 0.35, 0.5, 0.77, 0.97])
def test_settings_cut_short(folder, capsys, share):
    path = Path("run/config.yaml")
    path.write_text(path.read_text()[: int(share * len(path.read_text()))])
    refused(capsys, "config.yaml", "began.json holds them")


@pytest.mark.parametrize(
    "command", [["evaluate", "run/kd/seed-0"], ["probe", "run"], ["analyse", "run"], ["watch", "run", "--once"]]
)
def test_settings_cut_short_are_not_read_by_who_only_looks(folder, capsys, command):
    path = Path("run/config.yaml")
    path.write_text(path.read_text()[: len(path.read_text()) // 2])
    assert main(command) == 2
    assert "began.json holds them" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "run/kd/seed-0", "run/none/seed-0", "--data", "data.npz", "--out", "compared"],
        ["compare", "cnn@width=8:run/kd/seed-0/student.safetensors", "cnn", "--data", "data.npz", "--out", "compared"],
        ["evaluate", "--model", "run/kd/seed-0/student.safetensors", "--data", "data.npz"],
        ["rank", "--data", "data.npz", "--teachers", "run/kd/seed-0,run/none/seed-0", "--out", "ranked"],
        ["export", "run/kd/seed-0/student.safetensors", "--output", "other.safetensors"],
    ],
    ids=lambda command: f"{command[0]} {command[1]}",
)
def test_whoever_reads_a_finished_student_looks_at_its_seal(folder, capsys, command):
    flip(Path("run/kd/seed-0/student.safetensors"), 0.9)
    status = main(command)
    said = " ".join("".join(capsys.readouterr()).split())
    assert "was changed or damaged since its training was finished" in said
    assert status == (0 if command[0] == "rank" else 2)  # a ranking says which teacher cannot be judged


def test_threads_that_no_machine_has(folder, capsys):
    path = Path("run/plan.json")
    for threads in (0, -1, 10**9):
        content = json.loads(path.read_text()) | {"threads": threads}
        content.pop("digest", None)  # as earlier versions wrote it
        path.write_text(json.dumps(content))
        assert main(["probe", "run"]) == 2
        assert f"threads is {threads}" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["none", "kd"])
@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "flipped"])
@pytest.mark.parametrize("name", ["student.safetensors", "metrics.jsonl"])
def test_a_finished_students_files(folder, capsys, method, how, name):
    path = Path("run") / method / "seed-0" / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "flipped":
        flip(path, 0.7)
    else:
        path.write_bytes(b"" if how == "empty" else content[:-20])
    refused(capsys, str(path), "is missing" if how == "missing" else "was changed or damaged")
    if name == "student.safetensors":
        for command in ("evaluate", "export"):
            assert main([command, str(path.parent)]) == 2
            assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_flipped_bit_in_a_checkpoint(folder, capsys, name, place):
    unfinished()
    flip(SEED / "checkpoints" / name, place)
    refused(capsys, str(SEED / "checkpoints" / name), "damaged")


@pytest.mark.parametrize("left", [0, 100, 5000])
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_checkpoint_cut_short(folder, capsys, name, left):
    unfinished()
    path = SEED / "checkpoints" / name
    path.write_bytes(path.read_bytes()[:left])
    refused(capsys, str(path), "cut short")


def test_the_best_is_missing(folder, capsys):
    unfinished()
    (SEED / "checkpoints" / "best.pt").unlink()
    refused(capsys, "best.pt is missing", str(SEED))


@pytest.mark.parametrize("how", ["missing", "shortened", "edited"])
def test_metrics_that_do_not_go_with_their_checkpoint(folder, capsys, how):
    unfinished()
    path = SEED / "metrics.jsonl"
    if how == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text()[:-30] if how == "shortened" else path.read_text().replace("1", "2", 1))
    refused(capsys, str(path), "is not what its checkpoint goes with")


def test_after_the_remedy_the_run_ends_as_it_did(folder, capsys):
    before = (SEED / "student.safetensors").read_bytes()
    flip(SEED / "student.safetensors", 0.5)
    refused(capsys)
    shutil.rmtree(SEED)
    assert main(["resume", "run"]) == 0
    assert (SEED / "student.safetensors").read_bytes() == before


def test_export_over_the_student_leaves_it_as_it_was(folder, capsys, monkeypatch):
    """Also where what would be written now has other bytes, as a configuration of transformers' that was read back."""
    facts = kantor.models.Model.facts
    monkeypatch.setattr(kantor.models.Model, "facts", lambda model: facts(model) | {"more": 1})
    before = (SEED / "student.safetensors").read_bytes()
    assert main(["export", str(SEED)]) == 0
    assert "The weights alone are in run/kd/seed-0/student.safetensors already" in capsys.readouterr().out
    assert (SEED / "student.safetensors").read_bytes() == before
    assert main(["resume", "run"]) == 0


def test_a_run_of_an_older_version_is_taken_as_it_is_found(folder):
    Path("run/began.json").unlink()
    assert main(["resume", "run"]) == 0
    assert {"settings", "data", "teachers", "student"} <= set(json.loads(Path("run/began.json").read_text()))


def test_files_that_methods_start_from(folder, capsys):
    Path("start.safetensors").write_bytes(Path("teacher.safetensors").read_bytes())
    arguments = ["--data", "data.npz", "--student", "cnn@width=8", "--start", "cnn@width=8:start.safetensors"]
    more = ["--methods", "none", "--seeds", "1", "--epochs", "1", "--batch-size", "20", "--jobs", "1"]
    assert main(["distill", *arguments, *more, "--device", "cpu", "--out", "begun"]) == 0
    torch.manual_seed(1)
    kantor.load("cnn@width=8", classes=3, input_shape=(1, 8, 8)).save("start.safetensors")
    assert main(["resume", "begun"]) == 2
    assert "the file (start.safetensors) is not what it was" in capsys.readouterr().err


def test_another_machine_is_said_and_threads_stay(folder, capsys, monkeypatch):
    facts = json.loads(Path("run/environment.json").read_text())
    facts["packages"]["torch"], facts["cores"] = "1.0", 64
    Path("run/environment.json").write_text(json.dumps(facts))
    plan = json.loads(Path("run/plan.json").read_text())
    del plan["digest"]
    write_sealed_json(Path("run/plan.json"), {**plan, "threads": 2})
    monkeypatch.setattr(fingerprints, "cores", lambda: 1)
    assert main(["resume", "run"]) == 0
    said = capsys.readouterr().out
    assert "torch 1.0 then" in said
    assert "train on 2 threads, and there are 1 cores" in said
    assert json.loads(Path("run/plan.json").read_text())["threads"] == 2
    assert len(json.loads(Path("run/environment.json").read_text())["resumed"]) == 1


NET = """
from edited_part import WIDTH
from torch import nn


def make(num_classes, input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[-1] ** 2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, num_classes))
"""


def test_a_module_of_ones_own_that_was_edited(folder, capsys, monkeypatch):
    Path("edited_net.py").write_text("raise ValueError('not done yet')")
    Path("edited_part.py").write_text("WIDTH = 8")
    monkeypatch.syspath_prepend(str(folder))
    arguments = ["--data", "data.npz", "--student", "edited_net:make", "--methods", "none", "--seeds", "1"]
    distill = ["distill", *arguments, "--epochs", "1", "--jobs", "1", "--device", "cpu", "--out", "begun"]
    with pytest.raises(ValueError, match="not done yet"):
        main(distill)
    Path("edited_net.py").write_text(NET)  # nothing was trained by what failed: it is no other run
    assert main(distill) == 0
    assert main(["resume", "begun"]) == 0
    for file, text, edited in (
        ("edited_net", NET, NET.replace("nn.ReLU()", "nn.Tanh()")),
        ("edited_part", "WIDTH = 8", "WIDTH = 9"),  # which it imports
    ):
        Path(f"{file}.py").write_text(edited)
        for again in (["resume", "begun"], distill):
            assert main(again) == 2
            said = capsys.readouterr().err
            assert f"the module ({file}) is not what it was" in said
            assert "take its entry out of begun/began.json" in said
        Path(f"{file}.py").write_text(text)
    Path("edited_net.py").write_text(NET.replace("nn.ReLU()", "nn.Tanh()"))
    began = json.loads(Path("begun/began.json").read_text())
    Path("begun/began.json").write_text(json.dumps({key: x for key, x in began.items() if key != "code"}))
    assert main(["resume", "begun"]) == 0  # as a run of an earlier version
