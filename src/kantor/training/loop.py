"""The training loop, to be read from top to bottom."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kantor.core import seeds
from kantor.core.collectives import of_main, rank, world_size
from kantor.core.modes import as_trained
from kantor.data import Batch, DataSet
from kantor.objective import Objective
from kantor.tasks import Task
from kantor.tasks.scale import ACCURACY
from kantor.training import checkpoint
from kantor.training.batches import training_batches
from kantor.training.checkpoint import Position
from kantor.training.collapse import guesses, hopeless, verdict
from kantor.training.config import Training
from kantor.training.evaluate import evaluate
from kantor.training.finite import check_weights, looked_at
from kantor.training.memory import PeakMemory
from kantor.training.metrics import MetricsLog, Stopwatch
from kantor.training.outcome import Outcome
from kantor.training.plans import PlanSamples, record_plans
from kantor.training.schedule import learning_rate
from kantor.training.step import Measured, Stepper
from kantor.training.stop import Interrupted, StopSignal
from kantor.training.trackers import Trackers

Report = Callable[[dict[str, Any]], None]
"""Told of progress: ``{"epoch", "epochs", "step", "steps", ...metrics}``."""


SHARES = 20
"""How often, at most, each term's share of the gradient is measured over a training."""


def _unheard(event: dict[str, Any]) -> None:
    """Nobody is watching."""


