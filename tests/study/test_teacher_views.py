"""Several teachers, each with a view of its own: numbers of other widths, so that none can be taken for another's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import kantor
from kantor.cli import main
from kantor.core.errors import ConfigError
from kantor.data import open_data
from kantor.objective import Read
from kantor.report.pictures import pictures
from kantor.report.run import read_run
from kantor.study import Study
from kantor.study.execution.student import Workbench
from kantor.study.settings.resolved import ResolvedStudy
from kantor.training import evaluate
from kantor.training.batches import training_batches
from tests.study.runs import assert_same_student

LOGITS = Read("logits")
WIDTHS = {"cheap": 5, "scan": 12, "xray": 9, "twin": 12}
TRAIN = ["--batch-size=30", "--epochs=2", "--seeds=1", "--jobs=1", "--record-plans=every=2", "--teacher-epochs=3"]
OWN = ["distill", "--data=patients.npz", "--student=mlp@hidden=8", *TRAIN]
TWO = [*OWN, "--teacher=mlp@hidden=16,mlp@hidden=24", "--views=student=cheap,mlp-1=scan,mlp-2=xray"]


def patients(path: Path, missing: tuple[str, ...] = ()) -> None:
    """Two parts of four views; the test part lacks ``missing``."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 90), ("test", 45)):
        label = np.arange(n) % 3
        arrays[f"label_{part}"] = label
        for name, width in WIDTHS.items():
            values = rng.normal(size=(n, width)) + 2 * np.eye(3, width)[label]
            if part == "train" or name not in missing:
                arrays[f"{name}_{part}"] = values.astype(np.float32)
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Cached and live, the same study: feature losses, predictions, and label transport over two teachers."""
    folder = tmp_path_factory.mktemp("views")
    patients(folder / "patients.npz")
    methods = "--methods=none,kd+neuron_transport,label_transport"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for cache in ("on", "off"):
            given = [*TWO, methods, "--label-cost=learned", f"--cache={cache}", f"--out=runs/{cache}"]
            assert main(given) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def summary(run: str) -> dict:
    return json.loads(Path(run, "summary.json").read_text())


def test_each_teacher_is_trained_and_scored_on_its_own_view(here):
    one, two = summary("runs/on")["teachers"]
    for teacher, view, width in ((one, "scan", 16), (two, "xray", 24)):
        assert teacher["sees"] == view and teacher["saw"].endswith(f"({view})")
        model = kantor.load(teacher["spec"])
        assert model.input_shape == (WIDTHS[view],)
        assert {tuple(p.shape) for p in model.parameters()} >= {(width, WIDTHS[view])}
        data = open_data("patients.npz", views={"student": view, "teacher": view})
        assert data.test is not None
        assert teacher["accuracy"] == evaluate(model, data.test).metrics["accuracy"]
    assert len(list(Path("runs/teachers").glob("*/teacher.safetensors"))) == 2  # the live run found them


def test_live_and_cached_are_the_same_to_the_bit(here):
    for method in ("kd+neuron_transport", "label_transport"):
        assert_same_student(Path("runs/on", method, "seed-0"), Path("runs/off", method, "seed-0"))


@pytest.mark.parametrize("run", ["on", "off"])
def test_outputs_are_those_of_the_network_on_its_own_view(here, run):
    bench = Workbench(Path("runs", run))
    batch = next(training_batches(bench.data, bench.config, 0, transfers=True).epoch(0))
    assert batch.ids is not None
    with np.load("patients.npz") as arrays:
        for name, view in (("mlp-1", "scan"), ("mlp-2", "xray")):
            model = kantor.load(bench.plan.teachers[name]["spec"]).eval()
            with torch.no_grad():
                want = model(torch.from_numpy(arrays[f"{view}_train"][batch.ids.numpy()]))
            torch.testing.assert_close(bench.teachers[name].outputs(batch, [LOGITS])[LOGITS], want)


def test_step_0_says_what_each_sees(here, capsys):
    said = Path("runs/on/step0.json").read_text()
    step0 = json.loads(said)
    assert step0["data"]["views"] == {"student": "cheap", "mlp-1": "scan", "mlp-2": "xray"}
    assert step0["data"]["input_shapes"] == {"student": [5], "mlp-1": [12], "mlp-2": [9]}
    seen = [teacher["sees"] for teacher in step0["methods"]["label_transport"]["teachers"]]
    assert seen == ["mlp-1 [12]", "mlp-2 [9]"]
    assert main([*TWO, "--methods=kd", "--epochs=1", "--out=runs/said"]) == 0
    printed = capsys.readouterr().out
    assert "Teacher mlp-2: mlp@hidden=24, sees xray, trained on 81 samples (xray)" in printed
    assert "Teacher mlp-1: " in printed and "sees mlp-1 [12]" in printed


def test_analyse_and_the_page(here):
    assert main(["analyse", "runs/on"]) == 0
    final = json.loads(Path("runs/on/analysis.json").read_text())["methods"]["kd+neuron_transport"]["final"]
    assert [final[name]["pairs"][-1]["widths"] for name in ("mlp-1", "mlp-2")] == [[16, 8], [24, 8]]
    page = Path("runs/on/report.html").read_text()
    assert "sees scan" in page and "sees xray" in page


def test_resume_ends_where_the_run_did(here):
    shutil.copytree("runs/on", "runs/again")
    seed = Path("runs/again/kd+neuron_transport/seed-0")
    shutil.rmtree("runs/again/label_transport/seed-0")
    for file in ("result.json", "student.safetensors"):
        (seed / file).unlink()
    assert main(["resume", "runs/again"]) == 0
    for method in ("kd+neuron_transport", "label_transport"):
        assert_same_student(Path("runs/again", method, "seed-0"), Path("runs/on", method, "seed-0"))


def test_the_same_weights_on_two_views_have_two_caches(here):
    """Equal weights and widths: only the view tells the two apart, and the third shares a cache with the first."""
    weights = Path(summary("runs/on")["teachers"][0]["spec"].partition(":")[2])
    for name in ("mri", "ct", "pet"):
        shutil.copy(weights, f"{name}.safetensors")
    given = [*OWN, "--teacher=mri.safetensors,ct.safetensors,pet.safetensors", "--methods=kd", "--cache=on"]
    assert main([*given, "--views=student=cheap,teacher=scan,ct=twin", "--out=same/a"]) == 0
    bench = Workbench(Path("same/a"))
    assert bench.data.train.input_shapes == {"student": (5,), "mri": (12,), "ct": (12,), "pet": (12,)}
    batch = next(training_batches(bench.data, bench.config, 0, transfers=True).epoch(0))
    assert batch.inputs["mri"] is batch.inputs["pet"]
    mri, ct, pet = (bench.teachers[name].outputs(batch, [LOGITS])[LOGITS] for name in ("mri", "ct", "pet"))
    assert torch.equal(mri, pet) and not torch.allclose(mri, ct)
    of_layer = [json.loads(file.read_text())["about"]["layer"] for file in Path("same/cache").glob("*/cache.json")]
    assert (
        of_layer.count("logits") == 4
    )  # two views of the training part, and of the samples that plans are recorded on
    scored = {teacher["name"]: teacher["accuracy"] for teacher in summary("same/a")["teachers"]}
    assert scored["mri"] == scored["pet"]


def test_a_test_part_without_one_teachers_view(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    patients(tmp_path / "patients.npz", missing=("scan",))
    given = [*OWN, "--teacher=mlp@hidden=16,mlp@hidden=24", "--views=student=cheap,teacher=xray,mlp-1=scan"]
    assert main([*given, "--methods=none,neuron_transport", "--out=a"]) == 0
    found = summary("a")
    assert found["data"]["training_only"] == "teacher mlp-1's view; test do without it"
    one, two = found["teachers"]
    assert one["accuracy"] is None and 0 < two["accuracy"] < 1
    assert main(["evaluate", "a/neuron_transport/seed-0"]) == 0
    assert main(["probe", "a"]) == 0
    assert main(["analyse", "a"]) == 0


def test_what_channels_are_worth_is_measured_on_each_teachers_view(here):
    given = ["--student=mlp@hidden=16", "--teacher=mlp@hidden=16,mlp@hidden=16", "--methods=delta:0.1"]
    assert main([*TWO, *given, "--out=runs/delta"]) == 0
    with np.load("runs/delta/channel-worth.npz") as worth:
        assert {key.partition("/")[0] for key in worth.files} == {"mlp-1", "mlp-2"}


def test_a_mapping_in_yaml(here):
    Path("study.yaml").write_text(
        "data: patients.npz\nstudent: mlp@hidden=8\nteacher: mlp@hidden=16,mlp@hidden=24\nmethods: kd\n"
        "views:\n  student: cheap\n  mlp-1: scan\n  mlp-2: xray\n"
    )
    assert main(["distill", "--config=study.yaml", *TRAIN, "--out=runs/yaml"]) == 0
    assert [teacher["sees"] for teacher in summary("runs/yaml")["teachers"]] == ["scan", "xray"]
    assert main(["resume", "runs/yaml"]) == 0


def views(given, teacher: str | None = "mri.safetensors,ct.safetensors") -> dict[str, str] | None:
    return ResolvedStudy(Study(data="patients.npz", student="mlp", teacher=teacher, views=given)).views


@pytest.mark.slow
def test_pictures_of_every_view(tmp_path, monkeypatch):
    """The student and the first teacher see the same, two others the same luminance: two sheets, whose is said."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label = np.arange(120) % 3
    photo = rng.integers(0, 200, (120, 8, 8, 3)) + 55 * (np.arange(3) == label[:, None])[:, None, None]
    np.savez("photos.npz", photo=photo.astype(np.uint8), label=label)
    given = ["distill", "--data=photos.npz", "--student=cnn@width=8", "--teacher=cnn@width=8,cnn@width=8,cnn@width=16"]
    given += ["--views=student=photo,teacher=luminance,cnn-1=photo", "--methods=neuron_transport", "--out=a"]
    assert main([*given, *TRAIN, "--epochs=3"]) == 0
    assert json.loads(Path("a/plan.json").read_text())["cached"]  # and mirrored alike
    with np.load("a/plan-samples.npz") as probe:
        assert set(probe.files) == {"ids", "targets", "fingerprint", "student", "teacher/cnn-2", "teacher/cnn-3"}
        assert probe["student"].shape[-1] == 3 and probe["teacher/cnn-3"].shape[-1] == 1
    (found,) = pictures([read_run(Path("a"))], 10**7)
    assert found is not None and len(found.sheets) == 2
    assert found.index["of"] == {"student": "student", "cnn-2": "teacher-1", "cnn-3": "teacher-1"}
    assert main(["analyse", "a"]) == 0
    samples = json.loads(Path("a/analysis.json").read_text())["samples"]
    files = {role: sheet["file"] for role, sheet in samples.items()}
    assert files["student"] == files["cnn-1"] != files["cnn-2"] == files["cnn-3"]
    with Image.open(f"a/{files['cnn-3']}") as image:
        assert image.mode == "L"


