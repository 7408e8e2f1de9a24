"""Settings 1 and 3 from end to end: the same network on a new task, and a smaller one, on digits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import kantor
from kantor.cli import main
from kantor.study import Study
from kantor.study.resume.claim import begun
from kantor.study.sweep import runs_in
from runs import assert_same_student, environment

LOW, HIGH = "--classes=0,1,2,3,4", "--classes=5,6,7,8,9"
SHORT = ["--data=digits", "--batch-size=25", "--epochs=2", "--jobs=1"]
NEW = [*SHORT, HIGH, "--labels-per-class=10"]
TEACHER = "runs/source/none/seed-0"
SMALLER = "--views=teacher=image,student=small@side=4"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two students of the digits 0 to 4, each a width: what fine-tuning and the two steps begin with."""
    folder = tmp_path_factory.mktemp("finetune")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        common = ["distill", *SHORT, LOW, "--methods=none", "--epochs=4", "--record-plans=every=0"]
        assert main([*common, "--student=cnn@width=16", "--seeds=1", "--out=runs/source"]) == 0
        assert main([*common, "--student=cnn@width=8", "--seeds=[0, 1, 1000]", "--out=runs/small"]) == 0
    return folder


@pytest.fixture(autouse=True)
def beside(source, monkeypatch):
    monkeypatch.chdir(source)


