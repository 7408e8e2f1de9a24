"""The loop: what it keeps and reports, what it shows a pretraining, and how it ends where numbers do."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import kantor
from kantor import losses
from kantor.core.errors import NonFiniteError
from kantor.data import Augment, Loader
from kantor.objective import LiveTeacher
from kantor.tasks import Regression
from kantor.training import Pair, PlanSamples, Training, train

SETTINGS = Training(epochs=3, batch_size=40, lr=0.05, augment="none", device="cpu", record_plans="every=0")


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return kantor.open_data("digits", train_limit=200)


def objective_of(digits, terms=(), teacher=None, width=8, **more):
    torch.manual_seed(0)
    student = kantor.load(f"cnn@width={width}", classes=digits.classes, input_shape=(1, 8, 8))
    found = kantor.Objective(student, {} if teacher is None else {"big": teacher}, list(terms), **more)
    found.check(next(Loader(digits.train, 40, seed=0, augment=Augment.named("none")).epoch(0)), quiet=True)
    return found


def settings(**changes) -> Training:
    return Training(**{**vars(SETTINGS), **changes})


def lines(folder) -> list[dict]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_validation_accuracy_is_that_of_the_student_that_is_kept(digits, tmp_path, select):
    # At this rate the best epoch is not the last.
    config = settings(epochs=5, lr=1.0, select=select, schedule="constant")
    outcome = train(objective_of(digits), digits, config, tmp_path, seed=1)
    seen = [line["validation/accuracy"] for line in lines(tmp_path)][1:]
    assert seen[-1] != max(seen)
    assert outcome is not None
    assert outcome.validation_accuracy == (seen[-1] if select == "last" else max(seen))
    assert outcome.epoch == (5 if select == "last" else 1 + seen.index(max(seen)))
    again = train(objective_of(digits), digits, config, tmp_path, seed=1)  # as after a kill before the result
    assert again is not None
    assert again.validation_accuracy == outcome.validation_accuracy


def test_a_pretraining_sees_a_new_order_and_new_crops_in_each_epoch(digits, tmp_path):
    seen: list[list[int]] = []
    inputs: list[torch.Tensor] = []

    class Looking(losses.FitNet):
        def prepare(self, batches, student=()):
            for _ in range(3):
                seen.append([])
                for s, _ in batches:
                    seen[-1].append(len(s))

    teacher = kantor.load("cnn@width=8", classes=digits.classes, input_shape=(1, 8, 8))
    objective = objective_of(digits, [kantor.Term(Looking(), student="layer3", teacher="layer3")], teacher)
    objective.student.register_forward_pre_hook(lambda module, given: inputs.append(given[0].clone()))
    train(objective, digits, settings(epochs=1), tmp_path, seed=0, judge=False)
    steps = len(seen[0])
    first, second, third = (torch.cat(inputs[k * steps : (k + 1) * steps]) for k in range(3))
    assert len(seen) == 3
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


def test_a_frozen_norm_is_left_alone_by_training_validation_and_records(digits, tmp_path):
    torch.manual_seed(0)
    student = kantor.load("resnet8", classes=digits.classes, input_shape=(1, 8, 8))
    norm = student.network.get_submodule("bn1").eval().requires_grad_(False)
    teacher = kantor.load("cnn@width=8", classes=digits.classes, input_shape=(1, 8, 8))
    objective = kantor.Objective(student, {"t": teacher}, [])
    before = norm.get_buffer("running_mean").clone()
    probe = PlanSamples(digits.train, [Pair("layer3", "layer3", "t")], objective.teachers)
    train(objective, digits, settings(record_plans="every=1"), tmp_path, seed=0, plan_samples=probe)
    assert torch.equal(norm.get_buffer("running_mean"), before)
    assert not norm.training


def test_a_student_that_comes_in_eval_mode_is_trained(digits, tmp_path):
    torch.manual_seed(0)
    student = kantor.load("resnet8", classes=digits.classes, input_shape=(1, 8, 8)).eval()
    before = student.network.get_buffer("bn1.running_mean").clone()
    train(kantor.Objective(student, {}, []), digits, settings(epochs=1), tmp_path, seed=0)
    assert not torch.equal(student.network.get_buffer("bn1.running_mean"), before)


AT_ONCE = {"lr": 1e38, "epochs": 1, "batch_size": 200, "schedule": "constant"}
"""One step, the last."""


@pytest.mark.parametrize("changes", [{"lr": 1e38}, AT_ONCE, {"lr": 1e38, "optimizer": "adamw"}])
@pytest.mark.parametrize("validated", [True, False])
def test_divergence_is_said_and_never_written(digits, tmp_path, changes, validated):
    data = digits if validated else kantor.open_data("digits", train_limit=200, validation=0)
    teacher = kantor.load("cnn@width=8", classes=digits.classes, input_shape=(1, 8, 8))
    probe = PlanSamples(data.train, [Pair("layer3", "layer3", "t")], {"t": LiveTeacher(teacher)})
    config = settings(record_plans="every=1", log_every=1, **changes)
    with pytest.raises(NonFiniteError, match="last good checkpoint stays in"):
        train(objective_of(digits), data, config, tmp_path, seed=0, plan_samples=probe)
    for line in lines(tmp_path):
        assert all(math.isfinite(value) for value in line.values())
    kept = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert all(x.isfinite().all() for x in kept["objective"].values() if x.is_floating_point())


class Damaged(nn.Module):
    """NaN on one certain image."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.image, self.num_classes = image, 10
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        logits = x.flatten(1)[:, :10] * self.scale
        return torch.where((x == self.image).flatten(1).all(1, keepdim=True), math.nan, logits)


