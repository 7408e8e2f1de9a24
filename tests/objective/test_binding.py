import pytest
import torch
from torch import Tensor, nn

from kantor.core.errors import ConfigError
from kantor.data import Batch
from kantor.losses import AT, KD, L2SP, FitNet, NeuronTransport
from kantor.models import Model, load
from kantor.objective import LiveTeacher, Objective, Term
from kantor.objective.binding import bind
from tests.objective.networks import a_batch, network


def names(*terms: Term, teachers: int = 1, **settings) -> list[str]:
    every = {name: network(8) for name in ("big", "other")[:teachers]}
    objective = Objective(network(4), every, list(terms), **settings)
    objective.check(a_batch(), quiet=True)
    return [bound.name for bound in objective.bound]


def test_terms_of_one_loss_are_told_apart_by_what_differs():
    def at(layer: str, teacher: str = "2", name: str | None = None) -> Term:
        return Term(FitNet(), layer, teacher, name=name)

    assert names(at("2"), Term(KD())) == ["fitnet", "kd"]
    assert names(at("0"), at("2")) == ["fitnet.0", "fitnet.2"]
    assert names(at("2", "big:2"), at("2", "other:2"), teachers=2) == ["fitnet.big", "fitnet.other"]
    assert names(Term(KD(), teacher="big:"), Term(KD(), teacher="other:"), teachers=2) == ["kd.big", "kd.other"]
    mixed = [at("0", "big:2"), at("2", "big:2"), at("2", "other:2")]
    assert names(*mixed, teachers=2) == ["fitnet.0.big", "fitnet.2.big", "fitnet.2.other"]
    assert names(at("2", "0"), at("2", "2")) == ["fitnet.2.big.0", "fitnet.2.big.2"]
    assert names(at("0", name="fitnet"), at("2")) == ["fitnet", "fitnet.2"]
    with pytest.raises(ConfigError, match="Two terms are called 'fitnet'"):
        names(at("2"), at("2"))
    with pytest.raises(ConfigError, match="Two terms are called 'a'"):
        names(at("0", name="a"), at("2", name="a"))


def kantor_batch() -> Batch:
    batch = a_batch()
    x = batch.inputs["student"].new_ones(16, 1, 8, 8).uniform_()
    return Batch({"student": x, "teacher": x}, batch.targets)


def test_stages_of_a_term_are_the_terms_written_out():
    import kantor

    def losses(*terms: Term) -> tuple[list[str], list[float]]:
        student = kantor.load("cnn@width=8", classes=4, input_shape=(1, 8, 8))
        teacher = kantor.load("cnn@width=12", classes=4, input_shape=(1, 8, 8))
        objective = Objective(student, {"big": teacher}, list(terms))
        facts = objective.check(kantor_batch(), quiet=True)
        assert len(objective.losses) == len(facts.terms) - 1
        assert len({id(loss) for loss in objective.losses.values()}) == len(objective.losses)
        return [term.name for term in facts.terms], [term.weight for term in facts.terms]

    found = losses(Term(NeuronTransport(), stages=2, weight=5.0))
    assert found == (["task", "neuron_transport.layer2", "neuron_transport.layer3"], [1.0, 5.0, 5.0])
    assert losses(Term(NeuronTransport(), stages="all", name="mine"))[0] == [
        "task", "mine.layer1", "mine.layer2", "mine.layer3",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"4 stages are asked for, and 3 pair: layer1 <- layer1"):
        losses(Term(NeuronTransport(), stages=4))


def test_stages_that_cannot_be_are_refused_where_they_are_written():
    for term, says in (
        (lambda: Term(NeuronTransport(), stages=0), "not 0"),
        (lambda: Term(NeuronTransport(), stages="some"), "not 'some'"),  # type: ignore[arg-type]
        (lambda: Term(NeuronTransport(), "2", "2", stages=1), "Give one of them"),
        (lambda: Term(KD(), stages=1), "kd reads logits"),
        (lambda: Term(AT(), stages=1), "at reads every paired stage"),
        (lambda: Term(L2SP(), stages=1), "reads the student's weights"),
    ):
        with pytest.raises(ConfigError, match=says):
            term()


