import pytest
import torch

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.losses import NeuronTransport, neuron_transport
from kantor.losses.neuron_transport import identity_plan
from kantor.losses.slow_plan import SolveSettings
from kantor.ot.moments import cost_from, moments

COSTS = ["correlation", "cosine", "sqeuclidean", "euclidean", "l1"]
EXACT = SolveSettings("exact")


def features(rows: int = 64, neurons: int = 12, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(rows, neurons, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def built(student: torch.Tensor, teacher: torch.Tensor, **settings) -> NeuronTransport:
    loss = NeuronTransport(**settings)
    loss.build((student.shape,), (teacher.shape,), 0)
    return loss


@pytest.mark.parametrize("cost", COSTS)
def test_blind_to_the_order_of_neurons_where_the_identity_plan_is_not(cost):
    teacher = features()
    student = teacher[:, torch.randperm(12, generator=torch.Generator().manual_seed(1))]
    assert neuron_transport(student, teacher, cost=cost, solve=EXACT).item() == pytest.approx(0, abs=1e-6)
    assert neuron_transport(student, teacher, cost=cost, plan=identity_plan(12, 12)).item() > 0.1


@pytest.mark.parametrize(("teacher_width", "student_width"), [(12, 5), (5, 12), (7, 7), (1, 4)])
@pytest.mark.parametrize("masses", ["uniform", "activation"])
def test_unequal_widths_need_no_projector_and_marginals_hold(teacher_width, student_width, masses):
    teacher, student = features(neurons=teacher_width), features(neurons=student_width, seed=1)
    loss = built(student, teacher, masses=masses, tol=1e-6)
    assert list(loss.parameters()) == []
    assert loss(student, teacher).item() > 0
    loss.after_step()
    rows, columns = loss.slow.plan.sum(1), loss.slow.plan.sum(0)
    expected = (
        (teacher.square().sum(0).sqrt(), student.square().sum(0).sqrt())
        if masses == "activation"
        else (torch.ones(teacher_width), torch.ones(student_width))
    )
    for marginal, mass in zip((rows, columns), expected, strict=True):
        torch.testing.assert_close(marginal.double(), mass.double() / mass.double().sum(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("normalise", [None, "mean"])
def test_gradient_is_the_costs_with_the_plan_held(cost, normalise):
    teacher, student = features(20, 4), features(20, 3, seed=1).requires_grad_()
    plan = SolveSettings()(cost_from(moments(teacher, student.detach(), cost), cost)).plan

    def held(x: torch.Tensor) -> torch.Tensor:
        return neuron_transport(x, teacher, cost=cost, normalise=None, plan=plan)

    assert torch.autograd.gradcheck(held, (student,))
    # A detached normaliser scales the gradient by a constant.
    scale = 1.0 if normalise is None else cost_from(moments(teacher, student.detach(), cost), cost).mean().item()
    value = neuron_transport(student, teacher, cost=cost, normalise=normalise, plan=plan)
    (ours,) = torch.autograd.grad(value, student)
    (theirs,) = torch.autograd.grad(held(student), student)
    torch.testing.assert_close(ours * scale, theirs)


@pytest.mark.parametrize("method", ["sinkhorn", "proximal", "exact"])
def test_solvers_agree(method):
    teacher, student = features(), features(seed=1)
    exact = neuron_transport(student, teacher, solve=EXACT).item()
    found = neuron_transport(student, teacher, solve=SolveSettings(method)).item()
    assert exact - 1e-6 <= found <= exact * 1.05


def test_correlation_does_not_see_scale_and_offset():
    teacher, student = features(), features(seed=1)
    changed = student * torch.linspace(0.1, 9, 12) + 3
    torch.testing.assert_close(neuron_transport(changed, teacher), neuron_transport(student, teacher))


def test_pooled_is_the_loss_on_means_and_positions_is_the_loss_on_rows():
    teacher, student = (torch.randn(8, c, 4, 4, dtype=torch.float64) for c in (6, 3))
    pooled = neuron_transport(student.mean((2, 3)), teacher.mean((2, 3)))
    torch.testing.assert_close(neuron_transport(student, teacher), pooled)
    rows = [x.permute(0, 2, 3, 1).reshape(128, -1) for x in (student, teacher)]
    sharp = neuron_transport(*rows, solve=SolveSettings(epsilon=0.005))
    torch.testing.assert_close(neuron_transport(student, teacher, spatial="positions"), sharp)


@pytest.mark.parametrize(("given", "used"), [({}, 0.005), ({"epsilon": 0.1}, 0.1), ({"solver": "exact"}, None)])
def test_the_plan_over_positions_is_sharper_unless_the_user_says_how_sharp(given, used):
    assert NeuronTransport(spatial="positions", **given).settings().get("epsilon") == used
    assert NeuronTransport(**given).settings().get("epsilon") == given.get("epsilon")


def test_positions_meet_on_the_coarser_grid_and_tokens_one_by_one():
    teacher = torch.randn(8, 6, 8, 8)
    student = torch.randn(8, 5, 4, 4)
    expected = neuron_transport(student, torch.nn.functional.avg_pool2d(teacher, 2), spatial="positions")
    torch.testing.assert_close(neuron_transport(student, teacher, spatial="positions"), expected)
    tokens, others = (torch.randn(8, 16, width, generator=torch.Generator().manual_seed(width)) for width in (5, 6))
    rows = [x.reshape(-1, x.shape[2]) for x in (tokens, others)]  # every token a sample
    solve = SolveSettings(epsilon=0.005)
    found = neuron_transport(tokens, others, spatial="positions", solve=solve)
    torch.testing.assert_close(found, neuron_transport(*rows, solve=solve))


@pytest.mark.parametrize(("teacher", "student"), [(8, 4), (7, 3), (4, 4)])
def test_identity_plan_is_the_block_pairing(teacher, student):
    plan = identity_plan(teacher, student)
    for i in range(teacher):
        assert plan[i, i * student // teacher].item() == pytest.approx(1 / teacher)
    assert plan.sum().item() == pytest.approx(1)
    torch.testing.assert_close(identity_plan(student, teacher), plan.mT)


def test_controls_never_look_at_activations():
    teacher, student = features(), features(seed=1)
    for kind in ("identity", "random", "uniform"):
        torch.manual_seed(3)
        loss = built(student, teacher, plan=kind)
        plan = loss.get_buffer("fixed").clone()
        loss(student, teacher)
        loss.after_step()
        assert torch.equal(loss.get_buffer("fixed"), plan)
        torch.testing.assert_close(plan.sum(0), torch.full((12,), 1 / 12))
        torch.testing.assert_close(plan.sum(1), torch.full((12,), 1 / 12))
        torch.testing.assert_close(
            loss(student, teacher), neuron_transport(student, teacher, plan=plan), rtol=1e-6, atol=1e-6
        )
        if kind == "random":
            assert sorted(plan.flatten().tolist()) == sorted(identity_plan(12, 12).flatten().tolist())
            assert not torch.equal(plan, identity_plan(12, 12))


def test_looking_at_a_value_changes_nothing():
    teacher, student = features(), features(seed=1)
    loss = built(student, teacher)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    first = loss(student, teacher)
    assert all(torch.equal(before[key], value) for key, value in loss.state_dict().items())
    assert torch.equal(first, loss(student, teacher))


def test_the_slow_plan_is_solved_on_the_running_average():
    teacher, batches = features(seed=9), [features(seed=seed) for seed in range(4)]
    loss = built(batches[0], teacher, plan_momentum=0.5, tol=1e-8)
    average = None
    for student in batches:
        new = moments(teacher, student, "correlation")
        average = new if average is None else average.scaled(0.5) + new
        loss(student, teacher)
        loss.after_step()
    expected = SolveSettings(tol=1e-8)(cost_from(average, "correlation")).plan
    torch.testing.assert_close(loss.slow.plan.double(), expected.double(), atol=1e-6, rtol=0)


def test_a_refreshed_plan_stands_until_the_next_sample_is_complete():
    teacher = features(32, seed=9)
    batches = [features(32, seed=seed) for seed in range(12)]
    loss = built(batches[0], teacher, plan_momentum=0.0, plan_every=4, plan_samples=64, tol=1e-8)
    plans = []
    for student in batches:
        loss(student, teacher)
        loss.after_step()
        plans.append(loss.slow.plan.clone())
    # Each sample is two batches of 32: complete at the second batch of each period of four.
    changed = [k for k in range(1, 12) if not torch.equal(plans[k], plans[k - 1])]
    assert changed == [1, 5, 9]
    sample = moments(teacher, batches[4], "correlation") + moments(teacher, batches[5], "correlation")
    expected = SolveSettings(tol=1e-8)(cost_from(sample, "correlation")).plan
    torch.testing.assert_close(plans[5].double(), expected.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("settings", [{"plan_momentum": 0.9}, {"plan_every": 3, "plan_samples": 100}])
def test_state_goes_on_bitwise_from_a_strict_load(settings):
    teacher, batches = features(seed=9), [features(seed=seed) for seed in range(8)]
    whole, first = (built(batches[0], teacher, **settings) for _ in range(2))
    second = built(batches[0], teacher, **settings)
    values = []
    for student in batches:
        values.append(whole(student, teacher))
        whole.after_step()
    for student in batches[:4]:
        first(student, teacher)
        first.after_step()
    second.load_state_dict(first.state_dict(), strict=True)
    for expected, student in zip(values[4:], batches[4:], strict=True):
        assert torch.equal(second(student, teacher), expected)
        second.after_step()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


def test_equal_layers_and_dead_neurons_are_finite():
    teacher = features()
    teacher[:, 3] = 0
    student = teacher.clone().requires_grad_()
    for cost in COSTS:
        loss = neuron_transport(student, teacher, cost=cost)
        (grad,) = torch.autograd.grad(loss, student)
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cost": "corelation"}, "Close to it: correlation"),
        ({"spatial": "pool"}, "pooled"),
        ({"plan": "optimum"}, "optimal"),
        ({"solver": "emd"}, "exact"),
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"plan_momentum": 1.0}, "plan_momentum"),
        ({"plan": "identity", "masses": "activation"}, "uniform masses"),
    ],
)
def test_settings_that_cannot_be_meant(settings, says):
    with pytest.raises(ConfigError, match=says):
        NeuronTransport(**settings)


def test_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"same samples.*8.*9"):
        neuron_transport(torch.randn(8, 3), torch.randn(9, 3))
    with pytest.raises(ShapeError, match="map or tokens"):
        built(torch.randn(8, 3), torch.randn(8, 3), spatial="positions")


def test_a_running_average_starts_where_it_was_heading():
    """Fewer passes than from the last potentials; what heads nowhere, a fresh sample or each batch, is left alone."""

    def passes(heading: bool, **settings) -> int:
        loss = built(features(256, 8), features(256, 12, seed=1), **settings)
        spent = []

        def solve(*arguments, **keywords):
            transport = SolveSettings(epsilon=0.05)(*arguments, **keywords)
            spent.append(int(transport.iterations))
            return transport

        setattr(loss.slow, "solve", solve)  # noqa: B010  (a module's attribute, of another type)
        for step in range(40):
            loss(features(256, 8, seed=2) + step * 0.02 * features(256, 8, seed=3), features(256, 12, seed=1))
            loss.after_step()
            if not heading:
                loss.slow.drift.zero_()
        return sum(spent[5:])

    assert passes(True, plan_momentum=0.99) < 0.8 * passes(False, plan_momentum=0.99)
    assert passes(True, plan_momentum=0.0) == passes(False, plan_momentum=0.0)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("masses", ["uniform", "activation"])
def test_an_activation_that_is_not_finite_is_refused_as_such(cost, masses):
    student, teacher = features(), features(seed=1)
    student[3, 5] = float("nan")
    with pytest.raises(NonFiniteError, match=r"cost is nan at index \(0, 5\)"):
        neuron_transport(student, teacher, cost=cost, masses=masses)