@pytest.mark.parametrize("loss", [losses.KD(), losses.NeuronTransport()])
def test_a_teachers_nan_names_teacher_and_sample(digits, tmp_path, loss):
    order = Loader(digits.train, 40, seed=0, augment=Augment.named("none")).order(0)
    late = order[-1]  # in the last batch: step 0 cannot see it
    damaged = Damaged(digits.train.read(np.array([late]))["student"])
    objective = objective_of(digits, [kantor.Term(loss, student="logits", teacher="logits")], damaged)
    with pytest.raises(
        NonFiniteError, match=rf"Teacher big's logits is not finite, for sample ids \[{digits.train.ids[late]}\]"
    ):
        train(objective, digits, settings(), tmp_path, seed=0)


def test_step_zero_names_a_teacher_whose_outputs_are_not_finite(digits):
    first = Loader(digits.train, 40, seed=0, augment=Augment.named("none")).order(0)[0]
    with pytest.raises(NonFiniteError, match=rf"Teacher big's logits is not finite.*{digits.train.ids[first]}"):
        objective_of(digits, [kantor.Term(losses.KD())], Damaged(digits.train.read(np.array([first]))["student"]))


def standing_still(digits):
    """A student that says the same of every sample, and learns nothing."""
    objective = objective_of(digits)
    with torch.no_grad():
        objective.student.get_parameter("network.linear.weight").zero_()
    objective.student.requires_grad_(False)
    objective.student.get_parameter("network.linear.bias").requires_grad_(True)
    return objective


def test_a_student_that_ends_at_chance_is_recorded_with_its_epoch(digits, tmp_path):
    outcome = train(standing_still(digits), digits, settings(lr=1e-9, select="last"), tmp_path, seed=1)
    assert outcome is not None
    assert outcome.collapse is not None
    assert outcome.collapse.epoch == 1
    assert "one class for every sample" in outcome.collapse.signs
    assert outcome.epochs == 3


def test_a_good_student_is_not_called_collapsed(digits, tmp_path):
    outcome = train(objective_of(digits), digits, settings(epochs=8), tmp_path, seed=1)
    assert outcome is not None
    assert outcome.collapse is None