def test_a_check_that_was_refused_leaves_nothing_behind():
    objective = Objective(network(4), {"big": network(8)}, [Term(FitNet(), "2", "2"), Term(FitNet(), "9", "2")])
    with pytest.raises(ConfigError, match="no layer '9'"):
        objective.check(a_batch(), quiet=True)
    assert not objective.bound and not objective.losses
    objective.terms.pop()
    objective.check(a_batch(), quiet=True)
    assert list(objective.losses) == ["fitnet"]


class FixedSize(nn.Module):
    """A transformer's manner: any other image size than its own is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(1, 8, 8, 8), nn.Linear(8, 4)
        self.blocks = nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (32, 32), f"image size {tuple(x.shape[2:])} doesn't match model (32, 32)"
        return self.head(self.blocks(self.patches(x).flatten(2).mT).mean(1))


def test_layers_of_a_model_of_fixed_size_are_paired_on_images_that_it_resizes():
    student = Model(FixedSize(), name="fixed", num_classes=4, input_shape=(1, 8, 8), size=32)
    objective = Objective(student, {"big": network(8)}, [Term(NeuronTransport(), weight=1.0)])
    objective.check(kantor_batch(), quiet=True)
    assert objective.bound[0].student_layers == ("blocks.1",)


def test_a_feature_loss_is_not_bound_to_predictions():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(ConfigError, match=r"between its input and its classifier.*kd"):
        Objective(linear, {"big": network(8)}, [Term(NeuronTransport())]).check(kantor_batch(), quiet=True)
    named = Objective(linear, {"big": network(8)}, [Term(NeuronTransport(), "logits", "logits")])
    named.check(kantor_batch(), quiet=True)  # the user's own wish


def test_neuron_transport_at_its_default_compares_the_last_three_stages_that_learn():
    student, teacher = (load(f"cnn@width={width}", classes=3, input_shape=(1, 8, 8)) for width in (8, 16))
    batch = Batch(dict.fromkeys(("student", "teacher"), torch.rand(6, 1, 8, 8)), torch.zeros(6, dtype=torch.long))

    def layers(**given):
        term = Term.named("neuron_transport", **given)
        return [b.student_layers[0] for b in bind([term], student, {"t": LiveTeacher(teacher)}, batch)]

    assert layers() == ["layer1", "layer2", "layer3"]
    assert layers(weight=20.0) == layers(weight="paper") == ["layer3"]  # published weights are of one stage
    assert layers(stages=1) == ["layer3"] and layers(stages=2) == ["layer2", "layer3"]
    assert layers(student="layer2", teacher="t:layer2") == ["layer2"]
    student.network.layer1.requires_grad_(False)
    assert layers() == ["layer2", "layer3"]
    student.network.requires_grad_(False)
    assert layers() == ["layer3"]  # which is refused later, by name


class HeadOfItsOwn(nn.Module):
    """Whose last layer is no nn.Linear."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        y = self.network(x)
        return torch.cat([y, -y], dim=1)


def test_of_a_student_of_tokens_neuron_transport_compares_what_its_classifier_reads():
    student = load("vit@patch=4@depth=2@dim=16", classes=3, input_shape=(1, 8, 8))
    teacher = load("cnn@width=16", classes=3, input_shape=(1, 8, 8))
    batch = Batch(dict.fromkeys(("student", "teacher"), torch.rand(6, 1, 8, 8)), torch.zeros(6, dtype=torch.long))

    def layers(student=student, **given):
        term = Term.named("neuron_transport", **given)
        return [
            (b.name, b.student_layers[0], b.teacher_layers[0])
            for b in bind([term], student, {"t": LiveTeacher(teacher)}, batch)
        ]

    assert layers() == [("neuron_transport", "penultimate", "penultimate")]
    assert [student for _, student, _ in layers(stages=2)] == ["blocks.0", "blocks.1"]  # whoever asks for them
    assert [student for _, student, _ in layers(weight=20.0)] == ["blocks.1"]
    assert [student for _, student, _ in layers(settings={"spatial": "positions"})] == ["blocks.0", "blocks.1"]
    assert [student for _, student, _ in layers(HeadOfItsOwn(student.network))] == [
        "network.blocks.0",
        "network.blocks.1",
    ]