def test_which_view_is_whose():
    assert views(None) is None
    assert views("student=a, teacher=b") == {"student": "a", "teacher": "b"}
    assert views("teacher=b,student=a", teacher=None) == {"teacher": "b", "student": "a"}
    assert views("mri=b,student=a,ct=c") == {"student": "a", "mri": "b", "ct": "c"}
    assert views({"student": "a", "teacher": "small@side=4", "ct": "c"}) == {
        "student": "a",
        "mri": "small@side=4",
        "ct": "c",
    }
    # Without views of their own, what teachers are called does not matter.
    assert views("student=a,teacher=b", "x/student.safetensors,teacher.safetensors") == {"student": "a", "teacher": "b"}


@pytest.mark.parametrize(
    ("given", "teacher", "says"),
    [
        ("student=a,mir=b,ct=c", "mri.safetensors,ct.safetensors", "no known teacher: 'mir'. Close to it: mri"),
        ("student=a,mri=b", "mri.safetensors,ct.safetensors", "nothing of teacher ct: add ct=NAME, or teacher=NAME"),
        ("student=a", "mri.safetensors,ct.safetensors", "nothing of the teacher: add teacher=NAME."),
        ("mri=b,ct=c", "mri.safetensors,ct.safetensors", "nothing of the student: add student=NAME"),
        ("student=a,teacher=d,mri=b,ct=c", "mri.safetensors,ct.safetensors", "names every teacher, so none sees teac"),
        ("student=a,mlp=b", "mlp@hidden=16", "no known teacher: 'mlp'. There are: student, teacher."),
        ("student=a,mri=b", None, "no known teacher: 'mri'"),
        ("student=a,mri=b,teacher=c", "mri.safetensors,teacher.safetensors", "called 'teacher', and so is a role"),
        ("student=a,mri=b,teacher=c", "mri.safetensors,student.safetensors", "called 'student', and so is a role"),
        ("student=a,mri=b,mri=c", "mri.safetensors,ct.safetensors", "views is written teacher=NAME"),
        ("student=a,mri=", "mri.safetensors,ct.safetensors", "views is written teacher=NAME"),
        ("student", "mri.safetensors,ct.safetensors", "views is written teacher=NAME"),
    ],
)
def test_refused(given, teacher, says):
    with pytest.raises(ConfigError, match=says.replace(".", r"\.")):
        views(given, teacher)


def test_refused_before_there_is_a_run(here, capsys):
    given = [*OWN, "--teacher=mlp@hidden=16,mlp@hidden=24", "--methods=kd", "--out=refused/a"]
    for text, says in (
        ("student=cheap,mlp1=scan,mlp-2=xray", "'mlp1'. Close to it: mlp-1, mlp-2."),
        ("student=cheap,mlp-1=scan", "nothing of teacher mlp-2"),
    ):
        assert main([*given, f"--views={text}"]) == 2
        assert says in capsys.readouterr().err
        assert not Path("refused").exists()
    centres = ["--views=student=cheap,mlp-1=scan,mlp-2=xray", "--methods=label_transport"]
    spec = summary("runs/on")["teachers"][0]["spec"]
    assert main([*given, *centres, f"--label-cost=centres:{spec}"]) == 2
    assert "nothing says which of them the model of the class centres sees" in capsys.readouterr().err
    assert main([*given, "--views=student=cheap,mlp-1=scna,mlp-2=xray"]) == 2
    assert "no view 'scna', asked for teacher mlp-1. Close to it: scan." in capsys.readouterr().err
