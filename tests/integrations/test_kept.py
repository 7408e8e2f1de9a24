import pytest
import torch

import kantor
from kantor.integrations.kept import losses_state, read_losses, write_losses
from kantor.integrations.recipe import objective_of
from kantor.objective import Objective
from tests.objective.networks import a_batch, network


def checked(method: str = "neuron_transport:auto+crd") -> Objective:
    objective = objective_of(network(4), network(8), method, samples=64)
    objective.check(a_batch(), quiet=True)
    return objective


def test_what_losses_hold_is_written_and_read_and_the_student_is_left(tmp_path):
    ours, other = checked(), checked()
    for objective in (ours, other):
        with torch.no_grad():
            for p in objective.student.parameters():
                p.normal_()
    ours(a_batch())
    ours.after_step()
    before = {name: x.clone() for name, x in other.student.state_dict().items()}
    assert any(not torch.equal(x, losses_state(other)[name]) for name, x in losses_state(ours).items())
    write_losses(tmp_path / "kept.safetensors", ours)
    read_losses(tmp_path / "kept.safetensors", other)
    assert all(torch.equal(x, losses_state(other)[name]) for name, x in losses_state(ours).items())
    assert all(torch.equal(x, before[name]) for name, x in other.student.state_dict().items())
    assert ours.weights() == other.weights()


def test_another_methods_are_refused_and_so_is_nothing(tmp_path):
    write_losses(tmp_path / "kept.safetensors", checked())
    with pytest.raises(kantor.DataError, match=r"another method.*losses\.crd"):
        read_losses(tmp_path / "kept.safetensors", checked("neuron_transport"))
    with pytest.raises(kantor.DataError, match="no checkpoint of a distillation"):
        read_losses(tmp_path / "no" / "kept.safetensors", checked())
