import sys

import pytest
import torch
import torch.nn.functional as F

from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.tasks import BUILT_IN, Classification, Regression, Task, as_task, made, named
from kantor.tasks.given import OfLoss, makes_one

OWN = """
import torch
from kantor.tasks import Task
from kantor.tasks.metrics import RMSE

class Absolute(Task):
    name = "absolute"
    labels = "numbers"
    metrics = (RMSE(),)
    def loss(self, outputs, targets):
        return (outputs[:, 0] - targets).abs().mean()

ready = Absolute()
nothing = 3
def make():
    return Absolute()
def plain(outputs, targets):
    return (outputs - targets).abs().mean()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of the user's."""
    (tmp_path / "my_tasks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_tasks", raising=False)
    trust.forget()
    yield "my_tasks"
    trust.forget()


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_has_its_name(name):
    task = named(name)
    assert task.name == name
    assert task.metrics[0].scale.name


def test_labels_are_classes():
    assert isinstance(named("labels"), Classification)


def test_a_name_that_is_none():
    with pytest.raises(ConfigError, match=r"no task 'regresion'.*regression.*package.module:Task"):
        named("regresion")


@pytest.mark.parametrize("thing", ["Absolute", "ready", "make"])
def test_ones_own(module, thing):
    task = named(f"{module}:{thing}")
    assert isinstance(task, Task)
    assert task(torch.tensor([[1.0]]), torch.tensor([3.0])) == 2.0


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ("Absolut", "no task 'Absolut'.*Absolute"),
        ("nothing", "is no task, but a int"),
        ("RMSE", "another class"),
        ("plain", "a function"),
    ],
)
def test_what_is_none(module, thing, says):
    with pytest.raises(ConfigError, match=says):
        named(f"{module}:{thing}")


def test_code_that_the_user_did_not_write_is_not_imported(module, tmp_path):
    trust.found([f"{module}:Absolute"], tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="--trust"):
        made(f"{module}:Absolute")
    assert module not in sys.modules


def test_no_such_module_and_the_standard_library():
    with pytest.raises(ConfigError, match="no module 'no_such_thing' to take the task"):
        named("no_such_thing:Task")
    with pytest.raises(ConfigError, match="standard library"):
        named("os:system")
    trust.forget()


def test_what_may_be_given_to_an_objective():
    assert isinstance(as_task(F.cross_entropy), Classification)
    assert as_task(None) is None
    task = Regression()
    assert as_task(task) is task
    with pytest.raises(ConfigError, match=r"give one, as Regression\(\)"):
        as_task(Regression)
    with pytest.raises(ConfigError, match="is no task"):
        as_task("regression")


def test_a_function_in_c_makes_no_task():
    assert not makes_one(torch.dist)


def test_a_plain_loss_is_judged_by_itself():
    task = as_task(F.l1_loss)
    assert isinstance(task, OfLoss)
    assert (task.name, task.scale.name, task.scale.higher_is_better) == ("l1_loss", "loss", False)
    outputs, targets = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.0, 0.0, 0.0])
    sums = task.measured(outputs[:2], targets[:2])["loss"] + task.measured(outputs[2:], targets[2:])["loss"]
    assert task.values({"loss": sums}) == {"loss": 4.0}
