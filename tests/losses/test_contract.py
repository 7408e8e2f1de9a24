"""What every transfer loss promises, checked on every row of cases.py."""

import copy
import shutil
from typing import get_args

import pytest
import torch
from torch import Tensor

from kantor.core.errors import KantorError, ShapeError
from kantor.losses.base import Features, TransferLoss
from tests.losses.cases import CASES, Case

every_loss = pytest.mark.parametrize("case", CASES, ids=str)

# What batch norm keeps for evaluation, which no loss reads in training.
RUNNING = ("running_mean", "running_var", "num_batches_tracked")


def state(loss: TransferLoss) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in loss.state_dict().items() if not k.endswith(RUNNING)}


def leaves(student: Features) -> list[Tensor]:
    return list(student) if isinstance(student, tuple) else [student]


def assert_same_state(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert torch.equal(value, right[key]), key


def step(loss: TransferLoss, case: Case, seed: int) -> Tensor:
    """One step of plain gradient descent on the loss's own parameters; returns the value."""
    student, teacher = case.features(seed)
    value = loss(student, teacher, **case.labels(seed))
    value.backward()
    with torch.no_grad():
        for parameter in loss.parameters():
            if parameter.grad is not None:
                parameter -= 0.05 * parameter.grad
                parameter.grad = None
    loss.after_step()
    return value.detach()


@every_loss
def test_says_what_it_is(case: Case) -> None:
    loss = case.make()
    assert loss.name and loss.paper and loss.default_weight > 0
    assert loss.reads in get_args(TransferLoss.__annotations__["reads"].__args__[0])
    assert type(loss).__doc__ and type(loss).forward.__doc__
    assert loss.needs_ids == (case.samples > 0)
    assert not loss.needs_targets or case.classes is not None
    assert loss.extra_repr() == ", ".join(f"{k}={v!r}" for k, v in loss.settings().items())


@every_loss
def test_smoke(case: Case) -> None:
    loss = case.build()
    student, teacher = case.features(1)
    value = loss(student, teacher, **case.labels(1))
    assert value.shape == () and value.dtype == torch.float32 and torch.isfinite(value)
    value.backward()
    for x in leaves(student):
        assert x.grad is not None and torch.isfinite(x.grad).all()
    assert any(x.grad is not None and x.grad.abs().max() > 0 for x in leaves(student))
    for name, parameter in loss.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} takes no part"


@every_loss
def test_forward_changes_no_state(case: Case) -> None:
    loss = case.build()
    student, teacher = case.features(1)
    before = state(loss)
    first = loss(student, teacher, **case.labels(1))
    second = loss(student, teacher, **case.labels(1))
    assert_same_state(before, state(loss))
    assert torch.equal(first, second)


@every_loss
def test_gradcheck(case: Case) -> None:
    if case.gradcheck:
        pytest.skip(case.gradcheck)
    loss = case.build(dtype=torch.float64)
    # What the first step sets and holds from then on (memories, normalisers) is no function of the student's features.
    loss(*case.features(1, torch.float64), **case.labels(1))
    loss.after_step()
    student, teacher = case.features(2, torch.float64)
    inputs = leaves(student)

    def value(*layers: Tensor) -> Tensor:
        return loss(tuple(layers) if case.many else layers[0], teacher, **case.labels(2))

    assert value(*inputs).dtype == torch.float64
    step, tolerance = (1e-3, 1e-3) if case.solved else (1e-6, 1e-4)
    torch.autograd.gradcheck(value, inputs, eps=step, atol=0.01 * tolerance, rtol=tolerance, fast_mode=not case.solved)


HALVES = {"autocast": (torch.float32, True), "bf16": (torch.bfloat16, False), "fp16": (torch.float16, False)}


def rounded(x: Features, dtype: torch.dtype) -> Features:
    """As the features come in that precision, but kept in float32."""
    parts = [part.detach().to(dtype).float().requires_grad_(part.requires_grad) for part in leaves(x)]
    return tuple(parts) if isinstance(x, tuple) else parts[0]


