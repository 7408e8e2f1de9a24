"""The commands from end to end, in this process, on studies of seconds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from kantor.cli import main
from runs import TINY


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
