"""The training loop, to be read from top to bottom."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from kantor.core import seeds
from kantor.core.collectives import of_main, rank, sum_over_ranks, world_size
from kantor.core.errors import NonFiniteError
from kantor.core.modes import as_trained
from kantor.data import Batch, DataSet
from kantor.objective import Objective, Result
from kantor.tasks import Task
from kantor.tasks.scale import ACCURACY
from kantor.training import checkpoint
from kantor.training.batches import training_batches
from kantor.training.checkpoint import Position
from kantor.training.collapse import Collapse, guesses, hopeless, verdict
from kantor.training.config import Training
from kantor.training.evaluate import evaluate
from kantor.training.finite import check_gradient, check_loss, check_weights, explained, looked_at
from kantor.training.groups import FACTOR, parameter_groups
from kantor.training.memory import MemoryOf, PeakMemory
from kantor.training.metrics import MetricsLog, Stopwatch
from kantor.training.plans import Probe, record_plans
from kantor.training.schedule import learning_rate
from kantor.training.stop import Interrupted, StopSignal
from kantor.training.trackers import Trackers, accelerator_settings

Report = Callable[[dict[str, Any]], None]
"""Told of progress: ``{"epoch", "epochs", "step", "steps", ...metrics}``."""


SHARES = 20
"""How often, at most, each term's share of the gradient is measured over a training."""


def _unheard(event: dict[str, Any]) -> None:
    """Nobody is watching."""


@dataclass(frozen=True)
class Outcome:
    """What a finished training run is judged by; kept as ``result.json``."""

    accuracy: float | None
    """On the test part, read once; None for a trial, and for a task that is judged by another metric."""
    loss: float | None
    validation_accuracy: float | None
    """Of the student that was kept."""
    epoch: int
    """The epoch whose student was kept, from 1."""
    epochs: int
    steps: int
    seconds: float
    """Of training and evaluation, those of interrupted stretches included, shares of the gradient left out."""
    peak_memory: int
    """In bytes; with several processes, of the main one."""
    memory_of: MemoryOf
    """What ``peak_memory`` counts."""
    confusion: list[list[int]]
    collapse: Collapse | None = None
    """Where the student ended at chance: since when, and what was seen."""
    metrics: Mapping[str, float] | None = None
    """Every metric of the task on the test part, by name; None where it was not read."""
    validation: float | None = None
    """The task's first metric on the validation part, of the student that was kept; None without one."""


