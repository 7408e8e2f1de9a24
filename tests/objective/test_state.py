import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.losses import FitNet, NeuronTransport
from kantor.objective import Objective, Term
from tests.objective.networks import a_batch, network


def objective(compiled: bool = False) -> Objective:
    student = network(4)
    if compiled:
        student = torch.compile(student, backend="eager")
    terms = [Term(FitNet(), "2", "2"), Term(NeuronTransport(), "2", "2", name="mine.too")]
    return Objective(student, {"big": network(8)}, terms)  # type: ignore[arg-type]


def checked(compiled: bool = False) -> Objective:
    found = objective(compiled)
    found.check(a_batch(), quiet=True)
    return found


def test_keys_are_named_by_term():
    keys = list(checked().state_dict())
    assert {key.split(".")[0] for key in keys} == {"student", "losses", "limits"}
    assert {key.split(".")[1] for key in keys if key.startswith("losses")} == {"fitnet", "mine/too"}


def test_a_state_with_terms_by_number_is_loaded():
    first, again = checked(), checked()
    state = first.state_dict()
    old = {
        key.replace("losses.fitnet.", "_owned.0.").replace("losses.mine/too.", "_owned.1."): x
        for key, x in state.items()
    }
    assert any(key.startswith("_owned.1.") for key in old)
    again.load_state_dict(old, strict=True)
    for key, x in again.state_dict().items():
        torch.testing.assert_close(x, state[key])
    assert any(key.startswith("_owned.0.") for key in old)  # what was given is left as it was


def test_a_compiled_student_has_the_keys_of_one_that_is_not_and_loads_them():
    plain, compiled = checked(), checked(compiled=True)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    compiled.load_state_dict(plain.state_dict(), strict=True)
    torch.testing.assert_close(compiled.state_dict()["student.0.weight"], plain.student[0].weight.detach())
    plain.load_state_dict(compiled.state_dict(), strict=True)


def test_wrappers_of_the_objective_save_and_load_too():
    first, again = torch.nn.ModuleDict({"module": checked()}), torch.nn.ModuleDict({"module": checked(compiled=True)})
    again.load_state_dict(first.state_dict(), strict=True)
    assert list(again.state_dict()) == list(first.state_dict())


def test_loading_before_check_says_so():
    with pytest.raises(ConfigError, match=r"check\(batch\) before load_state_dict"):
        objective().load_state_dict(checked().state_dict())
    alone = Objective(network(4), {}, [])
    alone.load_state_dict(alone.state_dict())
