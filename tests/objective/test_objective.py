import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.data import Batch
from kantor.losses import DKD, KD, FitNet, NeuronTransport
from kantor.objective import Balanced, Objective, Term, Weight
from tests.objective.networks import a_batch, network


def both() -> list[Term]:
    return [
        Term(KD(), student="logits", teacher="big:logits", weight=0.9),
        Term(NeuronTransport(), student="2", teacher="big:2", weight=2.0),
    ]


def test_the_loss_is_the_weighted_sum_and_check_leaves_the_student_as_found():
    student, teacher, batch = network(4), network(8), a_batch()
    before = {key: value.clone() for key, value in student.state_dict().items()}
    objective = Objective(student, {"big": teacher}, both(), task_weight=0.1)
    generator = torch.get_rng_state()
    facts = objective.check(batch, quiet=True)
    assert all(torch.equal(before[key], value) for key, value in student.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    result = objective(batch)
    assert list(result.terms) == ["task", "kd", "neuron_transport"]
    expected = 0.1 * result.terms["task"] + 0.9 * result.terms["kd"] + 2.0 * result.terms["neuron_transport"]
    torch.testing.assert_close(result.loss, expected)
    assert sum(term.gradient_share for term in facts.terms) == pytest.approx(1)


def test_labels_that_some_samples_lack_are_said():
    batch, objective = a_batch(), Objective(network(4), {"big": network(8)}, both())
    assert "logits <- labels\n" in str(objective.check(batch, quiet=True))
    mixed = Batch(batch.inputs, batch.targets[:5], batch.ids)
    said = str(Objective(network(4), {"big": network(8)}, both()).check(mixed, quiet=True))
    assert f"logits <- labels (the first 5 of {len(batch)} samples have a label)\n" in said


def test_a_teacher_that_does_not_name_its_classes_is_said_to_be_taken_at_its_word():
    class Named(nn.Module):
        def __init__(self, names: list[str] | None) -> None:
            super().__init__()
            self.inner, self.class_names, self.num_classes = network(4), names, 4

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    names = ["cat", "dog", "ship", "bird"]
    terms = [Term(KD(), student="logits", teacher="big:logits", weight=0.9)]
    for theirs, said in ((None, True), (names, False)):
        facts = Objective(Named(names), {"big": Named(theirs)}, terms).check(a_batch(), quiet=True)
        assert ("big does not name its 4 classes: they are taken for the student's" in str(facts)) is said
        assert facts.record()["teachers"][0]["unnamed"] == (4 if said else 0)


def test_gradient_shares_are_shares_of_norms():
    student, batch = network(4).eval(), a_batch()
    student[5].p = 0.0
    objective = Objective(student, {"big": network(8)}, both(), task_weight=0.1)
    facts = objective.check(batch, quiet=True)
    result = objective(batch)
    norms = []
    for name, weight in (("task", 0.1), ("kd", 0.9), ("neuron_transport", 2.0)):
        grads = torch.autograd.grad(
            weight * result.terms[name], list(student.parameters()), retain_graph=True, allow_unused=True
        )
        norms.append(torch.cat([g.flatten() for g in grads if g is not None]).norm().item())
    assert [term.gradient_share for term in facts.terms] == pytest.approx([n / sum(norms) for n in norms], rel=1e-4)
    again = objective.gradient_shares(result, scale=1024.0)
    assert list(again.values()) == pytest.approx([n / sum(norms) for n in norms], rel=1e-4)
    assert all(p.grad is None for p in student.parameters())
    result.loss.backward()  # the graph is still there


def test_a_term_reaches_the_layers_before_its_own_and_none_after():
    student, batch = network(4), a_batch()
    objective = Objective(student, {"big": network(8)}, [Term(NeuronTransport(), "2", "2")], task_weight=0.0)
    objective.check(batch, quiet=True)
    objective(batch).loss.backward()
    assert student.get_parameter("0.weight").grad.abs().sum() > 0
    assert student.get_parameter("6.weight").grad.abs().sum() == 0


def test_the_teacher_is_frozen_in_eval_mode_and_in_no_state():
    student, teacher, batch = network(4), network(8), a_batch()
    objective = Objective(student, {"big": teacher}, both())
    objective.check(batch, quiet=True)
    running = teacher.get_buffer("1.running_mean").clone()
    objective.train()
    teacher.train()  # what a careless user does
    objective(batch).loss.backward()
    assert torch.equal(running, teacher.get_buffer("1.running_mean"))
    assert all(p.grad is None for p in teacher.parameters())
    ours = {id(p) for p in objective.parameters()}
    assert not any(id(p) in ours for p in teacher.parameters())
    assert sum(p.numel() for p in objective.parameters()) == sum(p.numel() for p in student.parameters())
    assert len(objective.state_dict()) > len(student.state_dict())


def test_no_hook_is_left_on_student_or_teacher():
    student, teacher, batch = network(4), network(8), a_batch()
    objective = Objective(student, {"big": teacher}, both())
    objective.check(batch, quiet=True)
    objective(batch)
    for module in (*student.modules(), *teacher.modules()):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_losses_own_parameters_are_trained_and_do_not_touch_the_students_start():
    batch = a_batch()
    starts = []
    for terms in ([], [Term(FitNet(), "2", "2")]):
        torch.manual_seed(0)
        student = network(4)
        objective = Objective(student, {"big": network(8)}, terms, seed=3)
        objective.check(batch, quiet=True)
        starts.append(student.get_parameter("0.weight").detach().clone())
        extra = sum(p.numel() for p in objective.parameters()) - sum(p.numel() for p in student.parameters())
        assert extra == (0 if not terms else 4 * 8 + 2 * 8)
    assert torch.equal(*starts)


def test_layers_are_proposed_where_none_are_named(capsys):
    import kantor

    student = kantor.load("vit@dim=24@depth=2@heads=2", classes=4, input_shape=(1, 8, 8))
    teacher = kantor.load("resnet8", classes=4, input_shape=(1, 8, 8))
    x = torch.rand(8, 1, 8, 8)
    objective = Objective(student, {"t": teacher}, [Term(NeuronTransport(spatial="positions"))])
    objective.check(Batch({"student": x, "teacher": x}, torch.arange(8) % 4))
    said = capsys.readouterr().out
    assert "blocks.1" in said
    assert "t:layer3" in said
    assert "frozen, eval" in said
    assert "% right on this batch" in said


def test_names_reach_the_terminal_without_escape_sequences(capsys):
    name = "\x1b]0;owned\x07layer"
    student, teacher = network(4), network(8)
    student.insert(6, nn.Identity())
    student._modules[name] = student._modules.pop("6")  # a name that no attribute could have
    student._modules["7"] = student._modules.pop("7")
    objective = Objective(student, {"big": teacher}, [Term(FitNet(), student=name, teacher="big:5")])
    objective.check(a_batch())
    said = capsys.readouterr().out
    assert "layer [16, 4] <- big:5" in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_two_teachers_each_with_its_term():
    batch = a_batch()
    terms = [
        Term(NeuronTransport(), "2", "a:2", name="from a"),
        Term(NeuronTransport(), "2", "b:2", name="from b"),
    ]
    objective = Objective(network(4), {"a": network(8), "b": network(6)}, terms)
    objective.check(batch, quiet=True)
    assert set(objective(batch).terms) == {"task", "from a", "from b"}


def test_weights_follow_progress():
    weight = Weight(2.0, "linear", end=1.0, warmup=0.5)
    assert [weight.at(p) for p in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0, 1, 2, 1.5, 1])
    assert Weight(2.0, "cosine").at(0.5) == pytest.approx(1)
    batch = a_batch()
    terms = [Term(NeuronTransport(), "2", "2", weight=Weight(4.0, "linear"))]
    student = network(4).eval()
    objective = Objective(student, {"big": network(8)}, terms)
    objective.check(batch, quiet=True)
    losses = []
    for progress in (0.0, 0.5):
        objective.progress = progress
        result = objective(batch)
        losses.append((result.loss - result.terms["task"]).item() / result.terms["neuron_transport"].item())
    assert losses == pytest.approx([4, 2], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ([Term(NeuronTransport(), "layer3", "2")], {}), ConfigError, "layer3"),
        (lambda: ([Term(NeuronTransport(), "2", "other:2")], {}), ConfigError, "big"),
        (lambda: ([Term(NeuronTransport(), "2", None)], {}), ConfigError, "both student and teacher"),
        (lambda: ([Term(NeuronTransport(), ["2", "0"], ["2", "0"])], {}), ConfigError, "a term per pair"),
        (lambda: ([Term(KD(), "logits", "logits"), Term(KD(), "logits", "logits")], {}), ConfigError, "called 'kd'"),
        (lambda: ([Term(KD(), "logits", "2")], {}), ShapeError, r"\(16, 4\).*\(16, 8, 6, 6\)"),
        (lambda: ([], {"task_weight": -1.0}), ConfigError, "task_weight"),
        (lambda: ([Term(NeuronTransport(), "2", "2", weight=-1.0)], {}), ConfigError, "zero or positive"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(make, error, says):
    terms, settings = make()
    with pytest.raises(error, match=says):
        Objective(network(4), {"big": network(8)}, terms, **settings).check(a_batch(), quiet=True)


def test_a_teacher_of_other_classes_under_kd_says_what_can_be_used():
    import kantor

    student = kantor.load("cnn@width=8", classes=["cat", "dog"], input_shape=(1, 8, 8))
    x = torch.rand(4, 1, 8, 8)
    batch = Batch({"student": x, "teacher": x}, torch.tensor([0, 1, 0, 1]))
    for classes in (["cat", "dog", "ship"], ["ship", "car"]):
        teacher = kantor.load("cnn@width=8", classes=classes, input_shape=(1, 8, 8))
        with pytest.raises(ConfigError, match=r"ship.*student.*cat, dog.*neuron_transport"):
            Objective(student, {"t": teacher}, [Term(KD())]).check(batch, quiet=True)
        Objective(student, {"t": teacher}, [Term(NeuronTransport())]).check(batch, quiet=True)


def test_a_term_whose_gradient_is_not_finite_is_named_at_step_zero():
    objective = Objective(network(4), {"t": network(8)}, [Term(KD(), weight=1e38)])
    with pytest.raises(NonFiniteError, match="The gradient of kd is not finite on the first batch"):
        objective.check(a_batch(), quiet=True)


def test_a_term_that_is_not_finite_is_named_at_step_zero():
    student = network(4)
    with torch.no_grad():
        student[6].weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="Term task"):
        Objective(student, {}, []).check(a_batch(), quiet=True)