def test_a_collapsed_student_is_stopped_where_that_is_asked_for(digits, tmp_path):
    config = settings(epochs=10, lr=1e-9, select="last", on_collapse="stop")
    outcome = train(standing_still(digits), digits, config, tmp_path, seed=1)
    assert outcome is not None
    assert outcome.epochs == 4  # at chance for three epochs after the first
    again = train(standing_still(digits), digits, config, tmp_path, seed=1)  # as after a kill before the result
    assert again is not None
    assert again.epochs == 4


def test_a_limited_weight_is_logged_as_it_acts(digits, tmp_path):
    teacher = kantor.load("cnn@width=16", classes=digits.classes, input_shape=(1, 8, 8))
    objective = objective_of(digits, [kantor.Term(losses.NeuronTransport())], teacher)
    train(objective, digits, settings(epochs=1), tmp_path, seed=1)
    weights = [f"weight/neuron_transport.layer{stage}" for stage in (1, 2, 3)]
    acted = [line[weight] for line in lines(tmp_path) if "epoch" in line for weight in weights]
    assert len(acted) == 2 * 3
    assert all(0 < weight <= losses.NeuronTransport.default_weight for weight in acted)


def test_a_gradient_that_overflows_is_no_step_of_zero(digits, tmp_path):
    # Finite in the loss, infinite in the gradient's norm: clipping it to zero would leave the student standing.
    objective = objective_of(digits, task_weight=1e36, task=lambda logits, targets: logits.exp().mean() * 1e2)
    with pytest.raises(NonFiniteError, match="gradient's norm is inf"):
        train(objective, digits, settings(epochs=1), tmp_path, seed=1)


def test_a_good_student_without_a_validation_part_is_not_called_collapsed(digits, tmp_path):
    whole = replace(digits, validation=None)
    outcome = train(objective_of(whole), whole, settings(epochs=8), tmp_path, seed=1)
    assert outcome is not None
    assert outcome.collapse is None


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Vectors, and a number that is a sum of theirs."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(160, 6)).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "numbers.npz"
    np.savez(path, x=x, y=x.sum(axis=1) + 0.1 * generator.normal(size=160))
    return kantor.open_data(path, kind="numbers")


def regressor(numbers):
    torch.manual_seed(0)
    student = kantor.load("mlp@hidden=16", classes=numbers.classes, input_shape=(6,))
    student.fit_normaliser(numbers.train.read(np.arange(len(numbers.train)))["student"])
    found = kantor.Objective(student, {}, [], task=Regression())
    found.check(next(Loader(numbers.train, 40, seed=0, augment=Augment.named("none")).epoch(0)), quiet=True)
    return found


def test_the_best_student_of_a_regression_is_that_of_the_lowest_error(numbers, tmp_path):
    config = settings(epochs=6, lr=0.1, batch_size=20, select="best", schedule="constant")
    outcome = train(regressor(numbers), numbers, config, tmp_path, seed=0)
    assert outcome is not None
    seen = [line["validation/RMSE"] for line in lines(tmp_path)][1:]
    assert outcome.epoch == 1 + seen.index(min(seen))
    assert outcome.validation == min(seen) < max(seen)
    assert outcome.metrics is not None
    assert outcome.metrics["RMSE"] < 1 < np.std(numbers.test.targets)
    assert outcome.accuracy is None
    assert outcome.validation_accuracy is None
    assert outcome.collapse is None
    assert {"train/RMSE", "train/R2", "validation/R2", "validation/loss"} <= set(lines(tmp_path)[-1])


def test_the_error_on_training_batches_is_the_root_of_their_mean_square(numbers, tmp_path):
    train(regressor(numbers), numbers, settings(epochs=1, batch_size=20, clip=None), tmp_path, seed=0)
    last = lines(tmp_path)[-1]
    assert last["train/RMSE"] == pytest.approx(math.sqrt(last["train/task"]), rel=1e-6)
