"""A study in one call: the command's own, with objects in the place of names."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kantor
import small
from kantor.cli import main
from kantor.core.errors import ConfigError, DataError
from kantor.study import Study

QUICK = {"seeds": 2, "epochs": 1, "jobs": 1, "batch_size": 20, "threads": 1, "quiet": True}


def network(width: int = 4, classes: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, classes))


def parts(samples: int = 60) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(samples + 20) % 2
    x = torch.randn(samples + 20, 4, generator=generator) + 3 * y[:, None]
    train, test = TensorDataset(x[:samples], y[:samples]), TensorDataset(x[samples:], y[samples:])
    return {"train": DataLoader(train, batch_size=8, shuffle=True), "test": test}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_is_the_study_that_the_command_makes(tmp_path):
    data = str(small.vectors(tmp_path))
    settings = {"data": data, "student": "mlp@hidden=4", "teacher": "mlp@hidden=8", "methods": "none,kd"}
    options = [f"--{key}={value}" for key, value in settings.items()]
    more = ["--seeds=2", "--epochs=1", "--batch-size=20", "--threads=1", "--teacher-epochs=1", "--jobs=1"]
    assert main(["distill", *options, *more, "--out", "runs/command"]) == 0
    found = kantor.study(**settings, teacher_epochs=1, out="runs/program", **QUICK)
    same = kantor.Comparison.of("runs/command")
    assert (
        found.to_frame(per_seed=True)
        .drop(columns="seconds")
        .equals(same.to_frame(per_seed=True).drop(columns="seconds"))
    )
    weights = (found.folder("kd", 1) / "student.safetensors").read_bytes()
    assert weights == (same.folder("kd", 1) / "student.safetensors").read_bytes()
    assert (found.run / "report.html").exists()


def test_objects_stand_where_names_do_and_the_same_call_goes_on(capsys):
    teacher = network(8)
    given = {
        "student": lambda num_classes: network(4, num_classes),
        "teacher": teacher,
        "data": parts(),
        "methods": {"alone": [], "mine": ["kd", kantor.Term.named("neuron_transport", student="0", teacher="0")]},
    }
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    found = kantor.study(**given, **QUICK)
    assert [row["method"] for row in found.rows()] == ["alone", "mine"]
    assert found.run.parts[0] == "runs" and found.run.name.startswith("data-student-")
    torch.testing.assert_close(dict(teacher.state_dict()), before)
    result = found.folder("mine", 1) / "result.json"
    changed = result.stat().st_mtime_ns
    again = kantor.study(**given, **QUICK)
    assert again.run == found.run and result.stat().st_mtime_ns == changed
    student = found.student("mine", 1)
    with torch.no_grad():
        assert student(torch.randn(3, 4)).shape == (3, 2)
    assert not torch.equal(student.network[0].weight, found.student("mine", 0).network[0].weight)
    # Another process has the objects not, and says what to do.
    assert main(["resume", str(found.run)]) == 2
    assert "object:data was handed over by a Python program" in capsys.readouterr().err


def test_every_student_is_a_copy_of_a_network_and_the_teachers_have_names(capsys):
    student = network()
    found = kantor.study(
        student=student, teacher={"one": network(8), "two": network(6)}, data=parts(), methods="none,kd",
        **QUICK | {"quiet": False, "lr": 1e-9},
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "every student is a copy of object:student, with its weights" in said and "Teacher two: object:two" in said
    for seed in (0, 1):
        torch.testing.assert_close(found.student("none", seed).network[0].weight, student[0].weight, atol=1e-6, rtol=0)
    terms = json.loads((found.run / "plan.json").read_text())["bound"]["kd"]
    assert [term["name"] for term in terms] == ["kd.one", "kd.two"]


def test_what_a_module_defines_is_known_by_its_name(tmp_path, write_module):
    module = write_module(
        "nets_of_mine",
        "from torch import nn\n"
        "import numpy as np\n"
        "def small(num_classes: int): return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, num_classes))\n"
        "def make(): return {'x': np.random.default_rng(0).normal(size=(60, 4)), 'y': np.arange(60) % 2}\n",
    )
    mine = __import__(module)
    found = kantor.study(student=mine.small, data=mine.make, methods="none", **QUICK)
    settings = Study.of_run(found.run)
    assert (settings.student, settings.data) == (f"{module}:small", f"{module}:make")
    assert not found.objects and main(["evaluate", str(found.folder("none"))]) == 0
    sys.modules.pop(module)


def test_a_task_may_be_an_object_and_data_may_have_no_classes():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    data = {"x": x, "y": x.sum(1)}
    task = kantor.tasks.Regression()
    found = kantor.study(student="mlp@hidden=4", data=data, task=task, methods="none", **QUICK)
    assert "RMSE" in found.rows()[0]


def test_a_plain_loss_is_a_task_that_judges_by_itself():
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    found = kantor.study(student=lambda: network(), data=parts(), task=smoothed, methods="none", **QUICK)
    assert 0 < found.rows()[0]["loss"] < 5


def test_inputs_and_labels_as_a_pair():
    (x, y), (u, v) = (part.tensors for part in (parts()["train"].dataset, parts()["test"]))
    given = {"student": lambda: network(), "methods": "none", **QUICK}
    pairs = kantor.study(data={"train": (x, y), "test": (u.numpy(), v.numpy())}, out="pairs", **given)
    whole = kantor.study(data=parts(), out="parts", **given)
    assert pairs.rows(per_seed=True)[0]["accuracy"] == whole.rows(per_seed=True)[0]["accuracy"]
    assert kantor.study(data=(x, y), out="one", **given).rows()


class Apart(kantor.losses.TransferLoss):
    """A loss of one's own, which learns."""

    name, default_weight, reads = "apart", 1.0, "logits"

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power

    def build(self, student_shapes, teacher_shapes, samples):
        super().build(student_shapes, teacher_shapes, samples)
        self.map = nn.Linear(student_shapes[0][1], teacher_shapes[0][1])

    def forward(self, student, teacher, *, targets=None, ids=None):
        return (self.map(student) - teacher).abs().pow(self.power).mean()


