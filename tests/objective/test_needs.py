"""What an objective refuses before, and while, it is used in a loop of one's own, with the remedy."""

import pytest
import torch
from torch import nn

from kantor import KantorError, Objective, Term, losses
from kantor.objective.weights import Weight

IMAGES, LABELS = torch.rand(8, 3, 8, 8), torch.arange(8) % 5


def network(width: int = 6) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


def objective(*terms: Term) -> Objective:
    return Objective(network(), {"big": network(12)}, list(terms) or [Term(losses.KD())])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teachers": network()}, r"by name, as \{'big': network\}, and not as a Sequential"),
        ({"teachers": {"big": "resnet8"}}, "Teacher big is 'resnet8'.*kantor.load"),
        ({"teachers": {"big": None}}, "Teacher big is a NoneType"),
        ({"terms": Term(losses.KD())}, "terms are a list of kantor.Term.* not a Term"),
        ({"terms": [losses.KD()]}, "terms are a list.* not a KD"),
        ({"terms": [Term("kd")]}, r"Term.named\('kd'\), and is not 'kd'"),
        ({"terms": [Term(losses.KD)]}, r"Term\(losses.KD\(\)\).* not a KD"),
        ({"terms": [Term(losses.kd)]}, "not a kd"),
        ({"terms": [Term(losses.KD(), weight="big")]}, "kd: a weight is a number.* not 'big'"),
        ({"terms": [Term(losses.KD(), weight=-1.0)]}, "-1"),
        ({"task_weight": "1"}, "task_weight is zero or positive, not '1'"),
        ({"task_weight": float("nan")}, "task_weight is zero or positive, not nan"),
        ({"task_weight": -1}, "task_weight is zero or positive, not -1"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",  # an object's own text holds its address
)
def test_what_an_objective_is_not_made_of(given, said):
    usual = {"student": network(), "teachers": {"big": network(12)}, "terms": [Term(losses.KD())]}
    with pytest.raises(KantorError, match=said):
        Objective(**(usual | given))


@pytest.mark.parametrize("images", [(IMAGES * 255).to(torch.uint8), (IMAGES * 255).long()], ids=["uint8", "int64"])
def test_images_in_whole_numbers_are_told_to_be_made_real(images):
    with pytest.raises(KantorError, match=r"The student cannot take u?int.*x.float\(\) / 255"):
        objective().check((images, LABELS), quiet=True)
    begun = objective()
    begun.check((IMAGES, LABELS), quiet=True)
    with pytest.raises(KantorError, match=r"x.float\(\) / 255"):
        begun((images, LABELS))


def test_an_error_of_the_networks_own_stays_what_it_is():
    with pytest.raises(RuntimeError, match="channels"):
        objective().check((IMAGES[:, :1], LABELS), quiet=True)


@pytest.mark.parametrize("name", ["neuron_transport", "rkd", "sp", "cc", "pkt", "dist"])
def test_a_last_batch_of_one_is_told_of_drop_last(name):
    begun = objective(Term.named(name))
    begun.check((IMAGES, LABELS), quiet=True)
    with pytest.raises(KantorError, match="drop_last=True"):
        begun((IMAGES[:1], LABELS[:1]))


def test_batch_norm_of_one_value_is_told_of_drop_last():
    student = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.BatchNorm1d(6), nn.Linear(6, 5))
    begun = Objective(student, {"big": network(12)}, [Term(losses.KD())])
    begun.check((IMAGES, LABELS), quiet=True)
    with pytest.raises(KantorError, match="drop_last=True"):
        begun((IMAGES[:1], LABELS[:1]))


def test_a_label_beyond_the_classes_in_a_later_batch():
    begun = objective()
    begun.check((IMAGES, LABELS), quiet=True)
    with pytest.raises(KantorError, match=r"The targets hold class \d, and the student has 5 logits"):
        begun((IMAGES, LABELS + 3))


def test_a_look_before_the_first_step_has_the_weights_of_step_0():
    """Its weights were the default ones without their limit, up to thirty times what training began with."""
    begun = objective(Term(losses.NeuronTransport(), weight=Weight(1e4, limit=5.0)))
    facts = begun.check((IMAGES, LABELS), quiet=True)
    with torch.no_grad():
        looked = begun((IMAGES, LABELS)).loss.item()
    assert begun.weights()["neuron_transport"] < 1e4
    assert begun((IMAGES, LABELS)).loss.item() == pytest.approx(looked, rel=1e-5)
    assert facts is not None