def test_forward_before_check_says_so():
    with pytest.raises(ConfigError, match=r"objective\.check"):
        Objective(network(4), {"big": network(8)}, both())(a_batch())


def test_without_labels():
    batch = a_batch()
    batch = Batch(batch.inputs)
    objective = Objective(network(4), {"big": network(8)}, [Term(NeuronTransport(), "2", "2")], task=None)
    objective.check(batch, quiet=True)
    assert list(objective(batch).terms) == ["neuron_transport"]
    with pytest.raises(ConfigError, match="task=None"):
        Objective(network(4), {}, [], task=F.cross_entropy)(batch)


def test_under_autocast_the_value_stays_close_and_finite():
    student, batch = network(4).eval(), a_batch()
    objective = Objective(student, {"big": network(8)}, both())
    objective.check(batch, quiet=True)
    full = objective(batch).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = objective(batch).loss
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


def test_a_balanced_weight_gives_the_stated_share_of_the_tasks_gradient():
    student, batch = network(4).eval(), a_batch()
    student[5].p = 0.0
    terms = [
        Term(KD(), "logits", "logits", weight=Balanced(0.5)),
        Term(NeuronTransport(), "2", "2", weight=Balanced()),
    ]
    objective = Objective(student, {"big": network(8)}, terms, task_weight=2.0)
    facts = objective.check(batch, quiet=True)
    shares = {term.name: term.gradient_share for term in facts.terms}
    assert shares["kd"] == pytest.approx(shares["task"] / 2, rel=1e-4)
    assert shares["neuron_transport"] == pytest.approx(shares["task"], rel=1e-4)
    with pytest.raises(ConfigError, match="no task"):
        Objective(network(4), {"big": network(8)}, [Term(KD(), weight=Balanced())], task=None).check(batch, quiet=True)