def train(
    objective: Objective,
    data: DataSet,
    config: Training,
    folder: Path,
    *,
    seed: int,
    run: str = "",
    plan_samples: PlanSamples | None = None,
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
        plan_samples: where plans are recorded.
        judge: read the test part at the end; off for trials, which are judged on validation data alone, for teachers,
            and for studies without a task.
        report: told of progress.

    Returns:
        The outcome, on the main process; None on others.

    Raises:
        NonFiniteError: the loss is not finite; names the term and the samples. The last checkpoint stays.
        Interrupted: SIGTERM or Ctrl-C; a checkpoint was written.
    """
    loop = _Loop(objective, data, config, folder, seed, run)
    loop.plan_samples, loop.report = plan_samples, report
    loop.begin()
    with StopSignal() as stop, loop.log or nullcontext(), loop.trackers:
        loop.watch = Stopwatch(folder / "timing.jsonl", loop.memory)  # a dashboard may take seconds to come up
        if loop.new:
            loop.end_epoch({})
            loop.save()
        while not loop.over():
            loop.epoch(stop)
            loop.save()
            if stop.asked(loop.stepper.device) and loop.position.epoch < config.epochs:
                raise Interrupted(f"Stopped after epoch {loop.position.epoch}; `kantor resume` goes on from there.")
    loop.stepper.close()
    return None if loop.log is None else loop.outcome(judge)


class _Loop:
    """One training run and where it stands. Args: see :func:`train`."""

    def __init__(
        self, objective: Objective, data: DataSet, config: Training, folder: Path, seed: int, run: str
    ) -> None:
        self.objective, self.data, self.config, self.folder = objective, data, config, folder
        self.seed, self.run = seed, run
        self.plan_samples: PlanSamples | None = None
        self.report: Report = _unheard
        self.watch: Stopwatch | None = None
        self.stepper = Stepper(objective, config, folder)
        transfers = bool(objective.transfers)
        self.loader = training_batches(data, config, seed, transfers=transfers, rank=rank(), world=world_size())
        self.steps = config.epochs * self.loader.steps_per_epoch
        self.task = objective.task
        self.validation = data.validation if objective.task is not None else None
        self.keep_best = self.validation is not None and config.select != "last"
        self.last, self.best = folder / "checkpoints" / "last.pt", folder / "checkpoints" / "best.pt"
        self.position = Position()

    def begin(self) -> None:
        """Go on from the last checkpoint, or run the losses' pretraining."""
        as_trained(self.objective)
        resumed = checkpoint.load(self.last, self.run)
        self.new = resumed is None
        if resumed is None:
            self.objective.prepare(_Moved(self.loader.epochs(), self.stepper.device))
        else:
            self.position, state = resumed
            if self.keep_best and self.position.best_epoch > 0:
                checkpoint.required(self.best, self.run)  # now, and not when all is trained
            self.stepper.load(state)
        position, path = self.position, self.folder / "metrics.jsonl"
        main = self.stepper.accelerator.is_main_process
        self.log = MetricsLog(path, position.metrics_bytes, position.metrics_digest) if main else None
        self.memory = PeakMemory(self.stepper.device)
        self.trackers = Trackers(self.stepper.accelerator, self.folder, self.config)

    def over(self) -> bool:
        """Whether all epochs are done, or going on is of no use and not asked for."""
        position, config = self.position, self.config
        if position.epoch >= config.epochs:
            return True
        return config.on_collapse == "stop" and hopeless(position.since, position.epoch, config.epochs)

    def epoch(self, stop: StopSignal) -> None:
        """Train an epoch, or what is left of it.

        Raises:
            Interrupted: a signal asked for it; a checkpoint was written.
        """
        config, position = self.config, self.position
        # A backward pass for each term: dear where epochs are of a few steps.
        shares_every = max(1, math.ceil(config.epochs / SHARES)) * self.loader.steps_per_epoch
        shares: dict[str, float] = {}
        assert self.watch is not None
        for batch in self.loader.epoch(position.epoch, start=position.step_in_epoch):
            seeds.seed_all(self.seed, seeds.STEP, position.step, rank())  # dropout
            self.objective.progress = position.step / self.steps
            rate = learning_rate(config.lr, config.schedule, self.objective.progress, config.warmup)
            due = bool(self.objective.terms) and (position.step + 1) % shares_every == 0
            found = self.stepper.step(batch, position.step, rate, self.watch.stopped if due else None)
            shares = found.shares or shares
            self._count(found, len(batch))
            if position.step_in_epoch == self.loader.steps_per_epoch:
                break
            stopping = stop.asked(self.stepper.device)
            if stopping or (config.checkpoint_every and position.step % config.checkpoint_every == 0):
                check_weights(self.objective.student, position.step, self.last)
                self.save()
            if stopping:
                raise Interrupted(
                    f"Stopped at step {position.step} of {self.steps}; `kantor resume` goes on from there."
                )
        position.epoch += 1
        position.step_in_epoch = 0
        self.end_epoch(shares)
        position.since = of_main(position.since, self.stepper.device)

    def _count(self, found: Measured, samples: int) -> None:
        """A step is taken: add up what it measured, and log it where that is due."""
        position, config = self.position, self.config
        position.step += 1
        position.step_in_epoch += 1
        for name, value in {**found.values, "samples": 1.0}.items():
            position.sums[name] = position.sums.get(name, 0.0) + value * samples
        for name, sums in found.counts.items():
            position.counts[name] = position.counts[name] + sums if name in position.counts else sums
        if self.log is not None and config.log_every and position.step % config.log_every == 0:
            seen = found.values if self.task is None else found.values | _told(self.task, found.counts)
            line = {"step": position.step, **{f"step/{name}": value for name, value in seen.items()}}
            self.log.write(line)
            self.trackers.log(line)
        self.report({"step": position.step, "steps": self.steps})

    def end_epoch(self, gradient_shares: dict[str, float]) -> None:
        """Validate, keep the best student, record plans, each where it is due. Epoch 0 is the untrained student."""
        position, config, epoch = self.position, self.config, self.position.epoch
        check_weights(self.objective.student, position.step, self.last)
        _same_statistics(self.objective.student)
        if self.log is None:
            return
        line = {"epoch": epoch, "step": position.step, **self._trained()}
        if self.objective.limits is not None:
            line |= {f"weight/{name}": w for name, w in self.objective.weights().items() if name != "task"}
        line |= {f"gradient_share/{name}": share for name, share in gradient_shares.items()}
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            line |= self._validated()
        every = config.plans_every()
        if self.plan_samples is not None and every and (epoch % every == 0 or epoch == config.epochs):
            path = self.folder / "plans" / f"epoch-{epoch:03d}.npz"
            with looked_at(position.step, self.last):
                record_plans(path, self.objective, self.plan_samples, self.stepper.device)
        self.log.write(line)
        self.trackers.log(line)
        self.report({"epochs": config.epochs, "steps": self.steps, **line})

    def _trained(self) -> dict[str, float]:
        """Means of the epoch's steps, which end with it."""
        position = self.position
        count = position.sums.pop("samples", 0.0)
        line = {f"train/{name}": total / count for name, total in position.sums.items()}
        if self.task is not None and position.counts:
            line |= {f"train/{name}": value for name, value in _told(self.task, position.counts).items()}
        position.sums, position.counts = {}, {}
        position.last_loss = line.get("train/task")
        position.first_loss = position.last_loss if position.first_loss is None else position.first_loss
        return line

    def _validated(self) -> dict[str, float]:
        """The student on the validation part; it is kept where it is the best so far."""
        if self.task is None or self.validation is None:
            return {}
        position, student, epoch = self.position, self.objective.student, self.position.epoch
        with looked_at(position.step, self.last):
            scores = evaluate(student, self.validation, task=self.task, device=self.stepper.device)
        position.reached = scores.value
        position.since = (position.since or epoch) if epoch > 0 and guesses(scores) else 0
        if epoch > 0 and scores.scale.better(scores.value, position.best):
            position.best, position.best_epoch = scores.value, epoch
            if self.keep_best:
                checkpoint.save(self.best, position, {"student": student.state_dict()}, self.run)
        return {f"validation/{name}": value for name, value in scores.metrics.items()} | {
            "validation/loss": scores.loss
        }

    def save(self) -> None:
        """Write the last checkpoint, on the main process."""
        if self.log is not None:
            assert self.watch is not None
            self.position.metrics_bytes, self.position.metrics_digest = self.log.synced_bytes(), self.log.digest
            checkpoint.save(self.last, self.position, self.stepper.state(), self.run)
            self.watch.lap(self.position.step)

    def outcome(self, judge: bool) -> Outcome:
        """Take the student that is kept, and judge it."""
        position, task, student = self.position, self.task, self.objective.student
        if self.keep_best:
            student.load_state_dict(checkpoint.required(self.best, self.run)["student"])
        scores = None
        if judge and task is not None:
            assert self.data.test is not None
            scores = evaluate(student, self.data.test, task=task, device=self.stepper.device)
        reached = None if self.validation is None else position.best if self.keep_best else position.reached
        accuracy = task is not None and task.scale == ACCURACY
        collapse = verdict(scores, position, ACCURACY if task is None else task.scale)
        assert self.watch is not None
        self.watch.lap(position.step)
        seconds, peak = self.watch.spent()
        return Outcome(
            accuracy=scores.value if scores is not None and accuracy else None,
            loss=None if scores is None else scores.loss,
            validation_accuracy=reached if accuracy else None,
            epoch=position.best_epoch if self.keep_best else position.epoch,
            epochs=position.epoch,
            steps=position.step,
            seconds=seconds,
            peak_memory=peak,
            memory_of=self.memory.of,
            confusion=[] if scores is None else scores.confusion,
            collapse=collapse,
            metrics=None if scores is None else scores.metrics,
            validation=reached,
        )


def _told(task: Task, counts: dict[str, Tensor]) -> dict[str, float]:
    """Every metric of what was added up, without those of which that says nothing."""
    return {name: value for name, value in task.values(counts).items() if math.isfinite(value)}


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
