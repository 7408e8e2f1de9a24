"""Pretraining, against RepDistiller's ``init`` on three batches and two epochs."""

import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError
from kantor.losses.ab import AB
from kantor.losses.fsp import FSP
from kantor.losses.ft import FT
from kantor.losses.pretraining import PretrainingLoss
from tests.losses.stored import assert_near, load, numbered


class Small(nn.Module):
    """The network the public code was run on."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, stride=2)
        self.fc = nn.Linear(second, 3)

    def forward(self, x):
        first = self.conv1(x)
        second = self.conv2(torch.tanh(first))
        return [x, first, second], self.fc(second.mean((2, 3)))


class Batches:
    """Features made anew for every batch of every epoch, as training makes them."""

    def __init__(self, student, teacher, images, layers):
        self.student, self.teacher, self.images, self.layers = student, teacher, images, layers

    def __iter__(self):
        for x in self.images:
            s, t = (list(network(x)[0][self.layers]) for network in (self.student, self.teacher))
            yield (tuple(s), tuple(t)) if len(s) > 1 else (s[0], t[0])


def load_parameters(module: nn.Module, values) -> None:
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.copy_(value)


def run(name: str, loss: PretrainingLoss, student_widths, teacher_widths, *, layers: slice):
    stored = load(f"pretraining_{name}")
    student, teacher = Small(*student_widths).double(), Small(*teacher_widths).double()
    load_parameters(student, numbered(stored, "student_before"))
    load_parameters(teacher, numbered(stored, "teacher_before"))
    teacher.requires_grad_(False)
    batches = Batches(student, teacher, [x.double() for x in numbered(stored, "images")], layers)
    s, t = ([x.shape for x in network(batches.images[0])[0][layers]] for network in (student, teacher))
    loss.build(tuple(s), tuple(t), 0)
    loss.double()
    own = numbered(stored, "own_before")
    if loss.pretraining_parameters():
        for parameter, value in zip(loss.pretraining_parameters(), own, strict=True):
            parameter.data.copy_(value)
    loss.prepare(batches, list(student.parameters()))
    return stored, student, batches


@pytest.mark.parametrize(
    ("name", "make", "widths", "layers"),
    [("ab", AB, ((3, 4), (3, 6)), slice(1, 3)), ("fsp", FSP, ((3, 4), (3, 4)), slice(0, 3))],
)
def test_trains_the_student_as_repdistiller_then_is_silent(name, make, widths, layers):
    loss = make(epochs=2)
    stored, student, batches = run(name, loss, *widths, layers=layers)
    for actual, before, after in zip(
        student.parameters(), numbered(stored, "student_before"), numbered(stored, "student_after"), strict=True
    ):
        assert_near(actual.detach(), after, 1e-9)
        assert (actual is student.fc.weight or actual is student.fc.bias) == torch.equal(before.double(), after)
    for actual, after in zip(loss.pretraining_parameters(), numbered(stored, "own_after"), strict=False):
        assert_near(actual.detach(), after, 1e-9)
    (s, t), *_ = batches
    assert loss(s, t) == 0
    assert all(p.grad is None for p in student.parameters())

    resumed, stays = make(), make(joint=True)
    for other in (resumed, stays):
        other.build(tuple(x.shape for x in s), tuple(x.shape for x in t), 0)
        other.double().load_state_dict(loss.state_dict())
        assert other.prepared
    silent = torch.as_tensor(resumed(s, t))
    assert silent == 0
    assert stays(s, t) == loss.pretraining_loss(s, t) > 0
    if list(resumed.parameters()):
        silent.backward()
    assert all(p.grad is not None and not p.grad.any() for p in resumed.parameters())


def test_trains_the_paraphraser_as_repdistiller_and_freezes_it():
    loss = FT(epochs=2)
    stored, student, batches = run("ft", loss, (3, 4), (3, 6), layers=slice(2, 3))
    own = loss.pretraining_parameters()
    for actual, after in zip(own, numbered(stored, "own_after"), strict=True):
        assert_near(actual.detach(), after, 1e-9)
        assert not actual.requires_grad
    for actual, before in zip(student.parameters(), numbered(stored, "student_before"), strict=True):
        assert torch.equal(actual, before.double())
    (s, t), *_ = batches
    loss(s, t).backward()
    assert all(p.grad is None for p in own)
    assert all(p.grad is not None for p in loss.translator.parameters())


def test_refusals():
    x = torch.randn(2, 3, 4, 4)
    loss = FSP()
    loss.build((x.shape, x.shape), (x.shape, x.shape), 0)
    with pytest.raises(ConfigError, match="no batch"):
        loss.prepare([], [nn.Parameter(torch.zeros(1))])
    features = tuple(x.clone().requires_grad_() for _ in range(2))
    with pytest.raises(ConfigError, match="frozen"):
        loss.prepare([(features, (x, x.flip(0)))], [nn.Parameter(torch.zeros(1))])
    assert not loss.prepared
    with pytest.raises(ConfigError, match="epoch"):
        FT(epochs=0)