def test_a_frozen_stage_stays_as_it_is_whoever_calls_train():
    student, batch = network(4), a_batch()
    before = {key: value.clone() for key, value in student.state_dict().items()}
    objective = Objective(student, {}, [], freeze=["0", "1"])
    objective.check(batch, quiet=True)
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        objective.train()
        objective(batch).loss.backward()
        optimizer.step()
    changed = {key for key, value in student.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"6.weight", "6.bias"}


def test_the_task_sees_labelled_samples_alone_and_transfer_sees_all():
    student, batch = network(4).eval(), a_batch(12)
    student[5].p = 0.0
    mixed = Batch(batch.inputs, batch.targets[:5], batch.ids)
    few = Batch({role: x[:5] for role, x in batch.inputs.items()}, batch.targets[:5], batch.ids[:5])
    objective = Objective(student, {"big": network(8)}, both())
    facts = objective.check(mixed, quiet=True)
    task, kd = (objective(mixed).terms[name] for name in ("task", "kd"))
    torch.testing.assert_close(task, objective(few).terms["task"])
    torch.testing.assert_close(kd, objective(batch).terms["kd"])
    assert not torch.isclose(kd, objective(few).terms["kd"])
    assert facts.teachers[0].accuracy is not None


def test_a_loss_that_needs_every_target_refuses_samples_without_one():
    batch = a_batch(12)
    objective = Objective(network(4), {"big": network(8)}, [Term(DKD(), student="logits", teacher="big:logits")])
    with pytest.raises(ConfigError, match=r"dkd needs a target of every sample.*unlabelled"):
        objective.check(Batch(batch.inputs, batch.targets[:5], batch.ids), quiet=True)


