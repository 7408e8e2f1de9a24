import copy
import gc
import pickle

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from kantor.core.errors import ConfigError
from kantor.losses import FitNet, NeuronTransport
from kantor.objective import Objective, Term, Weight, following
from tests.objective.networks import a_batch, network


def objective(*terms: Term) -> Objective:
    return Objective(network(4), {"big": network(8)}, list(terms))


def a_step(run: Objective, optimizer: torch.optim.Optimizer, *, clear: bool = True) -> None:
    run(a_batch()).loss.backward()
    optimizer.step()
    if clear:
        run.zero_grad()
    run.after_step()


OPTIMIZERS = [
    lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    lambda parameters: torch.optim.AdamW(parameters, lr=0.01, foreach=True),
    lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_an_optimiser_from_before_check_is_noticed_at_its_first_step(make):
    run = objective(Term(FitNet(), "2", "2"))
    optimizer = make(run.parameters())
    run.check(a_batch(), quiet=True)
    with pytest.raises(ConfigError, match=r"not what fitnet learns.*after check"):
        a_step(run, optimizer)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_one_from_after_check_is_not(make):
    run = objective(Term(FitNet(), "2", "2"), Term(NeuronTransport(), "2", "2"))
    run.check(a_batch(), quiet=True)
    optimizer = make(run.parameters())
    for _ in range(2):
        a_step(run, optimizer)


def test_steps_that_move_nothing_and_parameters_that_are_held_prove_nothing():
    run = objective(Term(FitNet(), "2", "2"))
    run.check(a_batch(), quiet=True)
    run(a_batch())
    run.after_step()  # a scaler skipped the step
    optimizer = torch.optim.SGD(run.student.parameters(), lr=0.1)
    for parameter in run.losses.parameters():
        parameter.requires_grad_(False)
    a_step(run, optimizer)


def test_a_loop_that_forgets_progress_under_a_warm_up_is_told():
    run = objective(Term(NeuronTransport(), "2", "2", weight=Weight(2.0, warmup=0.5)))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.SGD(run.parameters(), lr=0.01)
    a_step(run, optimizer)
    with pytest.raises(ConfigError, match=r"neuron_transport rises from 0.*still is 0 after 1 steps.*step / steps"):
        run(a_batch())
    with torch.no_grad():
        run(a_batch())  # to look is no step
    run.progress = 0.1
    a_step(run, optimizer)


@pytest.mark.filterwarnings("ignore:`broadcast_buffers` is deprecated")
def test_a_wrapped_student_beside_the_objective_is_refused_under_several_processes(tmp_path, monkeypatch):
    run = objective(Term(NeuronTransport(), "2", "2"))
    run.check(a_batch(), quiet=True)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        monkeypatch.setattr(following, "world_size", lambda: 2)
        wrapper = DistributedDataParallel(run.student)
        with pytest.raises(ConfigError, match=r"student is wrapped in DistributedDataParallel.*wrap the objective"):
            run(a_batch())
        del wrapper
        gc.collect()
        wrapper = DistributedDataParallel(run, broadcast_buffers=False)
        assert wrapper(a_batch()).loss.isfinite()
        del wrapper
        gc.collect()
    finally:
        dist.destroy_process_group()


def test_a_student_that_is_given_wrapped_is_refused_too(tmp_path, monkeypatch):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        monkeypatch.setattr(following, "world_size", lambda: 2)
        run = Objective(DistributedDataParallel(network(4)), {}, [])
        with pytest.raises(ConfigError, match="wrap the objective"):
            run(a_batch())
        del run
        gc.collect()
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("loss", [NeuronTransport, FitNet])  # the one keeps a plan, the other's weight is limited
def test_a_loop_that_never_says_that_a_step_was_taken(loss):
    run = objective(Term(loss(), "2", "2"))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.SGD(run.parameters(), lr=0.01)
    for _ in range(2):  # of one step
        run(a_batch()).loss.backward()
    optimizer.step()
    with pytest.raises(ConfigError, match=r"after_step\(\) was not called"):
        run(a_batch())
    run.after_step()
    run(a_batch())


@pytest.mark.parametrize("loss", [NeuronTransport, FitNet])
def test_a_loop_that_says_it_before_the_step_is_told(loss):
    run = objective(Term(loss(), "2", "2"))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.AdamW(run.parameters(), lr=0.01)
    run(a_batch()).loss.backward()
    run.after_step()
    optimizer.step()
    with pytest.raises(ConfigError, match=r"after_step\(\) was not called.*and not before it"):
        run(a_batch())


def test_a_step_that_a_scaler_skipped_hides_the_next_from_nobody():
    run = objective(Term(NeuronTransport(), "2", "2"))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.AdamW(run.parameters(), lr=0.01)
    run(a_batch()).loss.backward()
    run.after_step()
    a_step(run, optimizer)
    assert run.limits is not None
    assert bool(run.limits.adaptive)


def test_a_loop_that_leaves_the_objective_in_eval_mode_is_told():
    run = objective(Term(NeuronTransport(), "2", "2"))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.SGD(run.parameters(), lr=0.01)
    a_step(run, optimizer)
    run.eval()
    run.student.train()  # and the objective stays as it is
    with pytest.raises(ConfigError, match=r"not called in training mode.*neuron_transport.*objective.train\(\)"):
        a_step(run, optimizer)
    run.train()
    run.student.eval()
    a_step(run, optimizer)


@pytest.mark.parametrize("others", ["the same", "another"])
def test_processes_whose_gradients_nobody_averages_are_told(others, monkeypatch):
    run = objective(Term(NeuronTransport(), "2", "2"))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.SGD(run.parameters(), lr=0.01)
    a_step(run, optimizer)
    monkeypatch.setattr(following, "world_size", lambda: 2)
    shift = 0.0 if others == "the same" else 1e-5
    monkeypatch.setattr(following, "gather_rows", lambda sums: torch.cat([sums, sums * (1 + shift)]))
    if others == "the same":
        a_step(run, optimizer)
    else:
        with pytest.raises(ConfigError, match=r"After 1 steps the students of the 2 processes differ.*Wrap"):
            a_step(run, optimizer)


def test_one_whose_losses_keep_nothing_need_not_say_it():
    run = objective(Term(FitNet(), "2", "2", weight=1.0))
    run.check(a_batch(), quiet=True)
    optimizer = torch.optim.SGD(run.parameters(), lr=0.01)
    for _ in range(2):
        run(a_batch()).loss.backward()
        optimizer.step()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_an_objective_in_the_middle_of_its_first_step_can_be_copied(copied):
    run = objective(Term(FitNet(), "2", "2"))
    run.check(a_batch(), quiet=True)
    run(a_batch()).loss.backward()
    other = copied(run)
    optimizer = torch.optim.SGD(other.student.parameters(), lr=0.01)
    with pytest.raises(ConfigError, match="not what fitnet learns"):
        a_step(other, optimizer)


def test_shards_that_stand_in_a_parameters_place_are_those_that_are_watched():
    """FSDP2 replaces parameters after step 0; what was seen of the first step is seen of theirs."""
    run = objective(Term(NeuronTransport(), "2", "2"), Term(FitNet(), "2", "2"))
    run.check(a_batch(), quiet=True)
    for module in run.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            setattr(module, name, torch.nn.Parameter(p.detach().clone()))
    optimizer = torch.optim.Adam(run.parameters(), lr=0.1)
    run(a_batch()).loss.backward()
    optimizer.step()
    run.after_step()
    assert bool(run.limits.adaptive)