def train(
    objective: Objective,
    data: DataSet,
    config: Training,
    folder: Path,
    *,
    seed: int,
    run: str = "",
    probe: Probe | None = None,
    judge: bool = True,
    report: Report = _unheard,
) -> Outcome | None:
    """Train ``objective`` (checked, on the CPU) and leave the run in ``folder``; go on from its last checkpoint.

    Args:
        objective: student and losses, after :meth:`Objective.check`.
        data: the training part, perhaps samples without labels beside it, a validation part, and the test part, read
            once at the end. An objective without a task is neither validated nor judged, and its last epoch is kept.
        config: settings.
        folder: receives ``metrics.jsonl``, ``timing.jsonl``, ``checkpoints/{last,best}.pt`` and ``plans/``.
        seed: of order, augmentation and dropout.
        run: digest of all settings; a checkpoint of another run is refused.
        probe: where plans are recorded.
        judge: read the test part at the end; off for trials, which are judged on validation data alone, for teachers,
            and for studies without a task.
        report: told of progress.

    Returns:
        The outcome, on the main process; None on others.

    Raises:
        NonFiniteError: the loss is not finite; names the term and the samples. The last checkpoint stays.
        Interrupted: SIGTERM or Ctrl-C; a checkpoint was written.
    """
    # Accelerate holds one precision and device per process; the next study may want another.
    AcceleratorState._reset_state(reset_partial_state=world_size() == 1)
    accelerator = Accelerator(
        mixed_precision=config.precision,
        cpu=config.device == "cpu",
        # Statistics, memories and potentials are equal on all ranks by construction: nothing to broadcast.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        **accelerator_settings(config.trackers, folder),
    )
    device = accelerator.device
    objective.to(device)
    optimizer = accelerator.prepare_optimizer(_optimizer(objective, config))
    wrapped = _wrapped(accelerator, objective)
    loader = training_batches(data, config, seed, transfers=bool(objective.transfers), rank=rank(), world=world_size())
    steps = config.epochs * loader.steps_per_epoch
    # A backward pass for each term: dear where epochs are of a few steps.
    shares_every = max(1, math.ceil(config.epochs / SHARES))
    task = objective.task
    validation = data.validation if task is not None else None
    keep_best = validation is not None and config.select != "last"
    last, best = folder / "checkpoints" / "last.pt", folder / "checkpoints" / "best.pt"

    as_trained(objective)
    position = Position()
    resumed = checkpoint.load(last, run)
    if resumed is None:
        objective.prepare(_Moved(loader.epochs(), device))
    else:
        position, state = resumed
        if keep_best and position.best_epoch > 0:
            checkpoint.required(best, run)  # now, and not when all is trained
        objective.load_state_dict(state["objective"])
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
    main = accelerator.is_main_process
    log = MetricsLog(folder / "metrics.jsonl", position.metrics_bytes, position.metrics_digest) if main else None
    memory = PeakMemory(device)
    trackers = Trackers(accelerator, folder, config)

    def save_last() -> None:
        if log is not None:
            position.metrics_bytes, position.metrics_digest = log.synced_bytes(), log.digest
            state = {"objective": objective.state_dict(), "optimizer": optimizer.state_dict()}
            if accelerator.scaler is not None:
                state["scaler"] = accelerator.scaler.state_dict()
            checkpoint.save(last, position, state, run)
            watch.lap(position.step)

    def end_of_epoch(gradient_shares: dict[str, float]) -> None:
        """Validate, keep the best student, record plans, each where it is due. Epoch 0 is the untrained student."""
        epoch = position.epoch
        check_weights(objective.student, position.step, last)
        _same_statistics(objective.student)
        if log is None:
            return
        line: dict[str, Any] = {"epoch": epoch, "step": position.step}
        count = position.sums.pop("samples", 0.0)
        line |= {f"train/{name}": total / count for name, total in position.sums.items()}
        if task is not None and position.counts:
            line |= {f"train/{name}": value for name, value in _told(task, position.counts).items()}
        position.sums, position.counts = {}, {}
        position.last_loss = line.get("train/task")
        position.first_loss = position.last_loss if position.first_loss is None else position.first_loss
        if objective.limits is not None:
            line |= {f"weight/{name}": weight for name, weight in objective.weights().items() if name != "task"}
        line |= {f"gradient_share/{name}": share for name, share in gradient_shares.items()}
        if (
            task is not None
            and validation is not None
            and (epoch % config.validate_every == 0 or epoch == config.epochs)
        ):
            with looked_at(position.step, last):
                scores = evaluate(objective.student, validation, task=task, device=device)
            line |= {f"validation/{name}": value for name, value in scores.metrics.items()}
            line["validation/loss"] = scores.loss
            position.reached = scores.value
            position.since = (position.since or epoch) if epoch > 0 and guesses(scores) else 0
            if epoch > 0 and scores.scale.better(scores.value, position.best):
                position.best, position.best_epoch = scores.value, epoch
                if keep_best:
                    checkpoint.save(best, position, {"student": objective.student.state_dict()}, run)
        every = config.plans_every()
        if probe is not None and every and (epoch % every == 0 or epoch == config.epochs):
            with looked_at(position.step, last):
                record_plans(folder / "plans" / f"epoch-{epoch:03d}.npz", objective, probe, device)
        log.write(line)
        trackers.log(line)
        report({"epochs": config.epochs, "steps": steps, **line})

    with StopSignal() as stop, log or nullcontext(), trackers:
        watch = Stopwatch(folder / "timing.jsonl", memory)  # a dashboard may take seconds to come up
        if resumed is None:
            end_of_epoch({})
            save_last()
        while position.epoch < config.epochs and not (
            config.on_collapse == "stop" and hopeless(position.since, position.epoch, config.epochs)
        ):
            shares: dict[str, float] = {}
            for batch in loader.epoch(position.epoch, start=position.step_in_epoch):
                seeds.seed_all(seed, seeds.STEP, position.step, rank())  # dropout
                objective.progress = position.step / steps
                rate = learning_rate(config.lr, config.schedule, objective.progress, config.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = group[FACTOR] * rate
                batch = batch.to(device)
                try:
                    result: Result = wrapped(batch)
                except NonFiniteError as error:
                    raise explained(error, objective, batch, last) from error
                values, counts = _values(result, batch, task)
                check_loss(values, result, objective, batch, last)
                if objective.terms and (position.step + 1) % (shares_every * loader.steps_per_epoch) == 0:
                    with watch.stopped():
                        shares = _gradient_shares(objective, result, accelerator)
                accelerator.backward(result.loss)
                if config.clip is not None:
                    norm = accelerator.clip_grad_norm_(objective.parameters(), config.clip)
                    if accelerator.scaler is None:  # which skips such a step itself
                        check_gradient(norm, position.step, last)
                optimizer.step()
                optimizer.zero_grad()
                objective.after_step()

                position.step += 1
                position.step_in_epoch += 1
                for name, value in {**values, "samples": 1.0}.items():
                    position.sums[name] = position.sums.get(name, 0.0) + value * len(batch)
                for name, sums in counts.items():
                    position.counts[name] = position.counts[name] + sums if name in position.counts else sums
                if log is not None and config.log_every and position.step % config.log_every == 0:
                    seen = values if task is None else values | _told(task, counts)
                    line = {"step": position.step, **{f"step/{name}": value for name, value in seen.items()}}
                    log.write(line)
                    trackers.log(line)
                report({"step": position.step, "steps": steps})
                if position.step_in_epoch == loader.steps_per_epoch:
                    break
                stopping = stop.asked(device)
                if stopping or (config.checkpoint_every and position.step % config.checkpoint_every == 0):
                    check_weights(objective.student, position.step, last)
                    save_last()
                if stopping:
                    raise Interrupted(
                        f"Stopped at step {position.step} of {steps}; `kantor resume` goes on from there."
                    )
            position.epoch += 1
            position.step_in_epoch = 0
            end_of_epoch(shares)
            position.since = of_main(position.since, device)
            save_last()
            if stop.asked(device) and position.epoch < config.epochs:
                raise Interrupted(f"Stopped after epoch {position.epoch}; `kantor resume` goes on from there.")

    del wrapped
    accelerator.free_memory()  # it holds the wrapper, which must not outlive its process group
    if log is None:
        return None
    if keep_best:
        objective.student.load_state_dict(checkpoint.required(best, run)["student"])
    scores = None
    if judge and task is not None:
        assert data.test is not None
        scores = evaluate(objective.student, data.test, task=task, device=device)
    reached = None if validation is None else position.best if keep_best else position.reached
    accuracy = task is not None and task.scale == ACCURACY
    collapse = verdict(scores, position, ACCURACY if task is None else task.scale)
    watch.lap(position.step)
    seconds, peak = watch.spent()
    return Outcome(
        accuracy=scores.value if scores is not None and accuracy else None,
        loss=None if scores is None else scores.loss,
        validation_accuracy=reached if accuracy else None,
        epoch=position.best_epoch if keep_best else position.epoch,
        epochs=position.epoch,
        steps=position.step,
        seconds=seconds,
        peak_memory=peak,
        memory_of=memory.of,
        confusion=[] if scores is None else scores.confusion,
        collapse=collapse,
        metrics=None if scores is None else scores.metrics,
        validation=reached,
    )


def _optimizer(objective: Objective, config: Training) -> torch.optim.Optimizer:
    groups = parameter_groups(objective, config)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, nesterov=True)