@pytest.fixture(scope="module")
def tuned(source) -> Path:
    """A finished fine-tuning with every method of the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source)
        assert (
            main(["finetune", f"--teacher={TEACHER}", *NEW, "--seeds=2", "--record-plans=every=0", "--out=runs/tuned"])
            == 0
        )
    return source / "runs" / "tuned"


def step0(run: str | Path) -> dict:
    return json.loads((Path(run) / "step0.json").read_text())["methods"]


def test_every_method_of_the_command(tuned):
    summary = json.loads((tuned / "summary.json").read_text())
    methods = summary["methods"]
    assert list(methods) == ["none", "l2_sp", "delta", "neuron_transport:1", "neuron_transport@plan=identity:1"]
    assert summary["teachers"][0]["saw"] == "digits, some of its classes alone, in the run runs/source"
    facts = step0(tuned)
    for name, known in facts.items():
        assert known["notes"][0] == f"Start: 18 tensors taken from {TEACHER}/student.safetensors; " + (
            "new: linear.weight [5, 16], linear.bias [5]."
        )
        assert "Learning rate x 10 for linear." in known["notes"]
        assert any("Weight decay 0" in note for note in known["notes"]) == (name == "l2_sp")
        assert all(np.isfinite(term["value"]) and term["gradient_share"] >= 0 for term in known["terms"])
        assert sum(term["gradient_share"] for term in known["terms"]) == pytest.approx(1)
    assert methods["l2_sp"]["weights"] == {"task": 1.0, "l2_sp": 1.0}
    config = Study.of_run(tuned)
    assert (config.student, config.start, config.lr, config.head_lr) == ("cnn@width=16", "teacher", 0.01, 10.0)


def test_students_start_from_the_teachers_weights_with_heads_of_their_seeds(tuned):
    theirs = kantor.load(f"{TEACHER}/student.safetensors").network.state_dict()
    heads = []
    for seed in (0, 1):
        state = torch.load(tuned / f"l2_sp/seed-{seed}/checkpoints/last.pt", weights_only=True)["objective"]
        held = {key.partition(".start.")[2].replace("/", "."): x for key, x in state.items() if ".start." in key}
        assert set(held) == {key for key in theirs if key.endswith(("weight", "bias")) and "linear" not in key}
        assert all(torch.equal(held[key], theirs[key]) for key in held)
        heads.append(load_file(tuned / f"none/seed-{seed}/student.safetensors")["linear.weight"])
    assert not torch.equal(*heads)
    first = [json.loads((tuned / m / "seed-0/metrics.jsonl").read_text().splitlines()[0]) for m in ("none", "delta")]
    assert first[0]["validation/loss"] == first[1]["validation/loss"]


def test_delta_attends_to_channels_by_what_the_task_loses_without_them(tuned):
    with np.load(tuned / "channel-worth.npz") as worth:
        assert worth.files == [f"teacher/layer{k}" for k in (1, 2, 3)]
        assert [worth[key].shape for key in worth.files] == [(4,), (8,), (16,)]
        largest = {key: int(worth[key].argmax()) for key in worth.files}
    for seed in (0, 1):
        state = torch.load(tuned / f"delta/seed-{seed}/checkpoints/last.pt", weights_only=True)["objective"]
        for place, key in enumerate(largest):
            attention = state[f"losses.delta.attention_{place}"]
            assert attention.sum().item() == pytest.approx(1, abs=1e-5)
            assert int(attention.argmax()) == largest[key]
            assert attention.max() > attention.min()


def test_l2_sp_holds_and_plain_fine_tuning_does_not(source):
    common = ["finetune", f"--teacher={TEACHER}", *NEW, "--seeds=1", "--record-plans=every=0", "--lr=0.05"]
    assert main([*common, "--epochs=10", "--methods=none,l2_sp@alpha=1", "--out=runs/held"]) == 0
    theirs = load_file(f"{TEACHER}/student.safetensors")

    def moved(method: str) -> float:
        own = load_file(f"runs/held/{method}/seed-0/student.safetensors")
        return sum((own[k] - theirs[k]).square().sum().item() for k in own if k.endswith("0.weight"))

    assert moved("l2_sp@alpha=1") < 0.5 * moved("none")


def test_exact_resume_with_frozen_stages_and_rates_of_their_own(source, monkeypatch):
    from kantor.training import checkpoint

    arguments = ["finetune", f"--teacher={TEACHER}", *NEW, "--seeds=1", "--methods=l2_sp+delta+neuron_transport"]
    arguments += ["--freeze=layer1", '--lr-factors={"layer2": 0.5}', "--checkpoint-every=1", "--augment=mirror"]
    assert main([*arguments, "--out=runs/whole"]) == 0
    theirs, frozen = load_file(f"{TEACHER}/student.safetensors"), []
    whole = Path("runs/whole/l2_sp+delta+neuron_transport/seed-0")
    for key, value in load_file(whole / "student.safetensors").items():
        if key.startswith("layer1"):
            frozen.append(key)
            assert torch.equal(value, theirs[key]), key
        else:
            assert not torch.equal(value, theirs[key]), key
    assert "layer1.1.running_mean" in frozen
    notes = step0("runs/whole")["l2_sp+delta+neuron_transport"]["notes"]
    assert any(note.startswith("Frozen, running statistics too: layer1 (44 parameters)") for note in notes)
    assert any("10 for linear" in note and "0.5 for layer2" in note for note in notes)

    save, left = checkpoint.save, 4

    def killed(path, position, *rest):
        nonlocal left
        save(path, position, *rest)
        left -= path.name == "last.pt"
        if not left:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", killed)
    assert main([*arguments, "--out=runs/killed"]) == 130
    monkeypatch.undo()
    monkeypatch.chdir(source)
    half = Path("runs/killed/l2_sp+delta+neuron_transport/seed-0")
    held = torch.load(half / "checkpoints/last.pt", weights_only=True)
    assert 0 < held["position"]["step"] < json.loads((whole / "result.json").read_text())["steps"]
    assert [group["factor"] for group in held["optimizer"]["param_groups"]] == [0.5, 1.0, 10.0]
    assert main(["resume", "runs/killed"]) == 0
    assert_same_student(whole, half)


def test_methods_without_transfer_have_learning_rates_of_their_own_to_try(source, capsys):
    arguments = ["finetune", f"--teacher={TEACHER}", *NEW, "--seeds=1", "--epochs=1", "--methods=none,l2_sp"]
    arguments += ["--tune=[1,100]", "--tune-seeds=[7]", "--validation=0.3", "--record-plans=every=0"]
    assert main([*arguments, "--tune-lr=[0.5,2]", "--out=runs/rates"]) == 0
    tuned = json.loads(Path("runs/rates/tuning.json").read_text())
    assert {name: [trial["factor"] for trial in row["trials"]] for name, row in tuned.items()} == {
        "none": [0.5, 2],
        "l2_sp": [1, 100],
    }
    capsys.readouterr()
    assert main([*arguments, "--tune-lr=[0.5,1,2]", "--out=runs/more"]) == 2
    assert "tune_lr is as many positive factors as tune has (2)" in capsys.readouterr().err


def test_what_is_frozen_as_it_was_drawn_is_said(source):
    arguments = ["finetune", f"--teacher={TEACHER}", *NEW, "--seeds=1", "--epochs=1", "--methods=none"]
    assert main([*arguments, "--freeze=layer1,linear", "--out=runs/drawn"]) == 0
    notes = step0("runs/drawn")["none"]["notes"]
    assert "Frozen at random: linear starts from no weights, and stays as it was drawn." in notes
    assert not any(note.startswith("Learning rate") for note in notes)  # of a classifier that does not learn


def test_a_sweep_is_a_run_for_each_number_and_one_table(source, capsys):
    arguments = ["finetune", f"--teacher={TEACHER}", *SHORT, HIGH, "--seeds=1", "--record-plans=every=0"]
    sweep = [*arguments, "--methods=none,l2_sp", "--labels-per-class=4,12", "--out=runs/sweep"]
    assert main(sweep) == 0
    said = capsys.readouterr().out
    assert "labels per class" in said and Path("runs/sweep/report.html").is_file()
    for number in (4, 12):
        run = Path(f"runs/sweep/labels-{number}")
        assert Study.of_run(run).labels_per_class == number
        parts = json.loads((run / "step0.json").read_text())["data"]["parts"]
        assert (parts["train"]["samples"], parts["validation"]["samples"]) == (5 * number, 72)
        mean = json.loads((run / "summary.json").read_text())["methods"]["none"]["mean"]
        assert f"{100 * mean:.2f}" in said.rpartition("labels per class")[2]
        assert (run / "report.html").is_file()
    result = Path("runs/sweep/labels-12/l2_sp/seed-0/result.json")
    result.unlink()
    assert main(["resume", "runs/sweep"]) == 0
    assert result.is_file()
    assert main([*arguments, "--labels-per-class=4,900", "--out=runs/many"]) == 2
    assert "class '8' has" in capsys.readouterr().err
    assert not Path("runs/many").exists()


@pytest.mark.slow
def test_a_sweep_is_analysed_and_probed_run_by_run(source, capsys):
    arguments = ["finetune", f"--teacher={TEACHER}", *SHORT, HIGH, "--seeds=1", "--record-plans=every=0"]
    assert main([*arguments, "--methods=l2_sp", "--labels-per-class=12,4", "--out=runs/moved"]) == 0
    runs = [Path("runs/moved/labels-4"), Path("runs/moved/labels-12")]
    assert runs_in(Path("runs/moved")) == runs
    assert [runs_in(folder) for folder in (runs[0], Path("runs"))] == [[runs[0]], [Path("runs")]]
    (Path("runs/moved") / "labels-4-old").mkdir()
    (Path("runs/moved") / "labels-4-old" / "config.yaml").write_text("")
    assert runs_in(Path("runs/moved")) == runs
    for command, options, file in (("analyse", ["--top=2"], "analysis.json"), ("probe", [], "probe.json")):
        capsys.readouterr()
        assert main([command, "runs/moved", *options]) == 0
        said = capsys.readouterr().out
        assert [line for line in said.splitlines() if line in map(str, runs)] == [str(run) for run in runs]
        assert "All of them in one page: runs/moved/report.html" in said
        assert all((run / file).is_file() for run in runs)
    for run in runs:
        with np.load(run / "analysis" / "l2_sp" / "seed-0.npz") as arrays:
            assert arrays["top_a_0"].shape[1] == 2
    assert main(["report", "runs/moved", "--output=both.html"]) == 0
    assert all(run.name in Path("both.html").read_text() for run in runs)
    (runs[1] / "plan.json").unlink()
    for command in ("analyse", "probe"):
        assert main([command, "runs/moved"]) == 2
        assert "runs/moved/labels-12" in capsys.readouterr().err


def test_direct_scratch_and_two_steps_are_paired_by_seed(source, tmp_path, capsys):
    config = tmp_path / "new-task.yaml"
    config.write_text(
        "methods:\n- none\n- neuron_transport\n- {name: two_step, start: 'runs/small/none/seed-{seed}'}\n"
        "- {name: both, start: 'runs/small/none/seed-{seed}', terms: [{loss: neuron_transport}]}\n"
    )
    arguments = ["distill", f"--config={config}", f"--teacher={TEACHER}", "--student=cnn@width=8", *NEW, "--lr=1e-9"]
    assert main([*arguments, "--seeds=2", "--out=runs/target"]) == 0
    summary = json.loads(Path("runs/target/summary.json").read_text())["methods"]
    assert summary["two_step"]["seeds"] == summary["none"]["seeds"] == [0, 1]
    for seed in (0, 1):
        theirs = load_file(f"runs/small/none/seed-{seed}/student.safetensors")
        ends = {m: load_file(f"runs/target/{m}/seed-{seed}/student.safetensors") for m in ("none", "two_step", "both")}
        for method in ("two_step", "both"):  # with next to no learning rate the student ends where it started
            torch.testing.assert_close(ends[method]["layer3.0.weight"], theirs["layer3.0.weight"], atol=1e-4, rtol=0)
        assert not torch.allclose(ends["none"]["layer3.0.weight"], theirs["layer3.0.weight"], atol=1e-2)
        torch.testing.assert_close(ends["two_step"]["linear.weight"], ends["none"]["linear.weight"], atol=1e-4, rtol=0)
    capsys.readouterr()
    assert main([*arguments, "--seeds=3", "--out=runs/missing"]) == 2
    assert "seed-2: there are no weights" in capsys.readouterr().err
    assert not Path("runs/missing/none").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["finetune", f"--teacher={TEACHER}", "--methods=kd"], "Across class sets use label_transport"),
        (["distill", f"--teacher={TEACHER}", "--student=cnn@width=8", "--methods=kd"], "or a loss on features"),
        (["finetune", f"--teacher={TEACHER}", "--freeze=layre1"], "no layer 'layre1'. Close to it: layer1"),
        (["finetune", f"--teacher={TEACHER}", '--lr-factors={"layer": 2}'], "no layer 'layer'. Close to it: layer"),
        (["finetune", f"--teacher={TEACHER}", "--freeze=logits"], "no layer 'logits'. There are: layer1"),
        (["finetune", f"--teacher={TEACHER}", "--student=cnn@width=8"], "of another shape"),
        (["finetune", f"--teacher={TEACHER}", "--student=cnn@width=8"], "starts from weights of its own network"),
        (["finetune", f"--teacher={TEACHER}", "--methods=none,l2_sp:-1"], "Method l2_sp:-1: every loss is minimised"),
        (["finetune", f"--teacher={TEACHER}", "--start=scratch", "--methods=l2_sp"], "starts from scratch"),
        (["finetune", f"--teacher={TEACHER}", SMALLER, "--methods=delta"], "They must be the same layer"),
        (["finetune", "--methods=none"], "architecture of the one --teacher"),
        (["finetune", "--teacher=cnn@width=8", "--methods=none"], "cnn@width=8 has no weights"),
        (["finetune", "--teacher=runs/nowhere/seed-0", "--methods=none"], "runs/nowhere/seed-0"),
        (["finetune", f"--teacher={TEACHER}", "--classes=5,66"], "no class '66'"),
        (["finetune", f"--teacher={TEACHER}", "--train-limit=50"], "give one"),
    ],
)
def test_bad_settings_are_refused_before_training(arguments, says, tmp_path, capsys):
    assert main([arguments[0], *NEW, *arguments[1:], "--seeds=1", f"--out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kantor: ") and says in error
    assert not list(tmp_path.glob("run/*/seed-*"))
    assert not begun(tmp_path / "run"), "and the folder is free for the command put right"


def permuted(model: kantor.models.Model, seed: int = 0) -> kantor.models.Model:
    """The same function with the last stage's units in another order."""
    stage, linear = model.network.layer3, model.network.linear
    order = torch.randperm(linear.in_features, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        stage[0].weight.copy_(stage[0].weight[order].clone())
        for x in (stage[1].weight, stage[1].bias, stage[1].running_mean, stage[1].running_var):
            x.copy_(x[order].clone())
        linear.weight.copy_(linear.weight[:, order].clone())
    return model


def test_a_student_of_smaller_images_catches_up_with_what_its_teacher_sees(source):
    more = [SMALLER, "--unlabelled=40", "--unlabelled-batch=20", "--epochs=8", "--methods=none,neuron_transport:30"]
    assert main(["finetune", f"--teacher={TEACHER}", *NEW, *more, "--seeds=1", "--out=runs/views"]) == 0
    assert step0("runs/views")["neuron_transport:30"]["notes"][0].startswith(f"Start: 18 tensors taken from {TEACHER}")
    lines = Path("runs/views/neuron_transport=30/seed-0/metrics.jsonl").read_text().splitlines()
    apart = [json.loads(line).get("train/neuron_transport") for line in lines]
    assert apart[-1] < 0.7 * next(value for value in apart if value is not None)
    student = kantor.load("runs/views/neuron_transport=30/seed-0/student.safetensors")
    assert student.network(torch.rand(2, 1, 4, 4)).shape == (2, 5)


def test_planted_the_optimal_plan_finds_permuted_units_again(source, tmp_path):
    """The student is its teacher with its units in another order: matching must help, and identity pull it apart."""
    teacher, x = kantor.load(f"{TEACHER}/student.safetensors").eval(), torch.rand(8, 1, 8, 8)
    start = permuted(kantor.load(f"{TEACHER}/student.safetensors").eval())
    torch.testing.assert_close(start(x), teacher(x))
    start.save(tmp_path / "permuted.safetensors")
    arguments = ["finetune", f"--teacher={TEACHER}", f"--start={tmp_path / 'permuted.safetensors'}", *NEW]
    methods = "neuron_transport@stages=1,neuron_transport@plan=identity@stages=1"  # its last units are in another order
    arguments += ["--seeds=2", "--epochs=5", "--record-plans=every=0"]
    assert main([*arguments, f"--methods={methods}", "--out=runs/planted"]) == 0
    optimal, identity = (step0("runs/planted")[m]["terms"][1]["value"] for m in methods.split(","))
    assert optimal < 0.05 < 0.5 < identity
    rows = json.loads(Path("runs/planted/summary.json").read_text())["methods"]
    optimal, identity = (rows[m]["validation_accuracy"] for m in methods.split(","))
    assert np.mean(optimal) > np.mean(identity)


@pytest.mark.slow
def test_penalty_and_attention_are_the_same_under_two_processes(source):
    assert main(["distill", *SHORT, LOW, "--student=mlp", "--methods=none", "--seeds=1", "--out=runs/mlp"]) == 0
    arguments = ["finetune", "--teacher=runs/mlp/none/seed-0", *NEW, "--seeds=1", "--methods=l2_sp+delta"]
    arguments += ["--batch-size=24", "--device=cpu"]
    assert main([*arguments, "--out=runs/one"]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "kantor"]
    done = subprocess.run(
        [*torchrun, *arguments, "--out=runs/two"], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    one, two = (load_file(f"runs/{run}/l2_sp+delta/seed-0/student.safetensors") for run in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=1e-5, rtol=1e-4)
