"""Students that start from their teacher's weights, carried through transport, in a study."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import kantor
from kantor.carry import LayerPlans
from kantor.core.errors import ConfigError
from kantor.study.execution.student import Workbench, make_objective, new_student
from kantor.study.resume.prepared import Prepared
from kantor.study.run import resume, run_study
from kantor.study.settings.resolved import resolve
from kantor.study.settings.starting_weights import CarriedStart, Start
from kantor.training.batches import training_batches
from small import console, printed, settings

CARRIED = {"teacher": "mlp@hidden=16", "start": "transport", "methods": "none,kd", "epochs": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a finished run, and what was printed."""
    said = console()
    folder = tmp_path_factory.mktemp("carried")
    return run_study(settings(folder, **CARRIED), said), printed(said)


def test_every_student_begins_with_what_is_carried_to_it(finished):
    run, said = finished
    study = resolve(settings(run.parents[1], **CARRIED))
    assert study.starts == {"none": CarriedStart("teacher"), "kd": CarriedStart("teacher")}
    data, plan = study.open_data(), Prepared.read(run)
    teacher = kantor.load(plan.teachers["teacher"]["spec"])
    for seed in (0, 1):
        student, given = new_student(study, data, seed, plan.starts["kd"])
        again = new_student(study, data, seed)[0]
        kantor.transported(teacher, again, data, seed=seed)
        assert given is not None and str(given) == "Start: teacher's weights, carried through transport."
        for name, value in student.network.state_dict().items():
            assert torch.equal(value, again.network.state_dict()[name]), name
    assert said.count("Start: teacher's weights, carried through transport.") == 2
    assert "Start of seed 0: teacher's weights, carried through transport.\n  layers.0.0.weight: 16 units to 4" in said
    kept = json.loads((run / "starts" / "seed-0.json").read_text())
    assert f"before training: {kept['untrained']}" in said
    assert kept["untrained"].endswith("% of the test part right")


def test_what_began_goes_on_from_the_same_weights(finished):
    run, _ = finished
    before = (run / "kd" / "seed-1" / "student.safetensors").read_bytes()
    starts = {path: path.stat().st_mtime_ns for path in (run / "starts").iterdir()}
    shutil.rmtree(run / "kd" / "seed-1")
    said = console()
    resume(run, said)
    assert (run / "kd" / "seed-1" / "student.safetensors").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in (run / "starts").iterdir()} == starts
    assert "layers.0.0.weight: 16 units to 4" in printed(said)


def test_a_start_that_was_changed_is_refused(tmp_path):
    run = run_study(settings(tmp_path, **CARRIED, seeds=1), console())
    file = run / "starts" / "seed-0.safetensors"
    kantor.load(f"mlp@hidden=4:{run / 'none' / 'seed-0' / 'student.safetensors'}").save(file)
    with pytest.raises(ConfigError, match=r"the file \(.*seed-0.safetensors\) is not what it was"):
        resume(run, console())


def test_a_method_may_have_the_start_alone(tmp_path):
    methods = [{"name": "none"}, {"name": "carried", "start": "transport"}]
    run = run_study(settings(tmp_path, **CARRIED | {"methods": methods, "start": "scratch", "seeds": 1}), console())
    starts = Prepared.read(run).starts
    assert starts["none"] is None and isinstance(starts["carried"], Start)


def test_students_of_other_classes_draw_classifiers_of_their_own(tmp_path):
    kantor.load("mlp@hidden=16", classes=["far", "near"], input_shape=(4,)).save(tmp_path / "theirs.safetensors")
    changes = {"teacher": f"mlp@hidden=16:{tmp_path / 'theirs.safetensors'}", "methods": "none,neuron_transport"}
    run = run_study(settings(tmp_path, **CARRIED | changes), console())
    zero, one = (load_file(run / "starts" / f"seed-{seed}.safetensors") for seed in (0, 1))
    heads = [name for name in zero if zero[name].shape[0] == 2]
    assert heads and not any(torch.equal(zero[name], one[name]) for name in heads)
    kept = json.loads((run / "starts" / "seed-0.json").read_text())
    assert kept["groups"][-1] == "new: linear.weight, linear.bias"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "mlp@depth=3@hidden=16"}, "the student lacks layers"),
        ({"teacher": "mlp@hidden=16,mlp@hidden=8"}, "start transport needs one teacher"),
        ({"teacher": None, "methods": "none"}, "start transport needs one teacher"),
    ],
)
def test_what_cannot_be_carried_is_refused_before_a_teacher_is_trained(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        run_study(settings(tmp_path, **CARRIED | changes), console())
    assert not (tmp_path / "runs" / "teachers").exists()


def test_the_plan_of_the_start_is_held(tmp_path):
    method = "neuron_transport@plan=start"
    run = run_study(settings(tmp_path, **CARRIED | {"methods": f"none,{method}"}), console())
    bench = Workbench(run)
    plans = LayerPlans.read(run / "starts" / "seed-1.plans.npz")
    student, given = new_student(bench.study, bench.data, 1, bench.plan.starts[method])
    (placed,) = bench.plan.terms(method)
    bound = replace(bench.methods[method], terms=(placed,))
    objective = make_objective(bench.study, bench.data, student, bench.teachers, bound, {}, seed=1, given=given)
    objective.check(next(training_batches(bench.data, bench.config, 1, transfers=True).epoch(0)), quiet=True)
    ((loss, layers),) = objective.transfers
    assert torch.equal(loss.get_buffer("fixed"), plans[layers.student_layers[0]])
    # Two seeds, two searches.
    assert (run / "starts" / "seed-0.plans.npz").exists()


def test_a_plan_of_the_start_needs_one(tmp_path):
    with pytest.raises(ConfigError, match="--start transport"):
        run_study(
            settings(tmp_path, **CARRIED | {"start": "scratch", "methods": "neuron_transport@plan=start"}), console()
        )
    assert not (tmp_path / "runs" / "teachers").exists()


def test_controls_stand_beside_the_start(tmp_path):
    methods = [{"name": plan, "start": f"transport@plan={plan}"} for plan in ("optimal", "identity", "random")]
    run = run_study(settings(tmp_path, **CARRIED | {"methods": methods, "seeds": 1}), console())
    starts = Prepared.read(run).starts
    files = {plan: Path(start.of(0).rpartition(":")[2]) for plan, start in starts.items() if start}
    assert files["optimal"] == run / "starts" / "seed-0.safetensors"
    assert files["random"] == run / "starts" / "random" / "seed-0.safetensors"
    weights = {plan: load_file(file)["layers.0.0.weight"] for plan, file in files.items()}
    assert not torch.equal(weights["optimal"], weights["random"])
    teacher = kantor.load(Prepared.read(run).teachers["teacher"]["spec"]).network.state_dict()["layers.0.0.weight"]
    torch.testing.assert_close(weights["identity"], teacher.reshape(4, 4, 4).mean(1))
    assert "carried through the random plan" in str(starts["random"].carried)


@pytest.mark.parametrize("text", ["transport@plan=best", "transport@plans=random", "transport@plan"])
def test_a_start_that_does_not_exist(tmp_path, text):
    with pytest.raises(ConfigError, match="start transport@plan"):
        run_study(settings(tmp_path, **CARRIED | {"start": text}), console())
