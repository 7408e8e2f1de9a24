"""Losses of the user's own, by ``package.module:MyLoss``."""

import sys

import pytest
import torch

from kantor import losses
from kantor.core import trust
from kantor.core.errors import ConfigError

LOSSES = """
from kantor.losses import TransferLoss, WeightPenalty

class Mean(TransferLoss):
    name, default_weight, reads = "mean", 3.0, "logits"
    def __init__(self, power: int = 2, tag: str = ""):
        super().__init__()
        self.power, self.tag = power, tag
    def settings(self):
        return {"power": self.power}
    def forward(self, student, teacher, *, targets=None, ids=None):
        return ((student.mean() - teacher.mean()).abs() ** self.power)

class Untyped(Mean):
    def __init__(self, what, later: "Unknown" = None):
        super().__init__()

class Small(WeightPenalty):
    name, default_weight = "small", 1.0
    def forward(self, student):
        return sum((p ** 2).sum() for p in student.parameters())

class Nameless(TransferLoss):
    default_weight, reads = 1.0, "logits"
    def forward(self, student, teacher, *, targets=None, ids=None):
        return student.sum()

class Spaced(Mean):
    name = "my loss"

class Weightless(Mean):
    default_weight = "much"

class Blind(Mean):
    reads = "minds"

class Empty(TransferLoss):
    name, default_weight, reads = "empty", 1.0, "logits"

class Other:
    pass

def function(student, teacher):
    return 0.0

ready = Mean()
"""


@pytest.fixture
def own(write_module):
    return write_module("losses_of_mine", LOSSES)


def test_it_is_made_with_its_settings_and_is_the_loss_that_it_says(own):
    loss = losses.named(f"{own}:Mean", power=3)
    student, teacher = torch.full((4, 5), 3.0, requires_grad=True), torch.full((4, 7), 1.0)
    assert isinstance(loss, losses.TransferLoss)
    assert loss(student, teacher).item() == 8.0
    assert loss.settings() == {"power": 3}
    assert loss.paper == ""
    penalty = losses.named(f"{own}:Small")
    assert penalty(torch.nn.Linear(1, 1)).item() >= 0


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ("Nameless", "does not say its name: set it in the class, a word"),
        ("Spaced", "name is a word, by which logs call it, not 'my loss'"),
        ("Weightless", "default_weight is a positive number, not 'much'"),
        ("Blind", "reads is logits or penultimate or .* not 'minds'"),
        ("Empty", "computes nothing: give it a forward, as TransferLoss"),
        ("Other", "is no loss. Name a subclass of kantor.losses.TransferLoss"),
        ("function", "is no loss. Name a subclass"),
        ("ready", "is no loss. Name a subclass"),
        ("Meen", "has no loss 'Meen'. Close to it: Mean"),
    ],
)
def test_what_is_none_is_refused_by_its_name(own, thing, message):
    with pytest.raises(ConfigError, match=f"{thing}.*{message}" if thing != "Meen" else message):
        losses.named(f"{own}:{thing}")


def test_a_path_that_leads_nowhere(own):
    with pytest.raises(ConfigError, match=r"no module 'neuron_transprt'.*Close to it: neuron_transport"):
        losses.named("neuron_transprt:heavy")
    with pytest.raises(ConfigError, match="standard library"):
        losses.named("os:system", command="ls")
    with pytest.raises(ConfigError, match=r"One of your own is written package.module:MyLoss"):
        losses.named("losses_of_mine.Mean")


def test_settings_are_checked_by_their_types_where_they_have_any(own):
    with pytest.raises(ConfigError, match="losses_of_mine:Mean: power is a whole number, not 'two'"):
        losses.named(f"{own}:Mean", power="two")
    assert isinstance(losses.named(f"{own}:Untyped", what=object()), losses.TransferLoss)


def test_a_name_in_a_file_imports_nothing_and_text_among_its_settings_belongs_to_it(own, tmp_path):
    trust.found([f"{own}:Mean"], tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"config.yaml names code to be imported, losses_of_mine:Mean.*--trust"):
        losses.kind_of(f"{own}:Mean", {})
    assert own not in sys.modules
    losses.named(f"{own}:Mean")
    assert losses.made(f"{own}:Mean", {"power": 1}).settings() == {"power": 1}
    with pytest.raises(ConfigError, match="losses_of_mine:Mean@tag=other is code that you did not write"):
        losses.made(f"{own}:Mean", {"tag": "other"})
