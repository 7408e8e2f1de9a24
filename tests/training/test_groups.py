import pytest
import torch
from torch import nn

import kantor
from kantor.core.errors import ConfigError
from kantor.data import Batch
from kantor.losses import L2SP, FitNet
from kantor.objective import Objective, Term
from kantor.training import Training
from kantor.training.groups import parameter_groups


def student(classes: int = 3) -> kantor.models.Model:
    return kantor.load("cnn@width=8", classes=classes, input_shape=(1, 8, 8))


def checked(objective: Objective) -> Objective:
    x = torch.rand(6, 1, 8, 8)
    objective.check(Batch({"student": x, "teacher": x}, torch.arange(6) % 3, torch.arange(6), None), quiet=True)
    return objective


def by_name(objective: Objective, config: Training) -> dict[str, tuple[float, float]]:
    names = {id(p): name for name, p in objective.named_parameters()}
    groups = parameter_groups(objective, config)
    return {names[id(p)]: (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]}


def test_one_group_where_all_are_alike():
    objective = Objective(student(), {}, [])
    (group,) = parameter_groups(objective, Training(weight_decay=0.1))
    assert group["params"] == list(objective.parameters())
    assert (group["factor"], group["weight_decay"]) == (1.0, 0.1)


def test_the_innermost_path_counts():
    config = Training(head_lr=10.0, lr_factors={"layer1": 0.5, "layer1.0": 0.25}, weight_decay=0.1)
    found = by_name(Objective(student(), {}, []), config)
    assert found["student.network.layer1.0.weight"] == (0.25, 0.1)
    assert found["student.network.layer1.1.weight"] == (0.5, 0.1)
    assert found["student.network.layer3.0.weight"] == (1.0, 0.1)
    assert found["student.network.linear.bias"] == (10.0, 0.1)
    written = Training(head_lr=10.0, lr_factors="layer1=0.5, layer1.0=0.25")
    assert written.factors() == {"layer1": 0.5, "layer1.0": 0.25} == config.factors()
    named = by_name(Objective(student(), {}, []), Training(head_lr=10.0, lr_factors={"linear": 2.0}))
    assert named["student.network.linear.bias"][0] == 2.0


def test_a_penalty_takes_the_place_of_decay_on_the_student_alone():
    model = student()
    source = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    terms = [Term(L2SP()), Term(FitNet(), "layer3", "layer3")]
    teacher = kantor.load("cnn@width=16", classes=3, input_shape=(1, 8, 8))
    found = by_name(checked(Objective(model, {"t": teacher}, terms, source=source)), Training(weight_decay=0.1))
    assert {decay for name, (_, decay) in found.items() if name.startswith("student.")} == {0.0}
    own = [decay for name, (_, decay) in found.items() if not name.startswith("student.")]
    assert own and set(own) == {0.1}


def test_frozen_parameters_are_in_no_group():
    found = by_name(Objective(student(), {}, [], freeze=["layer1", "layer2"]), Training())
    assert {name.split(".")[2] for name in found} == {"layer3", "linear"}


def test_a_network_of_convolutions_has_the_last_of_them_for_a_classifier():
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1))
    found = by_name(Objective(network, {}, []), Training(head_lr=10.0))
    assert {name.removeprefix("student."): factor for name, (factor, _) in found.items()} == {
        "0.weight": 1.0, "0.bias": 1.0, "2.weight": 10.0, "2.bias": 10.0,
    }  # fmt: skip


def test_refusals():
    objective = Objective(student(), {}, [])
    with pytest.raises(ConfigError, match=r"no layer 'layre1'.*layer1"):
        parameter_groups(objective, Training(lr_factors={"layre1": 0.1}))
    with pytest.raises(ConfigError, match="head_lr"):
        parameter_groups(Objective(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), {}, []), Training(head_lr=2.0))
    for wrong in ({"head_lr": 0.0}, {"lr_factors": {"layer1": -1.0}}, {"lr_factors": "layer1=0"}):
        with pytest.raises(ConfigError, match="positive"):
            Training(**wrong).check()
    for text in ("layer1:0.1", "layer1=fast", "layer1=0.1,"):
        with pytest.raises(ConfigError, match="lr_factors is written"):
            Training(lr_factors=text).check()
    with pytest.raises(ConfigError, match=r"no layer 'layer9'.*layer1"):
        Objective(student(), {}, [], freeze=["layer9"])
    with pytest.raises(ConfigError, match="nothing of the student to train"):
        Objective(student(), {}, [], freeze=["layer1", "layer2", "layer3", "linear"])
