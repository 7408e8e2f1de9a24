import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError
from kantor.losses import KD, FitNet, NeuronTransport
from kantor.objective import Objective, Term, Weight
from kantor.objective.gradients import gradient_norm
from kantor.objective.limits import FLOOR, Limits
from kantor.objective.weights import LIMIT, LIMIT_ADAMW
from tests.objective.networks import a_batch, network


def objective(weight=None, *, task_weight=1.0, loss=NeuronTransport):
    torch.manual_seed(0)
    return Objective(network(4), {"big": network(8)}, [Term(loss(), "2", "2", weight=weight)], task_weight=task_weight)


def pull(checked, name):
    result = checked(a_batch())
    norms = {key: gradient_norm(value, checked.trained) for key, value in result.terms.items()}
    return checked.weights()[name] * norms[name] / norms["task"]


def test_a_default_weight_pulls_no_harder_than_its_limit():
    held, free = objective(), objective(weight=NeuronTransport.default_weight)
    facts = held.check(a_batch(), quiet=True)
    free.check(a_batch(), quiet=True)
    assert pull(free, "neuron_transport") > LIMIT  # otherwise the limit has nothing to do
    assert pull(held, "neuron_transport") == pytest.approx(LIMIT, rel=1e-4)
    (term,) = (term for term in facts.terms if term.name == "neuron_transport")
    assert term.lowered_from == NeuronTransport.default_weight
    assert term.weight < NeuronTransport.default_weight
    assert "lowered from 20" in str(facts)


def test_a_weight_that_was_given_is_held():
    checked = objective(weight=7.0)
    checked.check(a_batch(), quiet=True)
    checked(a_batch())
    assert checked.limits is None
    assert checked.weights()["neuron_transport"] == 7.0


def test_a_weight_is_never_raised():
    checked = objective(weight=Weight(1e-3, limit=LIMIT))
    checked.check(a_batch(), quiet=True)
    for _ in range(3):
        checked(a_batch())
        checked.after_step()
    assert checked.weights()["neuron_transport"] == 1e-3


def test_the_value_is_the_limited_sum():
    checked = objective()
    checked.check(a_batch(), quiet=True)
    result = checked(a_batch())
    weights = checked.weights()
    expected = torch.stack([weights[name] * value for name, value in result.terms.items()]).sum()
    torch.testing.assert_close(result.loss, expected.float())


def test_without_a_task_there_is_nothing_to_measure_against():
    checked = objective(task_weight=0.0)
    checked.check(a_batch(), quiet=True)
    assert checked.limits is None
    assert checked.weights()["neuron_transport"] == NeuronTransport.default_weight


def test_a_forward_commits_nothing_and_looking_without_gradients_measures_nothing():
    checked = objective()
    checked.check(a_batch(), quiet=True)
    before = {key: value.clone() for key, value in checked.limits.state_dict().items()}
    checked(a_batch())
    with torch.no_grad():
        checked(a_batch())
    assert all(torch.equal(value, before[key]) for key, value in checked.limits.state_dict().items())
    checked(a_batch())
    checked.after_step()
    assert int(checked.limits.steps) == 1
    assert float(checked.limits.factors[0]) < 1


class SGDW(torch.optim.SGD):
    """Somebody's own SGD."""