def test_teachers_that_see_different_things():
    """Each network reads its own input; their widths differ, so none could read another's."""
    inputs = {"student": torch.rand(8, 5), "mri": torch.rand(8, 12), "ct": torch.rand(8, 9)}
    batch = Batch(inputs, torch.arange(8) % 4)
    mri, ct = nn.Linear(12, 4), nn.Linear(9, 4)
    terms = [Term(KD(), student="logits", teacher=f"{name}:logits", name=name) for name in ("mri", "ct")]
    objective = Objective(nn.Linear(5, 4), {"mri": mri, "ct": ct}, terms)
    facts = objective.check(batch, quiet=True)
    assert "Teacher mri: 52 parameters (2.2 x the student's), sees mri [12], frozen" in str(facts)
    assert "sees ct [9]" in str(facts)
    student = objective.student(inputs["student"])
    result = objective(batch)
    for name, network_ in (("mri", mri), ("ct", ct)):
        want = objective.terms[0].loss(student, network_(inputs[name]))
        torch.testing.assert_close(result.terms[name], want)
    unknown = Objective(nn.Linear(5, 4), {"cat": ct}, [Term(KD(), student="logits", teacher="cat:logits")])
    with pytest.raises(ConfigError, match=r"no view for teacher 'cat'\. Close to it: ct"):
        unknown.check(batch)


def test_a_pair_or_a_mapping_is_a_batch_too():
    student, batch = network(4).eval(), a_batch()
    objective = Objective(student, {"big": network(8)}, both())
    pair = (batch.inputs["student"], batch.targets)
    objective.check(pair, quiet=True)
    torch.testing.assert_close(objective(pair).loss, objective(batch).loss)
    torch.testing.assert_close(objective({"x": pair[0], "labels": pair[1]}).loss, objective(batch).loss)


def test_a_teacher_that_sees_other_samples_is_refused():
    batch = a_batch()
    batch = Batch({"student": batch.inputs["student"], "teacher": batch.inputs["student"][:1]}, batch.targets)
    with pytest.raises(ShapeError, match=r"big:logits is \[1, 4\] where the student's is \[16, 4\].*same samples"):
        Objective(network(4), {"big": network(8)}, [Term(KD())]).check(batch, quiet=True)


def test_a_student_in_eval_mode_is_said_and_prepared_in_training_mode():
    modes = []

    class Watching(FitNet):
        def prepare(self, batches, student):
            own = objective.student
            modes.extend([m.training for m in (own, own[1], own[5])] for _ in batches)

    student, batch = network(4), a_batch()
    objective = Objective(student, {"big": network(8)}, [Term(Watching(), "logits", "logits")], freeze=["0", "1"])
    assert "eval mode" not in str(objective.check(batch, quiet=True))
    student.eval()
    objective.prepare([batch, batch])
    assert modes == [[True, False, True]] * 2
    assert not any(module.training for module in student.modules())
    facts = Objective(student, {"big": network(8)}, [Term(KD())]).check(batch, quiet=True)
    assert "The student is in eval mode at 1 (BatchNorm2d), 5 (Dropout): there dropout is off" in str(facts)


def test_a_batch_without_a_label_that_counts_is_no_batch_to_check():
    checked = Objective(nn.Linear(4, 3), {}, [])
    with pytest.raises(ConfigError, match="No label of this batch counts"):
        checked.check(torch.randn(8, 4), torch.full((8,), -100), quiet=True)
