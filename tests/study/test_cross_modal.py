"""Transfer without labels, linear probes on it, and teachers whose inputs exist in training alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from kantor.cli import main

TRAIN = ["--batch-size=30", "--epochs=2", "--seeds=2", "--jobs=1", "--record-plans=every=2"]


def photos(path: Path, labels: bool = True) -> Path:
    """120 coloured images of 8 x 8; the class decides a hue and a bright stripe."""
    rng = np.random.default_rng(0)
    label = np.arange(120) % 3
    pixels = rng.integers(0, 100, (120, 8, 8, 3))
    pixels[np.arange(120), :, :, label] += 60
    pixels[np.arange(120), 2 * label + 1] += 90
    extra = {"label": label, "class_names": ["a", "b", "c"]} if labels else {}
    np.savez(path, photo=pixels.clip(0, 255).astype(np.uint8), **extra)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cross")
    photos(folder / "photos.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        given = ["distill", "--data=photos.npz", "--views=teacher=luminance,student=chrominance", "--task=none"]
        given += ["--teacher=cnn@width=16", "--teacher-epochs=3", "--student=cnn@width=8", *TRAIN]
        assert main([*given, "--methods=none,kd,crd,task:1", "--out=runs/x"]) == 0
        assert main(["probe", "runs/x"]) == 0
    return folder / "runs" / "x"


def test_the_methods_train_without_labels_and_show_no_accuracy(run):
    summary = json.loads((run / "summary.json").read_text())
    assert summary["task"] == "none"
    for row in summary["methods"].values():
        assert row["accuracy"] is row["mean"] is row["interval"] is row["difference"] is row[
            "validation_accuracy"
        ] is None or (row["weights"] == {"task": 1.0})
    assert summary["methods"]["kd"]["weights"] == {"task": 0.0, "kd": 0.9}
    for method, epochs, terms in (("none", [0], []), ("crd", [0, 1, 2], ["crd"]), ("task:1", [0, 1, 2], ["task"])):
        seed = run / method.replace(":", "=") / "seed-0"
        lines = [json.loads(line) for line in (seed / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == epochs
        for line in lines[1:]:
            assert set(terms) <= {key.removeprefix("train/") for key in line}
            assert ("train/accuracy" in line) == ("validation/accuracy" in line) == (method == "task:1")
    step0 = json.loads((run / "step0.json").read_text())
    assert step0["data"]["views"] == {"teacher": "luminance of photo", "student": "chrominance of photo"}
    assert step0["methods"]["none"]["terms"] == []


def test_the_probe_holds_every_method_seed_and_layer_with_paired_differences(run):
    found = json.loads((run / "probe.json").read_text())["photos.npz"]
    assert list(found["methods"]) == ["none", "kd", "crd", "task:1"]
    assert found["bases"] == {"none": "untrained", "task:1": "labels alone"}
    assert found["samples"] == {"train": 64, "validation": 8, "test": 48}
    for name, layers in found["methods"].items():
        assert list(layers) == ["layer1", "layer2", "layer3"]
        for layer, row in layers.items():
            kept = [found["students"][name][str(seed)]["layers"] for seed in (0, 1)]
            assert row["accuracy"] == [next(k["accuracy"] for k in each if k["layer"] == layer) for each in kept]
    ours, base = (found["methods"][name]["layer3"]["accuracy"] for name in ("crd", "none"))
    difference = found["methods"]["crd"]["layer3"]["differences"]["none"]
    assert difference["mean"] == pytest.approx(np.mean(np.subtract(ours, base)))
    assert difference["interval"] is not None and difference["seeds"] == [0, 1]
    assert "none" not in found["methods"]["none"]["layer3"]["differences"]


def test_what_was_probed_is_not_probed_again(run, monkeypatch, capsys):
    import kantor.study.afterwards.linear_probes as module

    monkeypatch.chdir(run.parents[1])
    before = json.loads((run / "probe.json").read_text())
    again, real = [], module.probe
    monkeypatch.setattr(module, "probe", lambda *given: again.append(given))
    assert main(["probe", "runs/x"]) == 0
    assert not again and json.loads((run / "probe.json").read_text()) == before
    assert "crd" in capsys.readouterr().out
    # Cut off after the first of two that must be probed afresh: the file is whole, and the rest follows later.
    for seed in ("0", "1"):
        before["photos.npz"]["students"]["crd"][seed]["weights"] = "others"
    (run / "probe.json").write_text(json.dumps(before))
    found = []

    def once(model, data, *, task):
        if found:
            raise KeyboardInterrupt
        found.append(real(model, data, task=task))
        return found[0]

    monkeypatch.setattr(module, "probe", once)
    assert main(["probe", "runs/x"]) == 130
    assert main(["report", "runs/x"]) == 0
    monkeypatch.setattr(module, "probe", real)
    assert main(["probe", "runs/x"]) == 0
    after = json.loads((run / "probe.json").read_text())["photos.npz"]["students"]["crd"]
    assert all(after[seed]["weights"] != "others" for seed in ("0", "1"))


def test_other_data_is_seen_as_the_student_sees_it(run, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(run.parents[1])
    other = photos(tmp_path / "other.npz")
    assert main(["probe", "runs/x", f"--data={other}"]) == 0
    assert set(json.loads((run / "probe.json").read_text())) == {"photos.npz", "other.npz"}
    bare = photos(tmp_path / "bare.npz", labels=False)
    assert main(["probe", "runs/x", f"--data={bare}"]) == 2
    assert "no array of labels" in capsys.readouterr().err
    np.savez(tmp_path / "large.npz", photo=np.zeros((20, 9, 9, 3), np.uint8), label=np.arange(20) % 2)
    assert main(["probe", "runs/x", f"--data={tmp_path / 'large.npz'}"]) == 2
    assert "The students see [2, 8, 8], and large.npz has [2, 9, 9]" in capsys.readouterr().err


def test_the_page_shows_probes_and_no_accuracy_of_classifiers_that_never_learned(run):
    page = (run / "report.html").read_text()
    assert "Linear probes" in page and "After layer3" in page and "to the untrained student, points" in page
    assert "Without labels, <em>" in page
    assert "-results" not in page


def test_a_classifier_that_never_learned_is_not_evaluated(run, monkeypatch, capsys):
    monkeypatch.chdir(run.parents[1])
    assert main(["evaluate", "runs/x/crd/seed-0"]) == 2
    assert "kantor probe runs/x" in capsys.readouterr().err
    assert main(["evaluate", "runs/x/kd/seed-0"]) == 0


def test_unlabelled_data(tmp_path, monkeypatch, capsys, run):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "bare.npz", labels=False)
    (weights,) = (run.parent / "teachers").glob("*/teacher.safetensors")
    given = ["distill", "--data=bare.npz", "--views=teacher=luminance,student=chrominance", "--student=cnn@width=8"]
    given += [*TRAIN, "--seeds=1", f"--teacher=cnn@width=16:{weights}"]
    assert main([*given, "--task=none", "--methods=crd", "--out=a"]) == 0
    assert "no labels, teacher 1x8x8 / student 2x8x8; augmentation mirror" in (said := capsys.readouterr().out)
    assert "kantor probe judges the features" in said
    assert main(["probe", "a"]) == 2
    assert "needs labels" in capsys.readouterr().err
    photos(tmp_path / "photos.npz")
    assert main(["probe", "a", "--data=photos.npz"]) == 0
    found = json.loads(Path("a/probe.json").read_text())["photos.npz"]
    assert list(found["methods"]) == ["crd", "random"] and found["bases"] == {"random": "untrained"}
    capsys.readouterr()
    cases = (
        (["--methods=crd"], "no array of labels"),
        (["--task=none", "--methods=crd+task:1"], "gives the task a weight, and bare.npz has no labels"),
        (["--task=none", "--methods=kd"], "kd compares predictions class by class"),
        (["--task=none", "--methods=crd", "--tune=[1,2]"], "tune judges trials by a linear probe"),
        (["--task=none", "--methods=crd", "--select=best"], "the last epoch is kept"),
        (["--task=none", "--methods=crd:auto"], "there is no task here"),
        (["--task=none", "--methods=crd", "--teacher=cnn@width=16"], "no labels to train a teacher with"),
    )
    for number, (more, says) in enumerate(cases):
        assert main([*given, *more, f"--out=b{number}"]) == 2
        assert says in capsys.readouterr().err


def test_trials_without_a_task_are_judged_by_a_probe(run, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    given = ["distill", "--data=photos.npz", "--views=teacher=luminance,student=chrominance", "--task=none"]
    given += ["--teacher=cnn@width=16", "--teacher-epochs=3", "--student=cnn@width=8", *TRAIN, "--seeds=1"]
    assert main([*given, "--methods=none,crd", "--tune=[0.5,1]", "--validation=0.3", "--out=runs/tuned"]) == 0
    tuned = json.loads(Path("runs/tuned/tuning.json").read_text())
    assert all(0 < trial["validation_accuracy"] <= 1 for row in tuned.values() for trial in row["trials"])
    assert tuned["none"]["chosen"] == 1  # the untrained student is the same in both


def test_a_probe_of_a_labelled_run_adds_the_untrained_student(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos.npz")
    assert main(["distill", "--data=photos.npz", "--student=cnn@width=8", "--methods=none", *TRAIN, "--out=a"]) == 0
    assert main(["probe", "a"]) == 0
    found = json.loads(Path("a/probe.json").read_text())["photos.npz"]
    assert list(found["methods"]) == ["none", "random"]
    assert found["bases"] == {"random": "untrained", "none": "labels alone"}
    page = Path("a/report.html").read_text()
    assert "Linear probes" in page and "-results" in page
    assert main(["probe", "nowhere"]) == 2
    assert "holds no run" in capsys.readouterr().err


class TestPrivileged:
    """The teacher's input exists in training alone."""

    @pytest.fixture
    def patients(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        arrays = {}
        for part, n in (("train", 90), ("test", 45)):
            label = np.arange(n) % 3
            arrays[f"label_{part}"], arrays[f"side_{part}"] = label, np.arange(n) // 3 % 2
            arrays[f"cheap_{part}"] = rng.normal(size=(n, 5)) + np.eye(3, 5)[label]
            arrays[f"costly_{part}"] = rng.normal(size=(n, 12)) + 3 * np.eye(3, 12)[label]
        del arrays["costly_test"]
        np.savez("patients.npz", **arrays)
        return ["distill", "--data=patients.npz", "--student=mlp@hidden=8", *TRAIN]

    def test_the_student_does_without(self, patients):
        methods = ["--methods=none,kd,neuron_transport", "--teacher=mlp@hidden=16", "--teacher-epochs=3"]
        assert main([*patients, *methods, "--views=teacher=costly,student=cheap", "--out=a"]) == 0
        summary = json.loads(Path("a/summary.json").read_text())
        assert all(len(row["accuracy"]) == 2 for row in summary["methods"].values())
        assert summary["data"]["training_only"] == "the teacher's view; test do without it"
        assert main(["evaluate", "a/kd/seed-0"]) == 0

    def test_other_labels(self, patients, capsys):
        teacher = ["distill", "--data=patients.npz", "--label=side", "--views=teacher=cheap,student=cheap"]
        assert main([*teacher, "--student=mlp@hidden=16", "--methods=none", *TRAIN, "--seeds=1", "--out=t"]) == 0
        given = [*patients, "--teacher=mlp@hidden=16:t/none/seed-0/student.safetensors", "--label=label"]
        given.append("--views=teacher=cheap,student=cheap")
        assert main([*given, "--methods=kd", "--out=b"]) == 2
        assert "has 2 classes" in capsys.readouterr().err
        assert main([*given, "--methods=none,neuron_transport,crd", "--out=c"]) == 0

    def test_a_view_that_the_student_needs(self, patients, capsys):
        methods = ["--methods=kd", "--teacher=mlp@hidden=16"]
        assert main([*patients, *methods, "--views=teacher=cheap,student=costly", "--out=d"]) == 2
        assert "'costly', which the student sees, has no array for the test part" in capsys.readouterr().err
        assert main([*patients, *methods, "--views=teacher=luminance,student=cheap", "--out=e"]) == 2
        assert "of which input" in capsys.readouterr().err


@pytest.mark.parametrize("augment", ["auto", "mirror", "crop+mirror"])
def test_a_teacher_of_vectors_and_a_student_of_coloured_images(tmp_path, monkeypatch, augment):
    """What is mirrored is the student's image; the teacher's outputs are kept for both views all the same."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label = np.arange(120) % 3
    photo = (80 * label[:, None, None, None] + rng.integers(0, 60, (120, 8, 8, 3))).astype(np.uint8)
    np.savez("both.npz", photo=photo, sound=rng.normal(size=(120, 6)) + 3 * np.eye(3, 6)[label], label=label)
    given = ["distill", "--data=both.npz", "--views=teacher=sound,student=photo", "--teacher=mlp@hidden=8", *TRAIN]
    given += ["--teacher-epochs=2", "--epochs=2", "--student=cnn@width=8", f"--augment={augment}", "--seeds=1"]
    assert main([*given, "--methods=none,kd,neuron_transport", "--out=run"]) == 0
    assert json.loads(Path("run/plan.json").read_text())["cached"] == (augment != "crop+mirror")


def test_the_examples_are_studies():
    from kantor.study import Study
    from kantor.study.settings.resolved import ResolvedStudy

    folder = Path(__file__).parents[2] / "examples"
    files = [*(folder / "cross_modal").glob("*.yaml"), *(folder / "privileged").glob("*.yaml")]
    assert len(files) == 3
    for file in files:
        study = Study(**yaml.safe_load(file.read_text()))
        study.check()
        assert ResolvedStudy(study).methods and study.view_map()