def test_a_loss_in_hand_is_a_method_or_a_term_and_every_student_has_a_copy():
    loss = Apart(1.5)
    methods = [loss, {"name": "both", "terms": ["kd", kantor.Term(Apart(3.0), weight=2.0)]}]
    given = {"student": lambda: network(), "teacher": network(8), "data": parts(), "out": "run", **QUICK}
    found = kantor.study(methods=methods, **given)
    assert [row["method"] for row in found.rows()] == ["apart", "both"] and loss.built is None
    (term,) = json.loads((found.run / "plan.json").read_text())["bound"]["apart"]
    assert term["name"] == "apart"
    with pytest.raises(ConfigError, match="differs in methods"):  # another power is another run
        kantor.study(methods=[Apart(2.5), *methods[1:]], **given)


def test_a_loss_that_was_trained_with_is_refused():
    loss = Apart()
    loss.build((torch.Size([4, 2]),), (torch.Size([4, 2]),), 0)
    with pytest.raises(ConfigError, match="apart has been trained with"):
        kantor.study(student=lambda: network(), teacher=network(8), data=parts(), methods=loss, **QUICK)


def test_a_teacher_that_is_not_made_for_the_data_is_named():
    with pytest.raises(ConfigError, match=r"object:teacher fails on samples of the shape \[4\]"):
        kantor.study(student=lambda: network(), teacher=nn.Linear(5, 2), data=parts(), methods="kd", **QUICK)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"sede": 1}, ConfigError, "study has no setting 'sede'. Close to it: seeds"),
        ({"student": 5}, ConfigError, "student is 5: give a network, a function that makes one"),
        ({"jobs": 2}, ConfigError, "jobs=2: processes of their own cannot see object:student, object:data"),
        ({"data": 3}, DataError, "data is a int, and arrays by name are needed"),
        ({"teacher": {"big": "resnet8"}}, ConfigError, "teacher 'big' is a name already"),
        ({"teacher": {"a b": network(), "a_b": network(5)}}, ConfigError, "Two objects are called 'a_b'"),
        ({"methods": [nn.MSELoss()]}, ConfigError, "MSELoss is no transfer loss. Write class Mine"),
        ({"seeds": 2.5}, ConfigError, "seeds is 2.5, and must be a whole number"),
        ({"student": lambda: network().append(nn.Linear(3, 2))}, ConfigError, r"object:student fails .* shape \[4\]"),
        ({"data": [("a cat", 0), ("a dog", 1)] * 20}, DataError, "texts are read from files"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(changes, error, message):
    with pytest.raises(error, match=message):
        kantor.study(**{"student": lambda: network(), "data": parts(), "methods": "none", **QUICK, **changes})


def test_a_function_that_returns_one_network_again_is_refused():
    one = network()
    with pytest.raises(ConfigError, match="returned a network that it returned before"):
        kantor.study(student=lambda: one, data=parts(), methods="none", **QUICK)


def test_data_that_was_opened_is_refused():
    with pytest.raises(ConfigError, match="give what open_data was given"):
        kantor.study(student="cnn", data=kantor.open_data("digits", train_limit=20), methods="none", **QUICK)


def test_a_network_sees_what_the_data_has_and_a_model_brings_its_own_preprocessing():
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    loaded = kantor.load("mlp@hidden=4@normalise=0,0,0,0/2,2,2,2", classes=2, input_shape=(4,))
    found = kantor.study(
        student=loaded, data={"x": x, "y": np.arange(60) % 2}, methods="none", **QUICK | {"seeds": [3]}
    )
    assert found.student("none").normalise.facts()["std"] == [2, 2, 2, 2]
    plain = kantor.study(
        student=network(), data={"x": x, "y": np.arange(60) % 2}, methods="none", **QUICK | {"seeds": [3]}
    )
    assert plain.student("none").normalise.mode == "none"