@every_loss
@pytest.mark.parametrize("kind", HALVES)
def test_half_precision(case: Case, kind: str) -> None:
    """Value and gradient are those in float32 of the same numbers, however the features come."""
    dtype, autocast = HALVES[kind]
    loss = case.build()
    student, teacher = (rounded(x, dtype) for x in case.features(3))
    exact = loss(student, teacher, **case.labels(3))
    gradients = torch.autograd.grad(exact, leaves(student))
    half, half_teacher = (
        tuple(x.detach().to(dtype).requires_grad_(x.requires_grad) for x in leaves(side)) for side in (student, teacher)
    )
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(*((half, half_teacher) if case.many else (half[0], half_teacher[0])), **case.labels(3))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=0.01, abs=1e-7)
    for ours, theirs in zip(torch.autograd.grad(value, half), gradients, strict=True):
        assert (ours.float() - theirs).norm() <= 0.01 * theirs.norm() + 1e-6


@every_loss
def test_no_gradient_reaches_a_live_teacher(case: Case) -> None:
    loss = case.build()
    student, teacher = case.features(3)
    live = tuple(x.requires_grad_() for x in leaves(teacher))
    loss(student, live if case.many else live[0], **case.labels(3)).backward()
    assert all(x.grad is None for x in live)


MICRO = 4


def parts(x: Features) -> list[Features]:
    """A batch as micro-batches."""
    if isinstance(x, tuple):
        return list(zip(*(part.chunk(MICRO) for part in x), strict=True))
    return list(x.chunk(MICRO))


@every_loss
def test_micro_batches_leave_the_state_of_their_batch(case: Case) -> None:
    """Gradient accumulation: one step of four micro-batches, after a step that all share, against one of the whole."""
    whole, apart = case.build(), case.build()
    for loss in (whole, apart):
        step(loss, case, 1)
    assert_same_state(state(whole), state(apart))
    student, teacher = case.features(2)
    labels = case.labels(2)
    with torch.no_grad():  # somebody looks at a value before the step
        apart(*case.features(9), **case.labels(9))
    whole(student, teacher, **labels)
    size = len(leaves(student)[0]) // MICRO
    chunks = {
        key: [None if x is None else x[k * size : (k + 1) * size] for k in range(MICRO)] for key, x in labels.items()
    }
    for k, (s, t) in enumerate(zip(parts(student), parts(teacher), strict=True)):
        apart(s, t, **{key: x[k] for key, x in chunks.items()})
    whole.after_step()
    apart.after_step()
    for key, value in state(whole).items():
        torch.testing.assert_close(state(apart)[key], value, msg=key)


@every_loss
def test_what_was_forgotten_or_only_looked_at_leaves_no_state(case: Case) -> None:
    loss, other = case.build(), case.build()
    with torch.no_grad():
        loss(*case.features(1), **case.labels(1))
    loss(*case.features(1), **case.labels(1))
    loss.forget()
    loss.eval()  # a validation loss, its gradients left on
    loss(*case.features(3), **case.labels(3))
    loss.train()
    step(loss, case, 2)
    if hasattr(other, "draws") or hasattr(getattr(other, "dual", None), "draws"):
        assert torch.equal(state(loss)[next(k for k in state(loss) if k.endswith("counter"))], torch.tensor(1))
    step(other, case, 2)
    assert_same_state(state(loss), state(other))


@every_loss
def test_refuses_another_batch_of_the_teacher(case: Case) -> None:
    """Fewer samples of one side do not spread over the others, nor does a transposed output."""
    loss = case.build()
    student, teacher = case.features(1)
    one = tuple(x[:1] for x in leaves(teacher))
    with pytest.raises(ShapeError, match=r"\(8, .*\(1, |samples"):
        loss(student, one if case.many else one[0], **case.labels(1))


@every_loss
def test_refuses_outputs_that_hold_nothing(case: Case) -> None:
    loss = case.build()
    student, teacher = case.features(1)
    nothing = tuple(x[:, :0] for x in leaves(teacher))
    with pytest.raises(ShapeError):
        loss(student, nothing if case.many else nothing[0], **case.labels(1))


@every_loss
@pytest.mark.parametrize("given", [None, "text", {"a": torch.ones(8, 4)}, (torch.ones(8, 4),) * 3], ids=str)
def test_refuses_what_is_no_output_or_of_other_layers(case: Case, given) -> None:
    loss = case.build()
    student, teacher = case.features(1)
    for sides in ((student, given), (given, teacher)):
        with pytest.raises(ShapeError):
            loss(*sides, **case.labels(1))


