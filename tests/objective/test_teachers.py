import copy
from typing import cast

import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError
from kantor.data import Batch, TeacherCache
from kantor.losses import KD, FitNet, NeuronTransport
from kantor.objective import CachedTeacher, LiveTeacher, Objective, Read, Term
from tests.objective.networks import a_batch, network


def test_a_part_in_training_mode_moves_no_running_statistics():
    teacher, batch = network(8), a_batch()
    live = LiveTeacher(teacher)
    want = live.outputs(batch, [Read("logits")])[Read("logits")]
    before = {key: x.clone() for key, x in teacher.state_dict().items()}
    teacher[1].train()  # the root still says eval
    torch.testing.assert_close(live.outputs(batch, [Read("logits")])[Read("logits")], want)
    assert all(torch.equal(x, before[key]) for key, x in teacher.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("own", [torch.float32, torch.float64])
def test_a_teacher_of_another_dtype_teaches_in_the_students(dtype, own):
    batch, teacher, student = a_batch(), network(8), network(4).to(own).eval()
    terms = [Term(KD()), Term(NeuronTransport(), "2", "2")]
    found = []
    for given in (teacher, copy.deepcopy(teacher).to(dtype)):
        objective = Objective(copy.deepcopy(student), {"big": given}, copy.deepcopy(terms))
        objective.check(batch, quiet=True)
        result = objective(batch)
        result.loss.backward()
        found.append(torch.stack(list(result.terms.values())))
        assert objective.student[0].weight.grad.dtype == own
    torch.testing.assert_close(found[0], found[1].to(found[0].dtype), rtol=0.05, atol=0.02)
    one = Objective(student, {"big": copy.deepcopy(teacher).to(dtype)}, [Term(FitNet(), "2", "2")])
    one.check(batch, quiet=True)
    one(batch).loss.backward()


class Output(nn.Module):
    """A network that returns more than its logits."""

    def __init__(self, network: nn.Module, how) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, x: torch.Tensor):
        return self.how(self.network(x), x)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda logits, x: (logits, x), "its logits are taken to be the first of 2 in a tuple"),
        (lambda logits, x: {"logits": logits, "input": x}, ""),
        (lambda logits, x: {"out": logits, "input": x}, "its logits are taken to be 'out' of a dict"),
    ],
)
def test_students_and_teachers_that_return_more_than_logits(how, said):
    student, teacher, batch = network(4).eval(), network(8), a_batch()
    terms = [Term(KD()), Term(NeuronTransport(), "network.2", "network.2")]
    objective = Objective(Output(student, how), {"big": Output(teacher, how)}, terms)
    facts = objective.check(batch, quiet=True)
    plain = Objective(student, {"big": teacher}, [Term(KD()), Term(NeuronTransport(), "2", "2")])
    plain.check(batch, quiet=True)
    torch.testing.assert_close(objective(batch).loss, plain(batch).loss)
    for who in ("The student", "Teacher big"):
        assert (f"{who} returns more than a tensor: {said}" in str(facts)) is bool(said)


def test_compiled_students_and_teachers_are_read_and_said_to_run_uncompiled():
    student, teacher, batch = network(4).eval(), network(8), a_batch()
    terms = [Term(KD()), Term(NeuronTransport(), "2", "2")]
    plain = Objective(student, {"big": teacher}, terms)
    plain.check(batch, quiet=True)
    compiled = [torch.compile(part, backend="eager") for part in (student, teacher)]
    objective = Objective(compiled[0], {"big": compiled[1]}, copy.deepcopy(terms))  # type: ignore[arg-type]
    for term, other in zip(objective.terms, terms, strict=True):
        term.loss = copy.deepcopy(other.loss)
    facts = objective.check(batch, quiet=True)
    torch.testing.assert_close(objective(batch).loss, plain(batch).loss)
    assert "The student runs uncompiled: compiled code cannot be read at 2." in str(facts)
    assert "Teacher big runs uncompiled" in str(facts)
    logits = Objective(compiled[0], {"big": compiled[1]}, [Term(KD())])  # type: ignore[arg-type]
    assert "uncompiled" not in str(logits.check(batch, quiet=True))


def test_a_teacher_whose_lazy_layers_have_no_weights_is_refused():
    with pytest.raises(ConfigError, match=r"Teacher big has no 1\.weight yet"):
        LiveTeacher(nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), name="big")


class Inferring(nn.Module):
    """A network that runs in inference mode, whoever calls it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @torch.inference_mode()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)


def test_a_teacher_that_runs_in_inference_mode_teaches_as_any_other():
    batch, teacher, student = a_batch(), network(8), network(4)
    values = []
    for given, layer in ((teacher, "2"), (Inferring(teacher), "network.2")):
        terms = [Term(KD()), Term(NeuronTransport(), "2", layer), Term(FitNet(), "2", layer)]
        objective = Objective(copy.deepcopy(student).eval(), {"big": given}, terms)
        objective.check(batch, quiet=True)
        result = objective(batch)
        result.loss.backward()
        values.append(result.loss)
    torch.testing.assert_close(*values)


def test_what_was_made_in_inference_mode_cannot_be_trained_and_that_is_said():
    with torch.inference_mode():
        student, batch = network(4), a_batch()
    with pytest.raises(ConfigError, match=r"The student was made under torch.inference_mode\(\)"):
        Objective(student, {"big": network(8)}, [Term(KD())])
    with pytest.raises(ConfigError, match=r"The batch was made under torch.inference_mode\(\)"):
        Objective(network(4), {"big": network(8)}, [Term(KD())]).check(batch, quiet=True)
    with pytest.raises(ConfigError, match="gradient"):
        Objective(Inferring(network(4)), {"big": network(8)}, [Term(KD())]).check(a_batch(), quiet=True)


class _Rows:
    """A cache that keeps one layer, and one for other methods."""

    layers = ("2", "3")

    def lookup(self, ids, views, layers):
        assert "3" not in layers, "only what is wanted is read"
        return {layer: {"2": torch.zeros(len(ids), 8)}[layer] for layer in layers}


def test_a_cache_without_logits_is_asked_for_them_in_vain():
    """Step 0 then says nothing of how often the teacher is right."""
    kept, batch = CachedTeacher(cast(TeacherCache, _Rows()), {"classes": 3}), a_batch()
    assert list(kept.outputs(batch, [Read("2")])) == [Read("2")]
    with pytest.raises(KeyError, match="logits"):
        kept.outputs(batch, [Read("logits")])


def test_only_logits_per_token_are_cut():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20))
    ids = torch.randint(0, 20, (3, 4))
    live = LiveTeacher(Said(network), top=5)
    reads = [Read("logits"), Read("network.0")]
    found = live.outputs(Batch({"student": {"input_ids": ids}, "teacher": {"input_ids": ids}}), reads)
    assert found[Read("logits")].is_sparse and found[Read("logits")].shape == (3, 4, 20)
    assert not found[Read("network.0")].is_sparse
    kept = live.kept(Batch({"teacher": {"input_ids": ids}}), reads)
    assert {key: tuple(x.shape) for key, x in kept.items()} == {
        "logits.top": (3, 4, 6), "logits.top.tokens": (3, 4, 5), "network.0": (3, 4, 8)
    }  # fmt: skip


class Said(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.network(input_ids)