class Lion(torch.optim.Optimizer):
    """Steps of one length: the gradient's sign."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(group["lr"] * parameter.grad.sign())


@pytest.mark.parametrize("task_weight", [1.0, 0.1])
@pytest.mark.parametrize(
    ("kind", "adaptive"),
    [(torch.optim.SGD, False), (SGDW, False), (torch.optim.AdamW, True), (torch.optim.RMSprop, True), (Lion, True)],
)
def test_in_a_loop_of_ones_own_the_limit_is_that_of_its_optimiser(kind, adaptive, task_weight):
    checked = objective(task_weight=task_weight)
    checked.check(a_batch(), quiet=True)
    optimizer = kind(checked.parameters(), lr=1e-9)
    for _ in range(2):
        checked(a_batch()).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        checked.after_step()
    expected = LIMIT_ADAMW * task_weight if adaptive else LIMIT
    assert 0.8 * expected < pull(checked, "neuron_transport") < 1.001 * expected  # on its way back up it goes by halves


@pytest.mark.parametrize(("kind", "expected"), [(torch.optim.SGD, LIMIT), (torch.optim.AdamW, LIMIT_ADAMW)])
def test_the_first_step_has_the_limit_of_the_optimiser_that_will_make_it(kind, expected):
    checked = objective()
    checked.check(a_batch(), quiet=True)
    optimizer = kind(checked.parameters(), lr=0.1)
    assert pull(checked, "neuron_transport") == pytest.approx(expected, rel=1e-3)  # AdamW remembers its first gradients
    del optimizer


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_training_goes_on_bitwise_from_its_state(kind):
    def trained(first, last, state=None, momentum=None):
        checked = objective(loss=FitNet)
        checked.check(a_batch(), quiet=True)
        if state is not None:
            checked.load_state_dict(state)
        optimizer = kind(checked.parameters(), lr=0.1)
        if momentum is not None:
            optimizer.load_state_dict(momentum)
        for step in range(first, last):
            torch.manual_seed(step)
            checked(a_batch()).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            checked.after_step()
        return checked.state_dict(), optimizer.state_dict()

    (whole, _), (resumed, _) = trained(0, 20), trained(12, 20, *trained(0, 12))
    assert float(whole["limits.factors"][0]) < 1
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_a_state_of_before_there_were_limits_is_loaded():
    checked = objective()
    checked.check(a_batch(), quiet=True)
    old = {key: value for key, value in checked.state_dict().items() if not key.startswith("limits.")}
    checked.load_state_dict(old, strict=True)


def test_looks_grow_rare():
    limits = Limits({"a": 1.0})
    looks = []
    for _ in range(10_000):
        looks.append(limits.due())
        limits.after_step()
    assert all(looks[:16])
    assert 60 < sum(looks) < 120


def values(parameter, task, term):
    return {"task": task * parameter.sum(), "a": term * parameter.sum()}


def test_down_at_once_and_back_up_by_halves():
    parameter, limits = nn.Parameter(torch.ones(1)), Limits({"a": 2.0})

    def look(task, term):
        limits.look(values(parameter, task, term), {"a": 1.0}, [parameter])
        limits.after_step()
        return limits.now()["a"]

    assert look(1.0, 8.0) == pytest.approx(0.25)
    assert look(1.0, 1.0) == pytest.approx(0.625)
    assert look(1.0, 200.0) == pytest.approx(0.01)
    # Labels known by heart: measured against a share of the peak, so that transfer goes on.
    assert look(0.0, 2.0 * FLOOR) > 0.01


def test_a_first_gradient_of_nothing_changes_nothing():
    parameter, limits = nn.Parameter(torch.ones(1)), Limits({"a": 2.0})
    limits.look(values(parameter, 1.0, 0.0), {"a": 0.8}, [parameter])
    assert limits.now() == {"a": 1.0}


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_is_positive(limit):
    with pytest.raises(ConfigError, match="limit"):
        Weight(1.0, limit=limit)


def test_kd_is_limited_too():
    torch.manual_seed(0)
    checked = Objective(network(4), {"big": network(8)}, [Term(KD())])
    checked.check(a_batch(), quiet=True)
    assert list(checked.limits.now()) == ["kd"]


@pytest.mark.parametrize(("task", "term"), [(float("inf"), 1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_a_look_at_an_overflow_changes_nothing(task, term):
    limits, parameter = Limits({"a": 2.0}), nn.Parameter(torch.zeros(1))
    for values_now in (values(parameter, 1.0, 4.0), values(parameter, task, term)):
        limits.look(values_now, {"a": 1.0}, [parameter])
        limits.after_step()
    assert limits.now() == {"a": pytest.approx(0.5)}
    assert limits.peak == pytest.approx(1.0)


def test_a_task_without_any_gradient_puts_no_term_out():
    limits, parameter = Limits({"a": 2.0}), nn.Parameter(torch.zeros(1))
    limits.look(values(parameter, 0.0, 4.0), {"a": 1.0}, [parameter])
    assert limits.now() == {"a": 1.0}