@every_loss
def test_refuses_other_widths_than_it_was_built_for(case: Case) -> None:
    loss = case.build()
    student, teacher = case.features(1)
    flat = tuple(x.flatten() for x in leaves(teacher))
    wider = tuple(torch.cat([x, x], 1 if x.ndim > 3 else -1) for x in leaves(teacher))
    for layers in (flat, wider):
        with pytest.raises(ShapeError, match="was made for outputs of the teacher like"):
            loss(student, layers if case.many else layers[0], **case.labels(1))


@every_loss
@pytest.mark.parametrize("wide", ["student", "teacher"])
def test_one_side_in_double_precision(case: Case, wide: str) -> None:
    loss = case.build()
    sides = dict(zip(("student", "teacher"), case.features(1), strict=True))
    exact = loss(sides["student"], sides["teacher"], **case.labels(1))
    layers = tuple(x.detach().double() for x in leaves(sides[wide]))
    sides[wide] = layers if case.many else layers[0]
    assert loss(sides["student"], sides["teacher"], **case.labels(1)).item() == pytest.approx(exact.item(), rel=1e-4)


@every_loss
@pytest.mark.parametrize("wrong", [-1, 10**6, "fractions", "list"])
def test_ids_without_a_row_and_targets_that_are_no_class_are_refused(case: Case, wrong) -> None:
    """An id of -1 had taken the memory's last row in silence."""
    loss, labels = case.build(), case.labels(1)
    for key in ("ids", "targets"):
        if (held := labels[key]) is None:
            continue
        held = held.clone()
        if isinstance(wrong, int):
            held[0] = wrong
        given = held.float() if wrong == "fractions" else held.tolist() if wrong == "list" else held
        with pytest.raises(KantorError, match=r"integers \[8\]" if isinstance(wrong, str) else str(wrong)):
            loss(*case.features(1), **(labels | {key: given}))


@every_loss
def test_one_sample_has_a_value_or_a_message(case: Case) -> None:
    loss = case.build()
    one = [tuple(x.detach()[:1].requires_grad_(x.requires_grad) for x in leaves(side)) for side in case.features(1)]
    labels = {key: None if x is None else x[:1] for key, x in case.labels(1).items()}
    try:
        value = loss(*(one if case.many else (side[0] for side in one)), **labels)
    except ShapeError as error:
        assert "two" in str(error)
        return
    assert value.isfinite()
    assert all(
        gradient.isfinite().all()
        for gradient in torch.autograd.grad(value, one[0], allow_unused=True)
        if gradient is not None
    )


@every_loss
@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # dynamo's own, at graph breaks
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # and where it traces a Function
def test_compiles(case: Case) -> None:
    if case.compile:
        pytest.skip(case.compile)
    loss = case.build()
    student, teacher = case.features(4)
    eager = loss(student, teacher, **case.labels(4))
    gradients = torch.autograd.grad(eager, leaves(student))
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager")(student, teacher, **case.labels(4))
    torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(compiled, leaves(student)), gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's own, inside inductor
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # inside dynamo
def test_compiles_by_inductor() -> None:
    (case,) = (case for case in CASES if case.name == "wkd_feature")
    loss = case.build()
    student, teacher = case.features(4)
    eager = loss(student, teacher)
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(loss)(student, teacher), eager, rtol=1e-5, atol=1e-6)


@every_loss
def test_strict_state_and_exact_resume(case: Case) -> None:
    """A loss restored from its state goes on as the one that never stopped, whatever it was built and shown before."""
    first = case.build(seed=0)
    fresh = {key: value.shape for key, value in first.state_dict().items()}
    for seed in (5, 6):
        step(first, case, seed)
    saved = copy.deepcopy(first.state_dict())
    assert {key: value.shape for key, value in saved.items()} == fresh

    second = case.build(seed=1)
    student, teacher = case.features(7)
    second(student, teacher, **case.labels(7))  # step 0 looks at a value before a resume loads the state
    second.load_state_dict(saved, strict=True)
    for seed in (8, 9):
        assert torch.equal(step(first, case, seed), step(second, case, seed))
        assert_same_state(state(first), state(second))


@every_loss
def test_draws_nothing_from_torch(case: Case) -> None:
    """Dropout and initialisation of the student must not depend on which losses are at work."""
    loss = case.build()
    student, teacher = case.features(1)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    loss(student, teacher, **case.labels(1))
    loss.after_step()
    assert torch.equal(torch.rand(4), expected)