def _wrapped(accelerator: Accelerator, objective: Objective) -> Callable[[Batch], Result]:
    if world_size() > 1:
        with warnings.catch_warnings():
            # Newer torch renames the option that Accelerate passes.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return accelerator.prepare_model(objective)

    # One process needs no wrapper: the objective's forward under autocast is all there is to it.
    def run(batch: Batch) -> Result:
        with accelerator.autocast():
            return objective(batch)

    return run


def _values(result: Result, batch: Batch, task: Task | None) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Loss and terms of the global batch, and what the task's metrics add up of it.

    In one transfer: a GPU waits once a step, not once a number.
    """
    with torch.no_grad():
        values = {"loss": result.loss, **result.terms}
        counts = {} if task is None or batch.targets is None else task.measured(result.logits, batch.targets)
        numbers = [torch.stack([value.double() for value in values.values()]), *(x.flatten() for x in counts.values())]
        means, *sums = sum_over_ranks(torch.cat(numbers)).cpu().split([len(x) for x in numbers])
    shaped = {name: flat.reshape(like.shape) for (name, like), flat in zip(counts.items(), sums, strict=True)}
    return dict(zip(values, (means / world_size()).tolist(), strict=True)), shaped


def _told(task: Task, counts: dict[str, Tensor]) -> dict[str, float]:
    """Every metric of what was added up, without those of which that says nothing."""
    return {name: value for name, value in task.values(counts).items() if math.isfinite(value)}


def _gradient_shares(objective: Objective, result: Result, accelerator: Accelerator) -> dict[str, float]:
    # From the graph of a step that is taken anyway, so it touches neither generators nor statistics nor memories.
    scale = 1.0 if accelerator.scaler is None else accelerator.scaler.get_scale()
    shares = objective.gradient_shares(result, scale)
    # Half precision may overflow, which the scaler answers by skipping the step.
    return shares if all(math.isfinite(share) for share in shares.values()) else {}


class _Moved:
    """Batches on a device, as often as asked for."""

    def __init__(self, batches: Iterable[Batch], device: torch.device) -> None:
        self.batches, self.device = batches, device

    def __iter__(self) -> Iterator[Batch]:
        return (batch.to(self.device) for batch in self.batches)


def _same_statistics(student: nn.Module) -> None:
    """Give every rank the main one's running statistics, so that what is evaluated and saved is one student."""
    if world_size() > 1:
        for buffer in student.buffers():
            dist.broadcast(buffer, 0)
