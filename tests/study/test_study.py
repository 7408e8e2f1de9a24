"""The commands from end to end, in this process, on studies of seconds."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from kantor.cli import main
from kantor.core.locks import locked

TINY = [
    "--data=digits", "--teacher=cnn@width=16", "--teacher-epochs=2", "--student=cnn@width=8", "--train-limit=300",
    "--batch-size=25", "--epochs=3", "--seeds=2", "--jobs=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A finished study of three methods and two seeds."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["distill", *TINY, "--methods=none,kd,neuron_transport", "--out=runs/tiny"]) == 0
    return folder / "runs" / "tiny"


def test_the_folder_is_as_the_design_has_it(study):
    for name in ("config.yaml", "environment.json", "step0.json", "summary.json"):
        assert (study / name).is_file()
    for method in ("none", "kd", "neuron_transport"):
        for seed in (0, 1):
            folder = study / method / f"seed-{seed}"
            for name in ("metrics.jsonl", "checkpoints/last.pt", "checkpoints/best.pt", "student.safetensors"):
                assert (folder / name).is_file(), name
            assert [p.name for p in sorted((folder / "plans").iterdir())] == [f"epoch-{k:03d}.npz" for k in range(4)]


def test_the_summary_holds_paired_statistics(study):
    methods = json.loads((study / "summary.json").read_text())["methods"]
    assert list(methods) == ["none", "kd", "neuron_transport"]
    alone = methods["none"]["accuracy"]
    for name, row in methods.items():
        assert row["seeds"] == [0, 1]
        results = [json.loads((study / name / f"seed-{s}" / "result.json").read_text())["accuracy"] for s in (0, 1)]
        assert row["accuracy"] == results
        assert row["mean"] == pytest.approx(sum(results) / 2)
        # With two values the t interval is the mean -+ 12.7062 times half their distance.
        half = 12.7062 * abs(results[0] - results[1]) / 2
        assert row["interval"] == pytest.approx([row["mean"] - half, row["mean"] + half], abs=1e-5)
        assert row["seconds"] > 0
        if name == "none":
            assert row["difference"] is None
        else:
            differences = [a - b for a, b in zip(results, alone, strict=True)]
            assert row["difference"]["mean"] == pytest.approx(sum(differences) / 2)
            half = 12.7062 * abs(differences[0] - differences[1]) / 2
            mean = row["difference"]["mean"]
            assert row["difference"]["interval"] == pytest.approx([mean - half, mean + half], abs=1e-5)
    assert methods["kd"]["weights"] == {"task": 0.1, "kd": 0.9}
    of_stages = dict.fromkeys((f"neuron_transport.layer{stage}" for stage in (1, 2, 3)), 20.0)
    assert methods["neuron_transport"]["weights"] == {"task": 1.0, **of_stages}


def test_the_summary_says_what_the_run_took_and_what_the_teacher_reaches(study):
    summary = json.loads((study / "summary.json").read_text())
    (teacher,) = summary["teachers"]
    assert 0.3 < teacher["accuracy"] <= 1
    assert teacher["seconds"] > 0
    assert set(summary["seconds"]) == {"teachers", "caches"}
    assert summary["seconds"]["teachers"] > teacher["seconds"] / 2
    assert summary["started"].startswith("20")
    for row in summary["methods"].values():
        assert 5e7 < row["peak_memory"] < 1e11
        assert row["memory_of"] in ("process", "cuda")


def test_every_epoch_has_shares_of_the_gradient_where_there_are_several_terms(study):
    for method, names in {
        "none": set(),
        "kd": {"task", "kd"},
        "neuron_transport": {"task", *(f"neuron_transport.layer{stage}" for stage in (1, 2, 3))},
    }.items():
        lines = [json.loads(line) for line in (study / method / "seed-0" / "metrics.jsonl").read_text().splitlines()]
        for line in lines[1:]:
            shares = {k.removeprefix("gradient_share/"): v for k, v in line.items() if k.startswith("gradient_share/")}
            assert set(shares) == names
            assert not shares or sum(shares.values()) == pytest.approx(1)


def test_measuring_shares_changes_nothing_in_training(study, monkeypatch):
    monkeypatch.chdir(study.parents[1])
    monkeypatch.setattr("kantor.training.step._gradient_shares", lambda *_: {})
    assert main(["distill", *TINY, "--methods=none,kd,neuron_transport", "--out=runs/unmeasured"]) == 0
    for method in ("kd", "neuron_transport"):
        ours, theirs = (run / method / "seed-1" / "student.safetensors" for run in (study, Path("runs/unmeasured")))
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_samples_of_plans_are_kept_with_what_excites_each_unit(study):
    with np.load(study / "plan-samples.npz") as probe, np.load(study / "kd/seed-0/plans/epoch-003.npz") as record:
        assert probe["student"].shape[1:] == (8, 8, 1)
        assert len(probe["ids"]) == len(probe["targets"]) == len(probe["student"])
        assert "teacher" not in probe.files
        assert record["teacher_exciting_2"].shape == (16, 6)
        assert record["student_exciting_2"].shape == (8, 6)
        assert record["student_exciting_2"].max() < len(probe["ids"])
        assert "masses_0" not in record.files  # the plan is not binned


def test_a_seed_fixes_the_students_start_for_every_method(study):
    starts = {}
    for method in ("none", "kd", "neuron_transport"):
        first = json.loads((study / method / "seed-0" / "metrics.jsonl").read_text().splitlines()[0])
        starts[method] = (first["validation/loss"], first["validation/accuracy"])
    assert len(set(starts.values())) == 1
    other = json.loads((study / "none" / "seed-1" / "metrics.jsonl").read_text().splitlines()[0])
    assert other["validation/loss"] != starts["none"][0]


def test_recorded_plans_are_plans(study):
    with np.load(study / "none" / "seed-0" / "plans" / "epoch-003.npz") as record:
        assert [str(record[f"student_layer_{k}"]) for k in range(3)] == ["layer1", "layer2", "layer3"]
        assert str(record["teacher_layer_2"]) == "teacher:layer3"
        plan, cost = record["plan_2"], record["cost_2"]
    assert plan.shape == cost.shape == (16, 8)
    np.testing.assert_allclose(plan.sum(1), 1 / 16, atol=1e-3)
    np.testing.assert_allclose(plan.sum(0), 1 / 8, atol=1e-3)


def test_step_zero_is_said_and_kept(study):
    step0 = json.loads((study / "step0.json").read_text())
    (teacher,) = step0["methods"]["kd"]["teachers"]
    assert teacher["mode"] == "frozen, eval"
    assert teacher["source"].startswith("cached, keyed by sample id, view")
    assert teacher["accuracy"] > 0.5
    assert sum(term["gradient_share"] for term in step0["methods"]["kd"]["terms"]) == pytest.approx(1)
    assert step0["methods"]["neuron_transport"]["terms"][3]["student"] == ["layer3 [25, 8, 2, 2]"]


def test_the_student_is_saved_clean_and_evaluates_to_its_result(study, capsys):
    folder = study / "kd" / "seed-0"
    best = torch.load(folder / "checkpoints" / "best.pt", weights_only=True)["student"]
    saved = load_file(folder / "student.safetensors")
    assert {f"network.{key}" for key in saved} == set(best)
    assert main(["evaluate", str(folder)]) == 0
    accuracy = json.loads((folder / "result.json").read_text())["accuracy"]
    assert f"{100 * accuracy:.2f} % of 360 test samples" in capsys.readouterr().out
    assert main(["evaluate", "--model", f"cnn@width=8:{folder / 'student.safetensors'}", "--data=digits"]) == 0
    assert f"{100 * accuracy:.2f} %" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_export_runs_without_kantor_and_agrees(study, tmp_path, capsys):
    folder = study / "kd" / "seed-0"
    program, weights = tmp_path / "student.pt2", tmp_path / "student.safetensors"
    assert main(["export", str(folder), "--format=torch.export", f"--output={program}"]) == 0
    assert main(["export", str(folder), f"--output={weights}"]) == 0
    assert weights.read_bytes() == (folder / "student.safetensors").read_bytes()
    import kantor

    x = torch.rand(5, 1, 8, 8)
    expected = kantor.load(str(weights)).eval()(x)
    told = {"kantor.json": ""}
    torch.testing.assert_close(torch.export.load(program, extra_files=told).module()(x), expected)
    assert json.loads(told["kantor.json"])["takes"] == [None, 1, 8, 8]
    assert "images of 1 channel(s), 8 pixels high and 8 wide, and no other size" in capsys.readouterr().out


def test_a_trained_teacher_is_kept_and_found_again(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    (weights,) = (study.parent / "teachers").glob("*/teacher.safetensors")
    before = weights.stat().st_mtime_ns
    assert main(["distill", *TINY, "--methods=kd", "--seeds=[7]", "--out=runs/again"]) == 0
    assert weights.stat().st_mtime_ns == before
    assert list((study.parent / "teachers").glob("*/teacher.safetensors")) == [weights]
    # The demo's promise: the teacher saw all training images but those the student is validated on.
    assert "1,407 training images of digits" in capsys.readouterr().out


def test_workers_give_the_same_results_as_one_by_one(study, monkeypatch):
    monkeypatch.chdir(study.parents[1])
    arguments = [a for a in TINY if a != "--jobs=1"]
    assert main(["distill", *arguments, "--methods=none,kd,neuron_transport", "--out=runs/workers", "--jobs=2"]) == 0
    for method in ("none", "kd", "neuron_transport"):
        for seed in (0, 1):
            ours, theirs = (run / method / f"seed-{seed}" for run in (study, study.parent / "workers"))
            for name in ("metrics.jsonl", "student.safetensors"):
                assert (ours / name).read_bytes() == (theirs / name).read_bytes(), (method, seed, name)


def test_settings_from_yaml_and_the_command_line_wins(study, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(study.parents[1])
    config = tmp_path / "study.yaml"
    terms = [{"loss": "neuron_transport", "student": "layer2", "teacher": "layer2", "weight": 3, "name": "middle"}]
    content = {
        "data": "digits", "student": "cnn@width=8", "teacher": "cnn@width=16", "teacher_epochs": 2, "epochs": 9,
        "train_limit": 300, "batch_size": 25, "seeds": 1, "jobs": 1, "lr": "1e-1", "record_plans": "every=0",
        "methods": ["none", {"name": "mine", "task": 0.5, "terms": terms}],
    }  # fmt: skip
    config.write_text(yaml.safe_dump(content).replace("'1e-1'", "1e-1"))
    assert main(["distill", "--config", str(config), "--epochs=1", "--out=runs/yaml"]) == 0
    summary = json.loads(Path("runs/yaml/summary.json").read_text())
    assert summary["methods"]["mine"]["weights"] == {"task": 0.5, "middle": 3.0}
    held = yaml.safe_load(Path("runs/yaml/config.yaml").read_text())
    assert held["epochs"] == 1
    assert held["lr"] == 0.1
    assert not Path("runs/yaml/mine/seed-0/plans").exists()


def test_a_trial_that_diverges_is_a_weight_not_taken_and_not_the_end(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    arguments = ["distill", *TINY, "--seeds=1", "--methods=kd", "--tune=[1, 1e30]", "--clip=null"]
    assert main([*arguments, "--out=runs/diverged"]) == 0
    assert "x 1e+30: 0.0 (1 diverged); taken x 1" in capsys.readouterr().out
    trials = json.loads(Path("runs/diverged/tuning.json").read_text())["kd"]["trials"]
    assert [trial.get("diverged", 0) for trial in trials] == [0, 1]
    assert (
        "not finite" in json.loads(Path("runs/diverged/tuning/x1e+30/kd/seed-1000/result.json").read_text())["diverged"]
    )


def test_trials_are_equal_in_number_judged_on_validation_and_never_see_the_test_part(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    arguments = ["distill", *TINY, "--seeds=1", "--methods=none,kd+neuron_transport:auto=0.5", "--tune=[0.5, 2]"]
    assert main([*arguments, "--out=runs/tuned"]) == 0
    tuned = json.loads(Path("runs/tuned/tuning.json").read_text())
    assert list(tuned) == ["none", "kd+neuron_transport:auto=0.5"]
    for name, row in tuned.items():
        assert [trial["factor"] for trial in row["trials"]] == [0.5, 2]
        best = max(trial["validation_accuracy"] for trial in row["trials"])
        assert {t["factor"]: t["validation_accuracy"] for t in row["trials"]}[row["chosen"]] == best
        for factor in ("x0.5", "x2"):
            folder = Path("runs/tuned/tuning") / factor / name.replace(":", "=") / "seed-1000"
            assert json.loads((folder / "result.json").read_text())["accuracy"] is None
    summary = json.loads(Path("runs/tuned/summary.json").read_text())
    held = json.loads(Path("runs/tuned/plan.json").read_text())["bound"]["kd+neuron_transport:auto=0.5"]
    found = {term: layers["weight"]["value"] for term, layers in zip(("kd", "neuron_transport"), held, strict=True)}
    weights = summary["methods"]["kd+neuron_transport:auto=0.5"]["weights"]
    chosen = tuned["kd+neuron_transport:auto=0.5"]["chosen"]
    for term in found:
        assert weights[term] == pytest.approx(chosen * found[term])
    assert found["kd"] == 1
    assert found["neuron_transport"] != 20
    assert main([*arguments, "--out=runs/same", "--tune-seeds=[0]"]) == 2
    assert "also seeds of the comparison" in capsys.readouterr().err


def test_other_optimisers_precision_and_clipping_reach_training(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    arguments = ["distill", *TINY, "--methods=kd+neuron_transport", "--seeds=1", "--epochs=1"]
    plain = [*arguments, "--optimizer=adamw", "--lr=0.01"]
    ends = {}
    for name, more in {"plain": [], "clip": ["--clip=1e-3"], "bf16": ["--precision=bf16"]}.items():
        assert main([*plain, *more, f"--out=runs/{name}"]) == 0
        ends[name] = load_file(f"runs/{name}/kd+neuron_transport/seed-0/student.safetensors")["linear.weight"]
    assert not torch.equal(ends["plain"], ends["bf16"])
    torch.testing.assert_close(ends["plain"], ends["bf16"], atol=0.05, rtol=0.2)
    assert not torch.equal(ends["plain"], ends["clip"])
    if not torch.cuda.is_available():
        assert main([*plain, "--precision=fp16", "--out=runs/fp16"]) == 2
        assert "needs a GPU" in capsys.readouterr().err


def test_bfloat16_without_its_instructions_is_said(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    arguments = ["distill", *TINY, "--methods=none", "--seeds=1", "--epochs=1", "--device=cpu"]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64"}, raising=False)
    assert main([*arguments, "--precision=bf16", "--out=runs/emulated"]) == 0
    assert "float32 (precision no) is faster here" in capsys.readouterr().out
    assert main([*arguments, "--out=runs/float32"]) == 0
    assert "precision" not in capsys.readouterr().out
    known = {"architecture": "x86_64", "avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert main([*arguments, "--precision=bf16", "--out=runs/native"]) == 0
    assert "precision" not in capsys.readouterr().out


def test_validation_now_and_then_changes_nothing_but_the_choice(study, monkeypatch):
    monkeypatch.chdir(study.parents[1])
    arguments = ["distill", *TINY, "--methods=none", "--seeds=1", "--epochs=5"]
    lines, kept = {}, {}
    for every in (1, 2, 9):
        assert main([*arguments, f"--validate-every={every}", f"--out=runs/every-{every}"]) == 0
        folder = Path(f"runs/every-{every}/none/seed-0")
        lines[every] = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        kept[every] = json.loads((folder / "result.json").read_text())["epoch"]
    for every, epochs in {2: [0, 2, 4, 5], 9: [0, 5]}.items():
        seen = [line for line in lines[every] if "validation/accuracy" in line]
        assert [line["epoch"] for line in seen] == epochs
        assert seen == [lines[1][epoch] for epoch in epochs]
        assert [line["train/loss"] for line in lines[every][1:]] == [line["train/loss"] for line in lines[1][1:]]
        assert lines[1][kept[every]]["validation/accuracy"] == max(line["validation/accuracy"] for line in seen[1:])
    assert kept[9] == 5


def test_a_loss_that_is_not_finite_is_named_and_the_checkpoint_stays(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    arguments = ["distill", *TINY, "--methods=none", "--seeds=1", "--lr=1e20", "--schedule=constant", "--epochs=5"]
    assert main([*arguments, "--checkpoint-every=1", "--out=runs/broken"]) == 2
    said = capsys.readouterr().err
    assert "task is not finite" in said
    assert "sample ids [" in said
    assert "last good checkpoint" in said
    last = torch.load("runs/broken/none/seed-0/checkpoints/last.pt", weights_only=True)
    assert last["position"]["step"] >= 1
    assert not Path("runs/broken/none/seed-0/result.json").exists()
    assert "No student is finished yet" in Path("runs/broken/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--methods=none,kdd"], "No transfer loss is called 'kdd'. Close to it: kd"),
        (["--methods=neuron_transport@cots=l1"], "no setting 'cots'. Close to it: cost"),
        (["--methods=neuron_transport:heavy"], "'heavy' is no weight"),
        (["--methods=kd@temperature=four"], "temperature is a finite number, not 'four'"),
        (["--methods=kd@temperature=[1"], "'[1' is no value"),
        (["--methods=kd@temperature=*a"], "'*a' is no value"),
        (["--methods=kd@temperature=&a 1&b"], "temperature is a finite number, not '1&b'"),
        (["--methods=neuron_transport@cost=[1]"], "neuron_transport: cost is"),
        (["--methods=kd@temperature=1@temperature=2"], "a setting is given twice"),
        (["--methods=kd,kd"], "given twice"),
        (["--student=resnet9"], "resnet8"),
        (["--data=digitz"], "digits"),
        (["--batch-size=0"], "batch_size is at least 1"),
        (["--validate-every=0"], "validate_every is at least 1"),
        (["--methods=none,"], "has an empty name"),
        (["--cache=on", "--augment=crop+mirror"], "crop"),
        (["--record-plans=often"], "every=N"),
        (["--validation=1.5"], "1.5"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(arguments, says, tmp_path, monkeypatch, capsys, study):
    monkeypatch.chdir(study.parents[1])
    given = ["distill", *TINY, "--methods=kd", f"--out={tmp_path / 'run'}", *arguments]
    assert main(given) == 2
    error = capsys.readouterr().err
    assert error.startswith("kantor: ")
    assert says in error
    assert "Traceback" not in error


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


@pytest.mark.parametrize("cost", [[], ["--label-cost=matrix:nope.csv"]], ids=["none", "missing"])
def test_label_transport_is_left_out_where_there_is_no_label_cost(cost, study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    teacher = next(Path("runs/teachers").glob("*/teacher.safetensors"))
    given = [*TINY, f"--teacher=cnn@width=16:{teacher}", "--methods=kd,label_transport", "--seeds=1", "--epochs=1"]
    assert main(["distill", *given, *cost, f"--out={tmp_path / 'refused'}"]) == 2
    said = capsys.readouterr().err
    assert "nope.csv" in said if cost else "--unfit skip" in said
    assert main(["distill", *given, *cost, f"--out={tmp_path / 'skipped'}", "--unfit=skip"]) == 0
    assert "label_transport is left out: " in " ".join(capsys.readouterr().out.split())
    assert list(json.loads((tmp_path / "skipped" / "summary.json").read_text())["methods"]) == ["kd"]
    assert "label_transport" in json.loads((tmp_path / "skipped" / "step0.json").read_text())["left_out"]
    # Nor is a cost asked for that no method reads, as that of a ranking.
    assert main(["distill", *given, *cost, "--methods=kd", f"--out={tmp_path / 'unread'}"]) == 0


def test_no_method_that_fits_a_teacher_with_weights(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parents[1])
    teacher = next(Path("runs/teachers").glob("*/teacher.safetensors"))
    given = [*TINY, f"--teacher=cnn@width=16:{teacher}", "--methods=fsp", "--unfit=skip", "--out=runs/unfit"]
    assert main(["distill", *given]) == 2
    said = capsys.readouterr()
    assert "fsp is left out: fsp needs" in " ".join(said.out.split())
    assert "None of the methods can be used here. fsp needs" in " ".join(said.err.split())


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
